"""The plugin-style face of the engine: prepare, process, flush, reset, release."""

from __future__ import annotations

import math
import time
import warnings
import weakref
from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engine.errors import ConfigurationError, LifecycleError
from engine.plan import WindowPlan, equal_latency_plans
from engine.priority import WORKER_LEVEL, PriorityReport
from engine.separator import Separator
from engine.spec import ModelSpec
from engine.worker import Worker
from engine.worker_client import WorkerLike
from streamer.block_input import BlockInput
from streamer.capacity import Capacity
from streamer.latency import LatencyReport
from streamer.operating_point import Host, check_compute
from streamer.pace import PaceWatch
from streamer.pipeline import Pipeline
from streamer.settling import check_latency, check_plan, settle_on_machine
from streamer.stats import ProcessorStats

__all__ = ["StemProcessor"]

F32 = npt.NDArray[np.float32]


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
    priority : bool
        Its own worker asks for real-time priority, as a live session should.
    plan : WindowPlan, optional
        How a windowed model's audio is cut; left out: what its spec recommends, with a hop that fits the latency.
    mixture_consistent : bool
        True: the residual stem is the delayed input less the others, so that the stems add up to it. False: it is the
        model's own, where the model has one.
    clock : callable
        Gives seconds that never run backwards; to notice live audio that comes faster than time, and what is urgent.

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
        priority: bool = False,
        plan: WindowPlan | None = None,
        mixture_consistent: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not isinstance(separator, Separator):
            raise ConfigurationError(f"{separator!r} is not a Separator: use engine.load_separator to get one")
        check_latency(latency_s)
        check_plan(plan, separator.spec)
        if priority and worker is not None:
            raise ConfigurationError("priority is for a worker of the processor's own: give it to that Worker instead")
        self._separator, self._realtime = separator, realtime
        self._latency_s, self._level = latency_s, WORKER_LEVEL if priority else None
        self._given_worker, self._given_plan = worker, plan
        self._mixture_consistent, self._clock = mixture_consistent, clock
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
    def is_prepared(self) -> bool:
        """Whether somebody prepared it and has not released it."""
        return self._state is not _State.RELEASED

    @property
    def latency(self) -> LatencyReport:
        """What the latency is made of."""
        self._require_prepared()
        return self._point.latency

    @property
    def latency_frames(self) -> int:
        """Input frame n comes out as frame n plus this."""
        return self.latency.total_frames

    @property
    def plan(self) -> WindowPlan:
        """The plan in use, on the model's axis."""
        self._require_prepared()
        return self._point.timing.plan

    @property
    def equal_latency_plans(self) -> tuple[WindowPlan, ...]:
        """Plans with longer hops that have this latency to the frame, and cost less; none for stateful models.

        Preparing with one of them instead trades look-ahead for compute.
        """
        slack = self.latency.slack_frames
        return equal_latency_plans(self.plan, slack, slack)

    @property
    def priority(self) -> PriorityReport | None:
        """What became of the priority that the worker asked for; None where it asked for none."""
        self._require_prepared()
        return getattr(self._worker, "priority", None)

    @property
    def bypass(self) -> bool:
        """True: the delayed input in the residual stem, the others silent, faded in and out. The delay stays."""
        self._require_prepared()
        return self._pipeline.timeline.bypass

    @bypass.setter
    def bypass(self, value: bool) -> None:
        self._require_prepared()
        self._pipeline.timeline.bypass = value

    def prepare(
        self,
        *,
        sample_rate: int,
        channels: int,
        max_block_frames: int,
        fixed_blocks: bool = False,
        latency_s: float | None = None,
    ) -> Self:
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
        latency_s : float, optional
            In place of the one given at construction, for a host that knows only now what its devices leave.

        Raises
        ------
        ConfigurationError
            If a value is not allowed.
        LatencyError
            If ``latency_s`` is too small; the message names the smallest that works.
        """
        self.release()
        check_latency(latency_s)
        wish_s = self._latency_s if latency_s is None else latency_s
        self._host = host = Host(sample_rate, channels, max_block_frames, fixed_blocks, self._realtime)
        self._worker = Worker(priority=self._level) if self._given_worker is None else self._given_worker
        self._point = settle_on_machine(self._separator, host, self._worker, latency_s=wish_s, plan=self._given_plan)
        consistent, clock = self._mixture_consistent, self._clock
        self._pipeline = Pipeline(
            self._separator, self._point, host, self._worker, mixture_consistent=consistent, clock=clock
        )
        stems, latency = len(self.stems), self._point.latency.total_frames
        self._input = BlockInput(
            stems=stems, channels=channels, max_block_frames=max_block_frames, fixed_blocks=fixed_blocks
        )
        self._out = np.zeros((stems, channels, max_block_frames), np.float32)
        self._tail = np.zeros((stems, channels, latency), np.float32)
        self._pace, self._resets = PaceWatch(sample_rate, self._clock), 0
        run_s = self._pipeline.attach()
        # A processor that is dropped without release must not keep a thread.
        self._detach = weakref.finalize(self, self._pipeline.detach)
        self._detach.atexit = False
        try:
            fixed = wish_s is not None
            if (warning := check_compute(self._point, host, self.spec.name, run_s, is_budget_fixed=fixed)) is not None:
                warnings.warn(warning, RuntimeWarning, stacklevel=2)
        except BaseException:
            self._detach()
            raise
        self._state = _State.READY
        return self

    def shares_worker(self, other: StemProcessor) -> bool:
        """Whether both were given the same worker, so that each waits while the other's model runs."""
        return self._given_worker is not None and self._given_worker is other._given_worker

    def measure_capacity(self, *, runs: int = 200, seconds: float = 1.0) -> Capacity:
        """Time the model on this machine, for so many runs or so long; before the first block.

        Raises
        ------
        LifecycleError
            Before ``prepare``.
        """
        self._require_prepared()
        timing = self._point.timing
        hop_s = timing.plan.hop_frames / timing.model_rate
        return Capacity.of(self.spec.name, hop_s, self._pipeline.time_runs(runs, seconds))

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
        frames = self._input.check(block, out)
        target = self._out[..., :frames] if out is None else out
        if self._realtime:
            self._pace.hear(frames)
        self._pipeline.advance(self._input.stage(block), target, waits=not self._realtime)
        return target

    def flush(self) -> F32:
        """Give the ``latency_frames`` still held back; afterwards only ``reset`` or ``release``.

        Waits for the model, in real time at most as long as these frames last; what is not there then is replaced
        as the deadline ladder says. Warns if live audio came faster than time: ``process`` itself writes nowhere.

        Returns
        -------
        ndarray of float32, shape (stems, channels, latency_frames)
            Valid until the next call.
        """
        if self._state is not _State.READY:
            raise LifecycleError(f"flush was called while {self._state.value}: {_REMEDIES[self._state]}")
        done, total, block = 0, self.latency_frames, self._host.max_block_frames
        deadline = time.monotonic() + total / self._host.sample_rate if self._realtime else math.inf
        while done < total:
            n = min(block, total - done)
            # Fixed blocks stay whole to the end, since windows fall due on their grid.
            silence = self._input.silence(block if self._host.fixed_blocks else n)
            tail = self._tail[..., done : done + n]
            self._pipeline.advance(silence, tail, waits=True, deadline=deadline, is_tail=True)
            done += n
        self._state = _State.FLUSHED
        self._pace.tell()
        return self._tail

    def reset(self) -> None:
        """Start a new stream: nothing of the old one is heard, also not of what is under way. Keeps the memory."""
        self._require_prepared()
        self._pipeline.reset()
        self._resets += 1
        self._pace.restart()
        self._state = _State.READY

    def release(self) -> None:
        """Let go of worker and memory, and warn as ``flush`` does. ``prepare`` starts again; twice does nothing."""
        if self._state is _State.RELEASED:
            return
        self._state = _State.RELEASED
        self._detach()
        del self._pipeline, self._input, self._out, self._tail
        self._pace.tell()

    @property
    def misses(self) -> int:
        """Blocks so far for which no final result was there in time; cheap enough to read at every block."""
        self._require_prepared()
        return self._pipeline.misses

    def stats(self) -> ProcessorStats:
        """Count what happened since ``prepare``; makes a snapshot, so not for every block."""
        self._require_prepared()
        samples, is_too_fast = self._input.non_finite_samples, self._pace.is_too_fast
        return self._pipeline.stats(non_finite_input_samples=samples, resets=self._resets, is_too_fast=is_too_fast)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _require_prepared(self) -> None:
        if self._state is _State.RELEASED:
            raise LifecycleError("the processor is not prepared: call prepare first")


_REMEDIES = {_State.RELEASED: "call prepare first", _State.FLUSHED: "call reset to start a new stream"}
