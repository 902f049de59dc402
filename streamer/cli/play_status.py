"""What a player says while it plays, in one line, and at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.player_stats import PlayerStats

__all__ = ["clock_text", "report_lines", "status_text"]


def clock_text(seconds: float) -> str:
    """Give a time as m:ss, or h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def status_text(stats: PlayerStats) -> str:
    """Say where it is and how it does."""
    state = " paused" if stats.is_paused else ""
    return " | ".join(
        (
            f"{stats.track + 1}/{stats.tracks} {clock_text(stats.position_s)} of {clock_text(stats.duration_s)}{state}",
            f"separated {100 * stats.separated:.0f} %",
            f"coverage {100 * stats.coverage:.1f} %",
            f"xruns {stats.stream.xruns}",
            f"clipped {stats.clipped_samples}",
        )
    )


def report_lines(stats: PlayerStats) -> list[str]:
    """Sum it up."""
    processor = stats.processor
    lines = [
        f"heard     {stats.frames} frames, {stats.jumps} jump(s)",
        f"coverage  {100 * stats.coverage:.2f} % of the sound was separated, "
        f"{processor.provisional_frames} frames of it provisional",
    ]
    if processor.windows:
        lines.append(
            f"model     {processor.windows} windows, p50 {1000 * processor.compute_p50_s:.2f} ms, "
            f"p99 {1000 * processor.compute_p99_s:.2f} ms"
        )
    if stats.withheld_frames:
        lines.append(f"withheld  {stats.withheld_frames} frames were silent, for what is muted was not separated yet")
    if stats.stream.xruns or stats.waited_frames:
        lines.append(f"xruns     {stats.stream.xruns}; {stats.waited_frames} frames waited for a file")
    if stats.clipped_samples:
        lines.append(f"clipped   {stats.clipped_samples} samples beyond full scale")
    return lines
