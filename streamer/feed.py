"""What lies between the audio side and the worker of one stream: input ring, rate bridges, results, epochs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.lock_keeping import copy
from engine.ring import FrameRing
from engine.separator import Runner, Separator
from engine.stream import WindowStream
from engine.worker import WAITING
from streamer.latency import StreamTiming
from streamer.resample import RateBridge

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
    ) -> None:
        self._separator = separator
        self.timing = timing
        self.realtime = realtime
        self._latency = latency_frames
        self._guard = guard_frames
        self._carried = carried
        self._channels = channels
        plan, spec = timing.plan, separator.spec
        self.stream = WindowStream(spec, plan, keep_provisional=True)
        hop = timing.to_host(plan.hop_frames)
        kept = timing.to_host(max(plan.window_frames, spec.priming_frames + plan.hop_frames)) + 2 * hop
        backlog = max(4 * max_block_frames, 8 * hop, timing.host_rate)
        self.ring = FrameRing((channels,), latency_frames + kept + backlog)
        longest = hop + timing.to_host(plan.provisional_frames) + 2
        slots = (latency_frames + max_block_frames) // plan.hop_frames + max_block_frames // hop + _SPARE_RESULTS
        self._slots = [Result(np.zeros((len(carried), channels, longest), np.float32)) for _ in range(slots)]
        self._published = 0
        self._recycled = 0
        self._epoch = _Epoch(0, 0)
        self._due_index = plan.first_index
        self.finished = -1
        """Index of the newest window of the current epoch that has an outcome."""
        self.cursor = -latency_frames
        """Input frame that the next output frame belongs to; set by the audio side, read by the worker."""
        self.counters = FeedCounters()
        self._worker_epoch = -1
        self._origin = self._model_origin = self._model_silent_before = 0
        self._frontier = 0
        self._gap = True
        self._last_run_frames = 0.0
        if timing.is_bridged:
            self._open_bridges(spec.channels)
        self._model_stems = np.zeros((len(carried), channels, plan.hop_frames + plan.provisional_frames), np.float32)
        self._mono = np.zeros((1, plan.window_frames), np.float32)

    def _open_bridges(self, model_channels: int) -> None:
        timing, plan = self.timing, self.timing.plan
        chunk = max(timing.to_host(plan.hop_frames), 256)
        self._chunk = np.zeros((self._channels, chunk), np.float32)
        self._into_model = RateBridge(timing.host_rate, timing.model_rate, self._channels, chunk)
        kept_model = max(plan.window_frames, plan.hop_frames * (self.stream.priming_hops + 1))
        room = chunk * timing.model_rate // timing.host_rate + 2
        self._model_ring = FrameRing(
            (self._channels,), kept_model + self.ring.capacity * timing.model_rate // timing.host_rate
        )
        self._model_chunk = np.zeros((self._channels, room + 512), np.float32)
        rows = len(self._carried) * self._channels
        self._from_model = RateBridge(timing.model_rate, timing.host_rate, rows, max(plan.hop_frames, 256))

    # The audio side.

    def append(self, block: npt.NDArray[np.float32]) -> bool:
        """Take a block, shape (channels, n); True if a window has become due."""
        self.ring.append(block)
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
        if self.timing.newest_due(heard) < stream.next_index:
            return None
        if not self.realtime:
            return WAITING
        return (self._deadline(stream.next_index) + self._latency - heard) / self.timing.host_rate

    def load(self, runner: Runner, row: int) -> bool:
        """Put the next window that is worth running into a row."""
        self._follow_epoch()
        stream = self.stream
        newest = self.timing.newest_due(self.ring.written - self._origin)
        if newest < stream.next_index:
            return False
        if self.realtime and not stream.windows_under_way:
            self._skip_hopeless(newest)
        if self.timing.is_bridged:
            self._convert_input(self.timing.plan.end_of(stream.next_index))
        if stream.load(self._read, runner, row):
            return True
        # The input was overwritten while the worker was away: go on with the newest window.
        self._skip_to(max(newest, stream.next_index + 1))
        return False

    def store(self, runner: Runner, row: int, elapsed_s: float) -> None:
        """Publish what a window made known."""
        self._note(elapsed_s)
        index, delivered = self.stream.store(runner, row)
        if delivered:
            self._publish(index)
        else:
            self.counters.primed += 1

    def fail(self, error: Exception, elapsed_s: float) -> None:
        """Publish that a window gave nothing, and leave a gap after it."""
        if isinstance(error, FloatingPointError):
            self.counters.non_finite += 1
        else:
            self._note(elapsed_s)
            self.counters.exceptions += 1
        index = self.stream.fail()
        self._gap = True
        self._fill_slot(index, self._frontier, self._frontier, self._frontier)

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
        self._origin = epoch.origin
        self._frontier = 0
        self.stream.start(self.timing.plan.first_index)
        self._gap = True
        if self.timing.is_bridged:
            self._into_model.restart(0)
            self._model_origin = self._model_silent_before = self._model_ring.written

    def _deadline(self, index: int) -> int:
        """Input frame before whose playing the window's result must be there."""
        return self.timing.final_before(index - 1) - self._guard

    def _skip_hopeless(self, newest: int) -> None:
        """Leave out windows that are late already, up to the first due one that can still be on time.

        A stateful model runs through a short backlog instead, since that is no more work than priming a fresh state.
        """
        index, priming = self.stream.next_index, self.stream.priming_hops
        if newest == index or self.cursor <= self._deadline(index):
            return
        target = index + 1
        while target < newest and not self._can_be_on_time(target, 1 + priming):
            target += 1
        if target - index > priming:
            self._skip_to(target)

    def _can_be_on_time(self, index: int, runs: int) -> bool:
        """Whether so many runs, each as long as the last one, leave the window before its deadline."""
        left = self._deadline(index) + self._latency - (self.ring.written - self._origin)
        return left > runs * self._last_run_frames

    def _skip_to(self, index: int) -> None:
        self.counters.skipped += index - self.stream.next_index
        self.stream.start(index)
        self._gap = True

    def _read(self, start: int, out: npt.NDArray[np.float32]) -> bool:
        """Copy model frames, in the model's channels; what lies before the epoch is silence."""
        ring, position, silent_before = self.ring, self._origin + start, self._origin
        if self.timing.is_bridged:
            ring, position, silent_before = self._model_ring, self._model_origin + start, self._model_silent_before
        heard = out if out.shape[0] == self._channels else self._mono[:, : out.shape[1]]
        whole = ring.copy(position, heard, origin=silent_before)
        if heard is not out:
            out[...] = heard
        return whole

    def _convert_input(self, model_end: int) -> None:
        """Bring the model's ring up to ``model_end``; the arithmetic of the rates says that the input is there."""
        bridge, timing = self._into_model, self.timing
        target = -(-model_end * timing.host_rate // timing.model_rate) + timing.in_hold_frames
        while bridge.fed < target:
            n = min(self._chunk.shape[-1], target - bridge.fed)
            chunk = self._chunk[:, :n]
            if not self.ring.copy(self._origin + bridge.fed, chunk, origin=self._origin):
                self._restart_input(target - self.ring.capacity // 2)
                continue
            bridge.feed(chunk)
            while bridge.available > bridge.taken:
                taken = self._model_chunk[:, : min(self._model_chunk.shape[-1], bridge.available - bridge.taken)]
                bridge.take(taken)
                self._model_ring.append(taken)

    def _restart_input(self, host_frame: int) -> None:
        """Go on converting at ``host_frame`` after input was lost; what came before is silence to the model."""
        self._into_model.restart(max(0, host_frame))
        self._model_origin = self._model_ring.written - self._into_model.taken
        self._model_silent_before = self._model_ring.written

    def _publish(self, index: int) -> None:
        """Hand the newly final and the provisional frames of the window just stored to the audio side."""
        plan, timing, overlap = self.timing.plan, self.timing, self.stream.overlap
        hop = plan.hop_frames
        self._carry(overlap.final, self._model_stems[..., :hop])
        self._carry(overlap.provisional, self._model_stems[..., hop:])
        begin = plan.final_before(index) - hop
        skipped = max(0, -begin)
        restarts, self._gap = self._gap, False
        if restarts:
            self._frontier = timing.host_after_gap(begin)
        first, final = self._frontier, max(self._frontier, timing.final_before(index))
        usable = plan.provisional_frames if self.stream.lookahead_is_finite else plan.delivery_frames - hop
        known = max(final, timing.known_before(index, usable))
        if timing.is_bridged:
            known = self._convert_output(begin + skipped, skipped, restarts, first, final, known, usable)
        else:
            copy(self._slot.stems[..., : known - first], self._model_stems[..., first - begin : known - begin])
        self._fill_slot(index, first, final, known)

    def _convert_output(
        self, begin: int, skipped: int, restarts: bool, first: int, final: int, known: int, usable: int
    ) -> int:
        bridge, hop = self._from_model, self.timing.plan.hop_frames
        rows = self._model_stems.reshape(-1, self._model_stems.shape[-1])
        if restarts:
            bridge.feed_zeros(begin - bridge.restart(begin))
        if skipped < hop:
            bridge.feed(rows[:, skipped:hop])
        out = self._slot.stems.reshape(-1, self._slot.stems.shape[-1])
        bridge.skip(max(0, first - bridge.taken))
        if final > first:
            bridge.take(out[:, : final - first])
        if known == final or skipped >= hop:
            return final
        return final + bridge.preview(rows[:, hop : hop + usable], out[:, final - first : known - first])

    def _carry(self, stems: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
        """Copy the stems that are handed on, averaged where the host is mono."""
        for row, stem in enumerate(self._carried):
            if stems.shape[1] == self._channels:
                copy(out[row], stems[stem])
            else:
                np.add(stems[stem, 0], stems[stem, 1], out=out[row, 0])
                out[row, 0] *= 0.5

    @property
    def _slot(self) -> Result:
        return self._slots[self._published % len(self._slots)]

    def _fill_slot(self, index: int, first: int, final: int, known: int) -> None:
        self._frontier = final
        if self._epoch.number != self._worker_epoch:
            self.counters.stale += 1
            return
        slot = self._slot
        slot.epoch, slot.index = self._worker_epoch, index
        slot.first, slot.final, slot.known = first, final, known
        self._published += 1
