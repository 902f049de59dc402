"""One stream from block to stems: hear, take what the worker has, decide, render. The audio side's inner loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from engine.denormals import DenormalsAsZero
from engine.errors import LifecycleError
from engine.separator import Separator
from engine.worker_client import WorkerLike
from streamer.assembler import Assembler
from streamer.feed import Feed
from streamer.operating_point import Host, OperatingPoint
from streamer.stats import Counters, ProcessorStats, summarise
from streamer.timeline import BlockRungs, Timeline

__all__ = ["Pipeline"]

F32 = npt.NDArray[np.float32]


class Pipeline:
    """The parts of a prepared processor, wired up. Used by one thread; only the feed is shared with the worker.

    Parameters
    ----------
    separator : Separator
    point : OperatingPoint
    host : Host
    worker : Worker
    mixture_consistent : bool
        The residual is the delayed input less the other stems.
    clock : callable
        Gives seconds that never run backwards.

    Attributes
    ----------
    timeline : Timeline
    """

    def __init__(
        self,
        separator: Separator,
        point: OperatingPoint,
        host: Host,
        worker: WorkerLike,
        *,
        mixture_consistent: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        spec, latency, block = separator.spec, point.latency, host.max_block_frames
        self._worker = worker
        self._first_index = point.timing.plan.first_index
        self._guard = latency.guard_frames
        self._assembler = Assembler(
            stems=len(spec.output_stems),
            residual_index=spec.residual_index,
            channels=host.channels,
            max_block_frames=block,
            known_frames=latency.total_frames,
            residual_is_modelled=not mixture_consistent and spec.residual in spec.stems,
        )
        self.timeline = Timeline(latency.total_frames, latency.guard_frames)
        self.timeline.reserve(block)
        self._feed = Feed(
            separator,
            point.timing,
            channels=host.channels,
            latency_frames=latency.total_frames,
            guard_frames=latency.guard_frames,
            max_block_frames=block,
            realtime=host.realtime,
            carried=self._assembler.carried,
            clock=clock,
        )
        self._mixture = np.zeros((host.channels, block), np.float32)
        self._levels = np.zeros(block, np.float32)
        self._rungs = BlockRungs()
        self._counters = Counters()
        self._denormals = DenormalsAsZero()

    def attach(self) -> tuple[float, ...]:
        """Join the worker, which warms the model up; returns the seconds of its timed runs."""
        return self._worker.attach(self._feed)

    def time_runs(self, runs: int, seconds: float) -> tuple[float, ...]:
        """Give the seconds of so many runs of the model, or of those that fit; before the stream begins."""
        return self._worker.time_runs(self._feed, runs=runs, seconds=seconds)

    def detach(self) -> None:
        """Leave the worker."""
        self._worker.detach(self._feed)

    def reset(self) -> None:
        """Start a new epoch; results of the old one are dropped."""
        self._feed.begin_epoch()
        self.timeline.reset()
        self._assembler.reset()

    @property
    def misses(self) -> int:
        """Blocks for which no final result was there in time."""
        return self._counters.misses

    def stats(self, *, non_finite_input_samples: int, resets: int, is_too_fast: bool) -> ProcessorStats:
        """Make a snapshot of all counts."""
        return summarise(
            self._counters,
            self._feed.counters,
            non_finite_input_samples=non_finite_input_samples,
            resets=resets,
            is_too_fast=is_too_fast,
        )

    def advance(self, block: F32, out: F32, *, waits: bool, deadline: float = math.inf, is_tail: bool = False) -> None:
        """Move the stream on by a block.

        Parameters
        ----------
        block : ndarray of float32, shape (channels, frames)
            Finite.
        out : ndarray of float32, shape (stems, channels, frames)
            Filled. Shorter than the block at the very end of a stream alone.
        waits : bool
            Wait for the windows that the block needs.
        deadline : float
            Until when, in seconds of ``time.monotonic``.
        is_tail : bool
            The block is not input but silence that drives out the end.
        """
        with self._denormals:
            self._advance(block, out, waits, deadline)
        if is_tail:
            self._counters.add_tail(self._rungs)
        else:
            self._counters.add(self._rungs, block.shape[-1])

    def _advance(self, block: F32, out: F32, waits: bool, deadline: float) -> None:
        feed, timeline = self._feed, self.timeline
        frames = out.shape[-1]
        cursor = timeline.cursor
        if feed.append(block):
            self._worker.wake()
        self._take_results()
        if waits:
            # What comes within the guard decides whether a fade must begin in this block.
            self._await(feed.timing.window_for(cursor + frames - 1 + self._guard), deadline)
        levels, mixture = self._levels[:frames], self._mixture[:, :frames]
        timeline.block(frames, levels, self._rungs)
        feed.ring.copy(feed.origin + cursor, mixture, origin=feed.origin)
        self._assembler.render(cursor, levels, mixture, out, is_whole=self._rungs.separated == frames)
        feed.cursor = timeline.cursor

    def _take_results(self) -> None:
        feed, timeline = self._feed, self.timeline
        while (result := feed.poll()) is not None:
            if result.known > result.first:
                if timeline.cursor > result.first - self._guard:
                    self._counters.late_results += 1
                admission = timeline.admit(result.first, result.final, result.known)
                if admission.start >= 0:
                    self._assembler.keep(result, admission)
                else:
                    self._counters.dropped_results += 1
            feed.recycle()
            self._worker.wake()

    def _await(self, index: int, deadline: float) -> None:
        """Take results until window ``index`` has its outcome, or until the deadline."""
        feed = self._feed
        while index >= self._first_index and feed.finished < index:
            left = None if deadline == math.inf else max(0.0, deadline - time.monotonic())
            if not self._worker.wait(feed.has_results, left):
                if left is None:
                    raise LifecycleError("the worker's thread has ended on an error, see its log: use a new Worker")
                return
            self._take_results()
