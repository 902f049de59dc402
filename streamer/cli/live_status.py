"""What a live session says while it runs, in one line, and at its end."""

from __future__ import annotations

import math
import os
import shutil
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from streamer.live_stats import LiveStats
    from streamer.mixer import Mixer

__all__ = ["StatusLine", "report_lines", "status_text", "strips_text"]

_CLEAR = "\r\x1b[K"


def status_text(stats: LiveStats) -> str:
    """Say how a session does: latency, the model's time, head-room, and one number per failure."""
    processor = stats.processor
    return " | ".join(
        (
            f"{1000 * stats.measured_frames / stats.latency.sample_rate:.1f} ms{_of_what(stats)}",
            f"model {1000 * processor.compute_p99_s:.1f} of {1000 * stats.hop_s:.1f} ms{_headroom(stats)}",
            f"misses {processor.misses}",
            f"coverage {100 * processor.coverage:.1f} %",
            f"xruns {stats.xruns}",
            f"clipped {stats.clipped_samples}",
        )
    )


def _of_what(stats: LiveStats) -> str:
    return "" if stats.measured.blocks else " promised"


def _measured_line(stats: LiveStats) -> str:
    measured, frames = stats.measured, stats.measured_frames
    if not measured.blocks:
        return f"measured  nothing: of {measured.late_blocks} blocks none came in time"
    late = f"; {measured.late_blocks} more came late" if measured.late_blocks else ""
    ms = 1000 * frames / stats.latency.sample_rate
    return f"measured  {ms:.1f} ms, {frames} frames over the newest {measured.blocks} blocks{late}"


def _headroom(stats: LiveStats) -> str:
    p99 = stats.processor.compute_p99_s
    return f" ({100 * (1 - p99 / stats.hop_s):.0f} % free)" if p99 else ""


def strips_text(mixer: Mixer, chosen: int | None = None) -> str:
    """Say how the stems are set: numbers are the keys, brackets mark the one that the arrows change."""
    parts = []
    for place, stem in enumerate(mixer):
        strip = mixer[stem]
        marks = [mark for mark, is_set in (("muted", strip.mute), ("solo", strip.solo)) if is_set]
        if strip.gain_db:
            marks.append("off" if math.isinf(strip.gain_db) else f"{strip.gain_db:+.0f} dB")
        text = " ".join((f"{place + 1} {stem}", *marks))
        parts.append(f"[{text}]" if place == chosen else text)
    return "  ".join(parts) + ("  BYPASS" if mixer.bypass else "")


def report_lines(stats: LiveStats) -> list[str]:
    """Sum a session up."""
    processor, rate = stats.processor, stats.latency.sample_rate
    lines = [
        f"latency   {stats.latency}",
        _measured_line(stats),
        f"length    {stats.frames / rate:.1f} s, {stats.blocks} blocks, {stats.epochs} epoch(s)",
        f"misses    {processor.misses} of {processor.blocks} blocks",
        f"coverage  {100 * processor.coverage:.2f} % of the sound was separated",
        f"model     p50 {1000 * processor.compute_p50_s:.2f} ms, p99 {1000 * processor.compute_p99_s:.2f} ms, "
        f"max {1000 * processor.compute_max_s:.2f} ms for a hop of {1000 * stats.hop_s:.2f} ms",
        f"xruns     {stats.xruns} ({stats.underruns} underruns, {stats.overflows} overflows), "
        f"{stats.lost_frames} frames lost",
        f"clipped   {stats.clipped_samples} samples beyond full scale",
    ]
    if stats.drift is not None:
        drift = stats.drift
        lines.append(
            f"clocks    input {drift.ppm:+.1f} ppm against the output, pitch off by at most {drift.max_cents:.2f} cents"
        )
    if stats.recording is not None:
        kept = stats.recording
        lines.append(
            f"recorded  {kept.frames_written / rate:.1f} s"
            + (f" in {stats.takes} takes" if stats.takes > 1 else "")
            + f", {kept.frames_lost} frames lost"
            + ("" if kept.error is None else f"; {kept.error}")
        )
    lines += [f"priority  {report.thread}: {report.policy}" for report in stats.priorities]
    return lines


class StatusLine:
    """One line on standard error that is written over and over; nothing where that is no terminal."""

    def __init__(self) -> None:
        # Without standard error, as after 2>&-, there is nobody to show it to.
        self.is_shown = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._text = ""

    def show(self, text: str) -> None:
        """Replace the line, cut to the width of the terminal."""
        if self.is_shown and text != self._text:
            self._text = text
            width = shutil.get_terminal_size().columns
            sys.stderr.write(_CLEAR + text[: max(1, width - 1)])
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away, before something else is written."""
        if self.is_shown and self._text:
            self._text = ""
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
