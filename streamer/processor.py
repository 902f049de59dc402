"""The plugin-style face of the engine: prepare, process, flush, reset, release."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engine.denormals import DenormalsAsZero
from engine.errors import BlockError, ConfigurationError, LatencyError, LifecycleError
from engine.plan import WindowPlan, live_plan
from engine.separator import Separator
from engine.spec import ModelSpec
from engine.worker import Worker, WorkerLike
from streamer.assembler import Assembler
from streamer.feed import Feed
from streamer.latency import LatencyReport, StreamTiming, plan_latency
from streamer.stats import Counters, ProcessorStats, summarise
from streamer.timeline import BlockRungs, Timeline

__all__ = ["MAX_SAMPLE_RATE", "MIN_SAMPLE_RATE", "StemProcessor"]

F32 = npt.NDArray[np.float32]
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 8_000, 192_000
_TOO_FAST = 1.5
"""Live audio that comes this many times faster than the clock for a second is not live."""


class _State(Enum):
    RELEASED = "not prepared"
    READY = "prepared"
    FLUSHED = "flushed"


class StemProcessor:
    """Separates audio block by block with a latency that is constant from ``prepare`` to ``release``.

    Parameters
    ----------
    separator : Separator
        What ``engine.load_separator`` gives.
    latency_s : float, optional
        The latency to have, in seconds; what the model does not need becomes time for the worker. Left out: the
        smallest that works when blocks wait for the model, and one hop of time for the worker when they do not.
    realtime : bool
        False: ``process`` waits for the model, for renders and plain loops. True: it never waits, and what is not
        there in time is replaced as the deadline ladder says.
    worker : Worker, optional
        One for several processors lets them share batches. Left out: one of its own.
    plan : WindowPlan, optional
        How a windowed model's audio is cut; left out: what its spec recommends, with a hop that fits the latency.
    mixture_consistent : bool
        True: the residual stem is the delayed input less the others, so that the stems add up to it. False: it is the
        model's own, where the model has one.
    clock : callable
        Gives seconds that never run backwards; only to notice live audio that comes faster than time.

    Notes
    -----
    One thread calls ``process``, ``flush`` and ``reset``; ``stats`` and the properties may be read from any. After
    ``prepare`` no array is allocated per block.

    Examples
    --------
    >>> from engine import load_separator
    >>> processor = StemProcessor(load_separator("spatial"))
    >>> with processor.prepare(sample_rate=48_000, channels=2, max_block_frames=512):
    ...     stems = processor.process(np.zeros((2, 512), np.float32))
    >>> stems.shape
    (4, 2, 512)
    """

    def __init__(
        self,
        separator: Separator,
        *,
        latency_s: float | None = None,
        realtime: bool = False,
        worker: WorkerLike | None = None,
        plan: WindowPlan | None = None,
        mixture_consistent: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if latency_s is not None and not (math.isfinite(latency_s) and latency_s > 0):
            raise ConfigurationError(f"latency_s={latency_s} is not a latency: give seconds above 0, or leave it out")
        if plan is not None and plan.stateful != separator.spec.stateful:
            kinds = ("windowed", "stateful")
            raise ConfigurationError(
                f"a {kinds[plan.stateful]} plan does not fit {separator.spec.name!r}, "
                f"which is {kinds[separator.spec.stateful]}: leave plan out"
            )
        self._separator = separator
        self._latency_s = latency_s
        self._realtime = realtime
        self._given_worker = worker
        self._given_plan = plan
        self._mixture_consistent = mixture_consistent
        self._clock = clock
        self._denormals = DenormalsAsZero()
        self._state = _State.RELEASED

    @property
    def spec(self) -> ModelSpec:
        """Facts about the model."""
        return self._separator.spec

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems, in the order of the first axis of what ``process`` gives."""
        return self.spec.output_stems

    @property
    def is_realtime(self) -> bool:
        """Whether ``process`` never waits."""
        return self._realtime

    @property
    def latency(self) -> LatencyReport:
        """What the latency is made of."""
        self._require_prepared()
        return self._latency

    @property
    def latency_frames(self) -> int:
        """Input frame n comes out as frame n plus this."""
        return self.latency.total_frames

    @property
    def plan(self) -> WindowPlan:
        """The plan in use, on the model's axis."""
        self._require_prepared()
        return self._feed.timing.plan

    @property
    def bypass(self) -> bool:
        """True: the delayed input in the residual stem, the others silent, faded in and out. The delay stays."""
        self._require_prepared()
        return self._timeline.bypass

    @bypass.setter
    def bypass(self, value: bool) -> None:
        self._require_prepared()
        self._timeline.bypass = value

    def prepare(self, *, sample_rate: int, channels: int, max_block_frames: int, fixed_blocks: bool = False) -> Self:
        """Allocate everything, warm the model up and settle the latency. May be called again with other values.

        Parameters
        ----------
        sample_rate : int
            Of the host, 8,000 to 192,000 Hz; other rates than the model's are converted there and back.
        channels : int
            2, or 1: duplicated in and averaged out for a stereo model.
        max_block_frames : int
            Longest block that ``process`` will get.
        fixed_blocks : bool
            Promise that every block has exactly ``max_block_frames``; saves latency where that divides the hop.

        Raises
        ------
        ConfigurationError
            If a value is not allowed.
        LatencyError
            If ``latency_s`` is too small; the message names the smallest that works.
        """
        self.release()
        _check_setting("sample_rate", sample_rate, MIN_SAMPLE_RATE, MAX_SAMPLE_RATE, "Hz; resample before")
        _check_setting("max_block_frames", max_block_frames, 1, 1 << 20, "frames; use shorter blocks")
        if channels not in {1, self.spec.channels}:
            allowed = " or ".join(str(c) for c in sorted({1, self.spec.channels}))
            raise ConfigurationError(
                f"channels={channels} is not supported: {self.spec.name!r} takes {allowed}; mix down before"
            )
        self._channels, self._max_block, self._fixed = channels, max_block_frames, fixed_blocks
        self._sample_rate = sample_rate
        timing = StreamTiming(self._choose_plan(), sample_rate, self.spec.sample_rate)
        hop = timing.to_host(timing.plan.hop_frames)
        self._latency = self._itemise(timing, compute_frames=hop if self._latency_s is None else 0)
        self._allocate(timing)
        self._worker = Worker() if self._given_worker is None else self._given_worker
        timings = self._worker.attach(self._feed)
        try:
            self._check_compute(timing, timings)
        except LatencyError:
            self._worker.detach(self._feed)
            raise
        self._state = _State.READY
        return self

    def process(self, block: npt.NDArray[Any], out: F32 | None = None) -> F32:
        """Take a block and give as many frames of stems.

        Parameters
        ----------
        block : ndarray of float, shape (channels, frames)
            ``0 < frames <= max_block_frames``; exactly that many where ``fixed_blocks`` was promised. Samples that
            are not finite are replaced by silence and counted.
        out : ndarray of float32, shape (stems, channels, frames), optional
            Where to write; otherwise what is returned is a view that is valid until the next call.

        Returns
        -------
        ndarray of float32, shape (stems, channels, frames)
            The first ``latency_frames`` of a stream come before anything was heard: silence.

        Raises
        ------
        BlockError
            If the block or ``out`` does not fit. Nothing was taken: the next call goes on as if it had not been.
        LifecycleError
            Before ``prepare`` or after ``flush``.
        """
        if self._state is not _State.READY:
            raise LifecycleError(f"process was called while {self._state.value}: {_REMEDIES[self._state]}")
        frames = self._check_block(block, out)
        if self._realtime:
            self._watch_pace(frames)
        staged = self._staged[:, :frames]
        self._stage(block, staged)
        target = self._out[..., :frames] if out is None else out
        self._advance(staged, target, waits=not self._realtime)
        self._counters.add(self._rungs, frames)
        return target

    def flush(self) -> F32:
        """Give the ``latency_frames`` still held back; afterwards only ``reset`` or ``release``.

        Waits for the model, in real time at most as long as these frames last; what is not there then is replaced
        as the deadline ladder says.

        Returns
        -------
        ndarray of float32, shape (stems, channels, latency_frames)
            Valid until the next call.
        """
        if self._state is not _State.READY:
            raise LifecycleError(f"flush was called while {self._state.value}: {_REMEDIES[self._state]}")
        total = self.latency_frames
        deadline = time.monotonic() + total / self._sample_rate if self._realtime else math.inf
        done = 0
        while done < total:
            n = min(self._max_block, total - done)
            staged = self._staged[:, :n]
            staged[...] = 0.0
            self._advance(staged, self._tail[..., done : done + n], waits=True, deadline=deadline)
            self._counters.add_tail(self._rungs)
            done += n
        self._state = _State.FLUSHED
        return self._tail

    def reset(self) -> None:
        """Start a new stream: nothing of the old one is heard, also not of what is under way. Keeps the memory."""
        self._require_prepared()
        self._feed.begin_epoch()
        self._timeline.reset()
        self._assembler.reset()
        self._counters.resets += 1
        self._pace_start = -math.inf
        self._state = _State.READY

    def release(self) -> None:
        """Let go of the worker and the memory. ``prepare`` starts again; a second call does nothing."""
        if self._state is _State.RELEASED:
            return
        self._state = _State.RELEASED
        self._worker.detach(self._feed)
        del self._feed, self._assembler, self._out, self._tail, self._staged

    def stats(self) -> ProcessorStats:
        """Counts since ``prepare``."""
        self._require_prepared()
        return summarise(self._counters, self._feed.counters)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _advance(self, block: F32, out: F32, *, waits: bool, deadline: float = math.inf) -> None:
        """Move the stream on by a block: hear it, take what the worker has, render what is due."""
        with self._denormals:
            self._advance_stream(block, out, waits=waits, deadline=deadline)

    def _advance_stream(self, block: F32, out: F32, *, waits: bool, deadline: float) -> None:
        feed, timeline = self._feed, self._timeline
        frames = block.shape[-1]
        cursor = timeline.cursor
        if feed.append(block):
            self._worker.wake()
        self._take_results()
        if waits:
            self._await(feed.timing.window_for(cursor + frames - 1 + self._latency.guard_frames), deadline)
        timeline.block(frames, self._levels[:frames], self._rungs)
        mixture = self._mixture[:, :frames]
        feed.ring.copy(feed.origin + cursor, mixture, origin=feed.origin)
        self._assembler.render(cursor, self._levels[:frames], mixture, out)
        feed.cursor = timeline.cursor

    def _take_results(self) -> None:
        feed, timeline = self._feed, self._timeline
        while (result := feed.poll()) is not None:
            if result.known > result.first:
                if timeline.cursor > result.first - self._latency.guard_frames:
                    self._counters.late_results += 1
                admission = timeline.admit(result.first, result.final, result.known)
                if admission.start >= 0:
                    self._assembler.keep(result, admission)
                else:
                    self._counters.dropped_results += 1
            feed.recycle()
            self._worker.wake()

    def _await(self, index: int, deadline: float) -> None:
        """Take results until window ``index`` has its outcome."""
        feed = self._feed
        if index < feed.timing.plan.first_index:
            return
        while feed.finished < index:
            left = None if deadline == math.inf else max(0.0, deadline - time.monotonic())
            if not self._worker.wait(feed.has_results, left):
                return
            self._take_results()

    def _choose_plan(self) -> WindowPlan:
        """Halve the hop that the model recommends until reach and compute, one hop each, fit the latency."""
        if self._given_plan is not None:
            return self._given_plan
        plan = live_plan(self.spec)
        if self._latency_s is None or plan.stateful:
            return plan
        while plan.hop_frames > 1:
            timing = StreamTiming(plan, self._sample_rate, self.spec.sample_rate)
            try:
                self._itemise(timing, compute_frames=timing.to_host(plan.hop_frames))
            except LatencyError:
                plan = live_plan(self.spec, hop_frames=plan.hop_frames // 2)
            else:
                return plan
        return plan

    def _itemise(self, timing: StreamTiming, *, compute_frames: int) -> LatencyReport:
        return plan_latency(
            timing,
            max_block_frames=self._max_block,
            fixed_blocks=self._fixed,
            realtime=self._realtime,
            compute_frames=compute_frames,
            total_frames=None if self._latency_s is None else math.floor(self._latency_s * self._sample_rate + 1e-6),
        )

    def _allocate(self, timing: StreamTiming) -> None:
        spec, channels, block = self.spec, self._channels, self._max_block
        stems, latency = len(spec.output_stems), self._latency
        self._assembler = Assembler(
            stems=stems,
            residual_index=spec.residual_index,
            channels=channels,
            max_block_frames=block,
            known_frames=latency.total_frames + block,
            residual_is_modelled=not self._mixture_consistent and spec.residual in spec.stems,
        )
        self._timeline = Timeline(latency.total_frames, latency.guard_frames)
        self._timeline.reserve(block)
        self._feed = Feed(
            self._separator,
            timing,
            channels=channels,
            latency_frames=latency.total_frames,
            guard_frames=latency.guard_frames,
            max_block_frames=block,
            realtime=self._realtime,
            carried=self._assembler.carried,
        )
        self._staged = np.zeros((channels, block), np.float32)
        self._mixture = np.zeros((channels, block), np.float32)
        self._finite = np.zeros((channels, block), np.bool_)
        self._levels = np.zeros(block, np.float32)
        self._rungs = BlockRungs()
        self._out = np.zeros((stems, channels, block), np.float32)
        self._tail = np.zeros((stems, channels, latency.total_frames), np.float32)
        self._counters = Counters()
        self._pace_start, self._pace_frames, self._has_warned = -math.inf, 0, False

    def _check_compute(self, timing: StreamTiming, timings: tuple[float, ...]) -> None:
        """Refuse a budget that the model cannot meet, and warn of one that it will often miss."""
        if not self._realtime or not timings:
            return
        typical = math.ceil(float(np.median(timings)) * self._sample_rate)
        longest = math.ceil(max(timings) * self._sample_rate)
        budget, hop = self._latency.compute_frames, timing.to_host(timing.plan.hop_frames)
        if self._latency_s is not None and budget < typical:
            self._itemise(timing, compute_frames=longest)
        if typical > hop:
            _warn(
                f"{self.spec.name!r} needs {1000 * typical / self._sample_rate:.1f} ms for a hop of "
                f"{1000 * hop / self._sample_rate:.1f} ms on this machine: most of the sound will not be separated; "
                "use a lighter model, a longer hop or a faster device"
            )
        elif longest > budget:
            _warn(
                f"{self.spec.name!r} took up to {1000 * longest / self._sample_rate:.1f} ms in its warm-up and its "
                f"budget is {1000 * budget / self._sample_rate:.1f} ms: expect misses, or raise latency_s"
            )

    def _check_block(self, block: npt.NDArray[Any], out: F32 | None) -> int:
        shape = getattr(block, "shape", None)
        if not isinstance(block, np.ndarray) or block.ndim != 2 or block.shape[0] != self._channels:
            raise BlockError(
                f"a block must be an array of shape ({self._channels}, frames), not "
                f"{type(block).__name__} of shape {shape}: transpose or reshape it"
            )
        if block.dtype.kind != "f":
            raise BlockError(f"a block must hold floats, not {block.dtype}: divide integers by their full scale first")
        frames = block.shape[1]
        if not 0 < frames <= self._max_block or (self._fixed and frames != self._max_block):
            allowed = f"exactly {self._max_block}" if self._fixed else f"1 to {self._max_block}"
            raise BlockError(f"a block of {frames} frames was given: {allowed} were prepared; call prepare for others")
        expected = (len(self.stems), self._channels, frames)
        if out is not None and (out.shape != expected or out.dtype != np.float32):
            raise BlockError(f"out has shape {out.shape} and type {out.dtype}: it must be {expected} and float32")
        return frames

    def _stage(self, block: npt.NDArray[Any], staged: F32) -> None:
        """Copy the block, with silence for samples that are not finite."""
        with np.errstate(over="ignore"):
            np.copyto(staged, block, casting="same_kind")
        finite = self._finite[:, : staged.shape[1]]
        if not np.isfinite(staged, out=finite).all():
            self._counters.non_finite_input_samples += finite.size - int(np.count_nonzero(finite))
            np.logical_not(finite, out=finite)
            np.copyto(staged, 0.0, where=finite)

    def _watch_pace(self, frames: int) -> None:
        """Warn once when live audio comes much faster than the clock: then nothing can be there in time."""
        now = self._clock()
        elapsed = now - self._pace_start
        if elapsed >= 1.0 or elapsed < 0.0:
            self._pace_start, self._pace_frames = now, 0
        self._pace_frames += frames
        if not self._has_warned and self._pace_frames > _TOO_FAST * self._sample_rate:
            self._has_warned = True
            _warn(
                f"live audio comes more than {_TOO_FAST} times faster than the clock, so the model cannot keep up: "
                "pace the blocks, or use realtime=False, which waits for the model"
            )

    def _require_prepared(self) -> None:
        if self._state is _State.RELEASED:
            raise LifecycleError("the processor is not prepared: call prepare first")


_REMEDIES = {_State.RELEASED: "call prepare first", _State.FLUSHED: "call reset to start a new stream"}


def _check_setting(name: str, value: int, low: int, high: int, remedy: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigurationError(
            f"{name}={value!r} is not supported: give a whole number from {low} to {high} {remedy}"
        )


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=4)
