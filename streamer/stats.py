"""What a processor counted: one number per failure, and coverage beside every count of misses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from streamer.feed import FeedCounters
from streamer.timeline import BlockRungs

__all__ = ["Counters", "ProcessorStats", "summarise"]


@dataclass
class Counters:
    """Counts of the audio side; written by the thread that calls ``process``."""

    blocks: int = 0
    frames: int = 0
    misses: int = 0
    final_frames: int = 0
    late_frames: int = 0
    provisional_frames: int = 0
    mixture_frames: int = 0
    bypassed_frames: int = 0
    late_results: int = 0
    dropped_results: int = 0

    def add(self, rungs: BlockRungs, frames: int) -> None:
        """Count a block."""
        self.blocks += 1
        self.frames += frames
        self.add_tail(rungs)
        if rungs.provisional or rungs.mixture:
            self.misses += 1

    def add_tail(self, rungs: BlockRungs) -> None:
        """Count frames that were given without any being taken in."""
        self.final_frames += rungs.final
        self.late_frames += rungs.late
        self.provisional_frames += rungs.provisional
        self.mixture_frames += rungs.mixture
        self.bypassed_frames += rungs.bypassed


@dataclass(frozen=True)
class ProcessorStats:
    """Counts since ``prepare``.

    Attributes
    ----------
    blocks, frames : int
        Taken in.
    misses : int
        Blocks for which no final result was there in time.
    coverage : float
        Share of the frames given out that were really separated, fades counted as not; 1.0 before the first one.
        Frames that were bypassed on purpose are left out.
    final_frames, late_frames, provisional_frames, mixture_frames : int
        Frames by rung of the deadline ladder.
    bypassed_frames : int
    late_results, dropped_results : int
        Results that came after their deadline, and those of them that were no longer of use.
    windows, primed_windows, skipped_windows, stale_windows : int
        Run by the model; run only to prime a fresh state; left out because they could no longer be on time; run
        for an epoch that had ended.
    model_exceptions, non_finite_outputs : int
        Faults of the model.
    non_finite_input_samples : int
        Replaced by silence.
    resets : int
    is_too_fast : bool
        Live audio once came more than 1.5 times faster than the clock: it was not paced, and most of it was missed.
    compute_p50_s, compute_p99_s, compute_max_s : float
        Time of a run of the model, over the newest 4,096 windows; a batch counts for each window in it.
    """

    blocks: int
    frames: int
    misses: int
    coverage: float
    final_frames: int
    late_frames: int
    provisional_frames: int
    mixture_frames: int
    bypassed_frames: int
    late_results: int
    dropped_results: int
    windows: int
    primed_windows: int
    skipped_windows: int
    stale_windows: int
    model_exceptions: int
    non_finite_outputs: int
    non_finite_input_samples: int
    resets: int
    is_too_fast: bool
    compute_p50_s: float
    compute_p99_s: float
    compute_max_s: float

    def __add__(self, later: ProcessorStats) -> ProcessorStats:
        """Sum the counts up with those of a processor that came after; the times are the later one's."""
        counts = {
            field.name: getattr(self, field.name) + getattr(later, field.name)
            for field in fields(self)
            if field.type == "int"
        }
        total = replace(later, **counts, is_too_fast=self.is_too_fast or later.is_too_fast)
        separated = total.final_frames + total.late_frames + total.provisional_frames
        return replace(total, coverage=_coverage(separated, total.mixture_frames))

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        return asdict(self)


def summarise(
    counters: Counters, worker: FeedCounters, *, non_finite_input_samples: int, resets: int, is_too_fast: bool
) -> ProcessorStats:
    """Make a snapshot; allocates, so not for every block."""
    times = worker.compute_s[: min(worker.windows, len(worker.compute_s))]
    p50, p99, longest = (float(v) for v in np.percentile(times, (50, 99, 100))) if len(times) else (0.0, 0.0, 0.0)
    return ProcessorStats(
        **{f.name: getattr(counters, f.name) for f in fields(Counters)},
        coverage=_coverage(
            counters.final_frames + counters.late_frames + counters.provisional_frames, counters.mixture_frames
        ),
        windows=worker.windows,
        primed_windows=worker.primed,
        skipped_windows=worker.skipped,
        stale_windows=worker.stale + worker.stale_results,
        model_exceptions=worker.exceptions,
        non_finite_outputs=worker.non_finite,
        non_finite_input_samples=non_finite_input_samples,
        resets=resets,
        is_too_fast=is_too_fast,
        compute_p50_s=p50,
        compute_p99_s=p99,
        compute_max_s=longest,
    )


def _coverage(separated_frames: int, mixture_frames: int) -> float:
    given = separated_frames + mixture_frames
    return separated_frames / given if given else 1.0
