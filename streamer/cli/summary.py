"""What a session did, in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.file_session import SessionReport

__all__ = ["summary_lines"]


def summary_lines(report: SessionReport) -> list[str]:
    """Say what a user asks first: the latency and what it is made of, misses, coverage, and time to spare."""
    stats = report.stats
    p50, p99, longest = (1000 * report.process_percentile_s(percent) for percent in (50, 99, 100))
    block_ms = 1000 * report.block_s
    lines = [
        f"latency   {report.latency}",
        f"misses    {stats.misses} of {stats.blocks} blocks",
        f"coverage  {100 * stats.coverage:.2f} % of the sound was separated",
        f"model     p50 {1000 * stats.compute_p50_s:.2f} ms, p99 {1000 * stats.compute_p99_s:.2f} ms, "
        f"max {1000 * stats.compute_max_s:.2f} ms for a hop of {1000 * report.hop_s:.2f} ms",
    ]
    if report.is_realtime:
        lines.append(
            f"blocks    p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {longest:.2f} ms for a block of {block_ms:.2f} ms; "
            f"the latest came {1000 * report.longest_lag_s:.2f} ms late"
        )
    return lines
