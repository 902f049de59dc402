"""What lies between the audio side and the worker of one stream: the input ring, results, epochs, what to skip."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.ring import FrameRing
from engine.separator import Runner, Separator
from engine.stream import WindowStream
from engine.worker_client import CATCHING_UP, WAITING
from streamer.catch_up import window_to_run
from streamer.host_output import HostOutput, Span
from streamer.latency import StreamTiming
from streamer.model_input import ModelInput

__all__ = ["Feed", "FeedCounters", "Result"]

_SPARE_RESULTS = 4
_COMPUTE_HISTORY = 4096


@dataclass
class Result:
    """What one window made known, on the host's axis. A slot: it is filled again and again.

    Attributes
    ----------
    epoch, index : int
    first, final, known : int
        ``stems`` holds the host frames ``[first, known)``; those from ``final`` on are provisional. All equal
        where the window failed or gave nothing yet.
    stems : ndarray of float32, shape (stems carried, channels, capacity)
    """

    stems: npt.NDArray[np.float32]
    epoch: int = -1
    index: int = -1
    first: int = 0
    final: int = 0
    known: int = 0


@dataclass
class FeedCounters:
    """What the worker's side saw; written by the worker, read by anyone."""

    windows: int = 0
    primed: int = 0
    skipped: int = 0
    exceptions: int = 0
    non_finite: int = 0
    stale: int = 0
    stale_results: int = 0
    """Those of an ended epoch that had been published; counted by the audio side."""
    compute_s: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(_COMPUTE_HISTORY))


@dataclass(frozen=True)
class _Epoch:
    number: int
    origin: int
    """Position in the ring of the epoch's frame 0."""


class Feed:
    """One stream between its processor and the worker. Every length is in host frames unless it says model.

    The audio side calls ``append``, ``begin_epoch``, ``poll`` and ``recycle``; the worker calls the methods of
    ``WorkerClient``. Neither side ever waits for the other and no lock is held; results travel through a fixed
    number of slots, and one of an older epoch is dropped by whoever sees it first.

    Parameters
    ----------
    separator : Separator
    timing : StreamTiming
    channels : int
        Of the host: the model's, or 1 for a stereo model (duplicated in, averaged out).
    latency_frames, guard_frames : int
    max_block_frames : int
    realtime : bool
        Windows that can no longer be on time may be skipped for newer ones.
    carried : tuple of int
        The model's stems that are handed on; the residual one is made by subtraction and need not be converted.
    clock : callable
        Gives seconds that never run backwards.
    """

    def __init__(
        self,
        separator: Separator,
        timing: StreamTiming,
        *,
        channels: int,
        latency_frames: int,
        guard_frames: int,
        max_block_frames: int,
        realtime: bool,
        carried: tuple[int, ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._max_block = max_block_frames
        self._heard_at = clock()
        self._separator = separator
        self.timing = timing
        self.realtime = realtime
        self._latency = latency_frames
        self._guard = guard_frames
        plan, spec = timing.plan, separator.spec
        self.stream = WindowStream(separator, plan, keep_provisional=True)
        hop = timing.to_host(plan.hop_frames)
        kept = timing.to_host(max(plan.window_frames, spec.priming_frames + plan.hop_frames)) + 2 * hop
        backlog = max(4 * max_block_frames, 8 * hop, timing.host_rate)
        self.ring = FrameRing((channels,), latency_frames + kept + backlog)
        self._input = ModelInput(
            self.ring,
            timing,
            channels=channels,
            model_channels=spec.channels,
            kept_frames=max(plan.window_frames, plan.hop_frames * (self.stream.priming_hops + 1)),
        )
        self._output = HostOutput(timing, channels=channels, carried=carried)
        slots = (latency_frames + max_block_frames) // plan.hop_frames + max_block_frames // hop + _SPARE_RESULTS
        lead = (len(carried), channels, self._output.longest_frames)
        self._slots = [Result(np.zeros(lead, np.float32)) for _ in range(slots)]
        self._published = 0
        self._recycled = 0
        self._epoch = _Epoch(0, 0)
        self._due_index = plan.first_index
        self.finished = -1
        """Index of the newest window of the current epoch that has an outcome."""
        self.cursor = -latency_frames
        """Input frame that the next output frame belongs to; set by the audio side, read by the worker."""
        self.counters = FeedCounters()
        self._worker_epoch = self._reported = -1
        self._origin = 0
        self._last_run_frames = 0.0

    # The audio side.

    def append(self, block: npt.NDArray[np.float32]) -> bool:
        """Take a block, shape (channels, n); True if a window has become due."""
        self.ring.append(block)
        # After the frames, so that whoever reads in between has less time than there is, not more.
        self._heard_at = self._clock()
        newest = self.timing.newest_due(self.heard)
        if newest < self._due_index:
            return False
        self._due_index = newest + 1
        return True

    @property
    def heard(self) -> int:
        """Frames appended in this epoch."""
        return self.ring.written - self._epoch.origin

    @property
    def origin(self) -> int:
        """Position in the ring of this epoch's frame 0."""
        return self._epoch.origin

    def begin_epoch(self) -> None:
        """Start over at the next frame; whatever is under way is forgotten."""
        self._epoch = _Epoch(self._epoch.number + 1, self.ring.written)
        self._due_index = self.timing.plan.first_index
        self.cursor = -self._latency
        self.finished = -1
        while self.poll() is not None:
            self.recycle()

    def poll(self) -> Result | None:
        """Give the oldest result of this epoch that was not recycled yet."""
        while self._recycled < self._published:
            result = self._slots[self._recycled % len(self._slots)]
            if result.epoch == self._epoch.number:
                self.finished = max(self.finished, result.index)
                return result
            self.counters.stale_results += 1
            self._recycled += 1
        return None

    def recycle(self) -> None:
        """Hand the result that ``poll`` gave back to the worker."""
        self._recycled += 1

    def has_results(self) -> bool:
        """Whether ``poll`` would find anything."""
        return self._recycled < self._published

    # The worker's side.

    @property
    def separator(self) -> Separator:
        """The model."""
        return self._separator

    @property
    def window_frames(self) -> int:
        """Model frames of a window."""
        return self.timing.plan.window_frames

    def slack_s(self) -> float | None:
        """Seconds until the next due window must be ready; None if none can run."""
        self._follow_epoch()
        stream = self.stream
        if not stream.can_load() or self._published + stream.windows_under_way - self._recycled >= len(self._slots):
            return None
        heard = self.ring.written - self._origin
        newest = self.timing.newest_due(heard)
        if newest < stream.next_index:
            return None
        if not self.realtime:
            return WAITING
        self._leave_out_late(newest)
        if not stream.next_is_delivered or self.cursor > self._deadline(stream.next_index):
            return CATCHING_UP
        left_frames = self._deadline(stream.next_index) + self._latency - heard
        return left_frames / self.timing.host_rate - (self._clock() - self._heard_at)

    def due_in_s(self) -> float | None:
        """Seconds until the next window falls due at the latest, if audio goes on as it should; None if unknown."""
        if not self.realtime or not self.stream.next_is_delivered:
            return None
        needed = self.timing.heard_for(self.timing.plan.end_of(self.stream.next_index)) + self._max_block - 1
        missing = needed - (self.ring.written - self._origin)
        left_s = missing / self.timing.host_rate - (self._clock() - self._heard_at)
        return left_s if left_s > 0 else None

    def load(self, runner: Runner, row: int) -> bool:
        """Put the next window that is worth running into a row."""
        self._follow_epoch()
        stream = self.stream
        newest = self.timing.newest_due(self.ring.written - self._origin)
        if newest < stream.next_index:
            return False
        is_there = self._input.convert_before(self.timing.plan.end_of(stream.next_index))
        if is_there and stream.load(self._input.read, runner, row):
            return True
        # The input was overwritten while the worker was away: go on with the newest window.
        self._skip_to(max(newest, stream.next_index + 1))
        return False

    def store(self, runner: Runner, row: int, elapsed_s: float) -> None:
        """Publish what a window made known."""
        self._note(elapsed_s)
        stream, plan = self.stream, self.timing.plan
        index, delivered = stream.store(runner, row)
        if not delivered:
            self.counters.primed += 1
            if index > self._reported:
                # Nobody may wait for an outcome that a window which only primes cannot have.
                self._publish(index, self._output.nothing())
            return
        faded = plan.delivery_frames - plan.hop_frames
        usable = plan.provisional_frames if stream.lookahead_is_finite else faded
        self._publish(index, self._output.write(stream.overlap, index, usable, self._slot.stems))

    def fail(self, error: Exception, elapsed_s: float) -> None:
        """Publish that a window gave nothing, and leave a gap after it."""
        if isinstance(error, FloatingPointError):
            self.counters.non_finite += 1
        else:
            self._note(elapsed_s)
            self.counters.exceptions += 1
        index = self.stream.fail()
        self._output.leave_gap()
        self._publish(index, self._output.nothing())

    def _note(self, elapsed_s: float) -> None:
        counters = self.counters
        counters.compute_s[counters.windows % _COMPUTE_HISTORY] = elapsed_s
        counters.windows += 1
        self._last_run_frames = elapsed_s * self.timing.host_rate

    def _follow_epoch(self) -> None:
        epoch = self._epoch
        if epoch.number == self._worker_epoch or self.stream.windows_under_way:
            return
        self._worker_epoch = epoch.number
        self._reported = -1
        self._origin = epoch.origin
        self.stream.start(self.timing.plan.first_index)
        self._input.begin(epoch.origin)
        self._output.begin()
        self._last_run_frames = 0.0

    def _deadline(self, index: int) -> int:
        """Input frame before whose playing the window's result must be there."""
        return self.timing.final_before(index - 1) - self._guard

    def _leave_out_late(self, newest: int) -> None:
        if self.stream.windows_under_way:
            return
        index = window_to_run(
            self.stream.next_index,
            newest,
            self._deadline,
            playing=self.ring.written - self._origin - self._latency,
            run_frames=self._last_run_frames,
            priming_hops=self.stream.priming_hops,
        )
        if index != self.stream.next_index:
            self._skip_to(index)

    def _skip_to(self, index: int) -> None:
        # Windows that were to prime a state had been left out, and counted, before.
        self.counters.skipped += max(0, index - max(self.stream.next_index, self.stream.first_delivered))
        self.stream.start(index)
        self._output.leave_gap()

    @property
    def _slot(self) -> Result:
        return self._slots[self._published % len(self._slots)]

    def _publish(self, index: int, span: Span) -> None:
        self._reported = max(self._reported, index)
        if self._epoch.number != self._worker_epoch:
            self.counters.stale += 1
            return
        slot = self._slot
        slot.epoch, slot.index = self._worker_epoch, index
        slot.first, slot.final, slot.known = span.first, span.final, span.known
        self._published += 1
