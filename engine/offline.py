"""Whole recordings through the same windows, worker and overlap-add as live streams, at constant memory."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import BlockError, ConfigurationError
from engine.files.rate_converter import RateConverter
from engine.plan import WindowPlan, offline_plan
from engine.recording import MAX_BLOCK_FRAMES, Recording
from engine.separator import Separator
from engine.spec import ModelSpec
from engine.worker import Worker
from engine.worker_client import WorkerLike

__all__ = ["Progress", "ProgressCallback", "SeparationCounters", "separate", "separate_blocks"]

_MAX_RATE = 768_000
F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Progress:
    """How far a separation is.

    Attributes
    ----------
    fraction : float
        0 to 1; NaN where the length is not known.
    eta_s : float
        Seconds left at the pace so far; NaN where that is not known.
    """

    fraction: float
    eta_s: float


ProgressCallback = Callable[[Progress], None]
"""Called from the thread that separates; an exception from it cancels the separation."""


@dataclass
class SeparationCounters:
    """What happened on the way; filled while a separation runs.

    Attributes
    ----------
    frames : int
        Input frames taken, at the input's rate.
    non_finite_samples : int
        Input samples replaced by silence.
    windows : int
        Windows the model ran.
    """

    frames: int = 0
    non_finite_samples: int = 0
    windows: int = 0


def separate(
    separator: Separator,
    audio: npt.NDArray[Any],
    sample_rate: int,
    *,
    plan: WindowPlan | None = None,
    overlap: int | None = None,
    batch_size: int = 1,
    worker: WorkerLike | None = None,
    progress: ProgressCallback | None = None,
    counters: SeparationCounters | None = None,
) -> F32:
    """Separate a whole recording.

    Parameters
    ----------
    separator : Separator
    audio : ndarray of float, shape (channels, frames)
        1 or 2 channels, any number of frames, 0 too. Samples that are not finite are replaced by silence.
    sample_rate : int
        Of ``audio``, in Hz; where the model's differs, audio is converted there and back by soxr HQ.
    plan, overlap : optional
        How a windowed model's audio is cut; give one of them or none (``offline_plan``).
    batch_size : int
        Windows a run, where no ``worker`` is given.
    worker : Worker, optional
        Shared with other streams; otherwise one for this call.
    progress : callable, optional
    counters : SeparationCounters, optional
        Filled on the way.

    Returns
    -------
    ndarray of float32, shape (stems, channels, frames)
        In the order of ``separator.spec.output_stems``, at the input's rate, length and level.

    Raises
    ------
    BlockError
        If ``audio`` has another shape or type.
    ModelError
        If the model fails or gives values that are not finite.
    """
    check_audio(audio)
    stems = np.zeros((len(separator.spec.output_stems), *audio.shape), np.float32)
    done = 0
    blocks = (audio[:, n : n + MAX_BLOCK_FRAMES] for n in range(0, audio.shape[1], MAX_BLOCK_FRAMES))
    for part in separate_blocks(
        separator,
        blocks,
        sample_rate,
        channels=audio.shape[0],
        frames=audio.shape[1],
        plan=plan,
        overlap=overlap,
        batch_size=batch_size,
        worker=worker,
        progress=progress,
        counters=counters,
    ):
        stems[..., done : done + part.shape[-1]] = part
        done += part.shape[-1]
    return stems


def check_audio(audio: npt.NDArray[Any]) -> None:
    """Refuse what is not an array (1 or 2 channels, frames) of floats."""
    if not isinstance(audio, np.ndarray) or audio.ndim != 2 or audio.shape[0] not in (1, 2):
        raise BlockError(
            f"audio must be an array of shape (1 or 2 channels, frames), not {type(audio).__name__} of shape "
            f"{getattr(audio, 'shape', None)}: transpose it or mix it down"
        )
    if audio.dtype.kind != "f":
        raise BlockError(f"audio must hold floats, not {audio.dtype}: divide integers by their full scale first")


def separate_blocks(
    separator: Separator,
    blocks: Iterable[npt.NDArray[Any]],
    sample_rate: int,
    *,
    channels: int,
    frames: int | None = None,
    plan: WindowPlan | None = None,
    overlap: int | None = None,
    batch_size: int = 1,
    worker: WorkerLike | None = None,
    progress: ProgressCallback | None = None,
    counters: SeparationCounters | None = None,
) -> Generator[F32, None, None]:
    """Separate a recording that comes in blocks; memory does not grow with its length.

    Parameters are those of ``separate``; ``blocks`` are arrays (channels, n), and ``frames`` is their sum where it is
    known, for the progress.

    Yields
    ------
    ndarray of float32, shape (stems, channels, n)
        Together exactly as many frames as came in, at the same rate. Each is the caller's to keep.

    Raises
    ------
    ConfigurationError
        If both ``plan`` and ``overlap`` are given, or the channels do not fit the model.
    ModelError
        If the model fails.
    """
    spec = separator.spec
    if not isinstance(sample_rate, int | np.integer) or not 1 <= sample_rate <= _MAX_RATE or sample_rate is True:
        raise ConfigurationError(
            f"sample_rate={sample_rate!r} cannot be used: give a whole number from 1 to {_MAX_RATE} Hz"
        )
    if plan is not None and overlap is not None:
        raise ConfigurationError(f"overlap={overlap} and a plan were given: give one of them")
    if channels not in {1, spec.channels}:
        raise ConfigurationError(f"{channels} channels do not fit {spec.name!r}, which takes {spec.channels}: mix down")
    plan = offline_plan(spec, overlap=overlap) if plan is None else plan
    counters = SeparationCounters() if counters is None else counters
    is_converted = sample_rate != spec.sample_rate
    own = Worker(batch_size) if worker is None else worker
    track = Recording(separator, plan, channels, own.batch_size, gives_mixture=is_converted)
    into_model = RateConverter(sample_rate, spec.sample_rate, channels)
    way_back = _WayBack(spec, sample_rate, channels) if is_converted else None
    meter = _Meter(progress, frames)
    own.attach(track, warm_up=False)
    try:
        for block in blocks:
            heard = _finite(block, counters)
            if way_back is not None:
                way_back.hear(heard)
            for part in track.run(into_model.process(heard), own):
                yield part if way_back is None else way_back.convert(part)
            meter.show(counters.frames)
        for final in (track.run(into_model.flush(), own), track.finish(own)):
            for part in final:
                yield part if way_back is None else way_back.convert(part)
        if way_back is not None:
            yield way_back.flush(counters.frames)
        meter.finish()
    finally:
        counters.windows = track.windows
        own.detach(track)


class _WayBack:
    """Takes stems back to the input's rate; what two conversions took from the input goes to the residual stem.

    So stems that add up to what the model heard add up to the input.
    """

    def __init__(self, spec: ModelSpec, sample_rate: int, channels: int) -> None:
        self._stems = len(spec.output_stems)
        self._residual = spec.residual_index
        self._channels = channels
        self._converter = RateConverter(spec.sample_rate, sample_rate, (self._stems + 1) * channels)
        self._heard: deque[F32] = deque()
        self._given = 0

    def hear(self, block: F32) -> None:
        """Keep an input block, shape (channels, n), until its stems come."""
        self._heard.append(block)

    def convert(self, part: F32) -> F32:
        """Convert stems and, as the last row, the mixture that the model heard: (stems + 1, channels, n)."""
        rows = np.ascontiguousarray(part.reshape((self._stems + 1) * self._channels, -1))
        return self._with_loss(self._converter.process(rows))

    def flush(self, frames: int) -> F32:
        """Give the rest of ``frames`` in all."""
        missing = frames - self._given
        rest = self._converter.flush()[:, :missing]
        return self._with_loss(np.pad(rest, ((0, 0), (0, missing - rest.shape[1]))))

    def _with_loss(self, rows: F32) -> F32:
        n = min(rows.shape[1], sum(block.shape[1] for block in self._heard))
        part = rows[:, :n].reshape(self._stems + 1, self._channels, n)
        stems, mixture = part[:-1], part[-1]
        done = 0
        while done < n:
            block = self._heard.popleft()
            taken = min(n - done, block.shape[1])
            stems[self._residual, :, done : done + taken] += block[:, :taken] - mixture[:, done : done + taken]
            if taken < block.shape[1]:
                self._heard.appendleft(block[:, taken:])
            done += taken
        self._given += n
        return stems


def _finite(block: npt.NDArray[Any], counters: SeparationCounters) -> F32:
    """Give the block as float32 with silence for samples that are not finite."""
    check_audio(block)
    with np.errstate(over="ignore"):
        heard = np.ascontiguousarray(block, np.float32)
    counters.frames += heard.shape[1]
    finite = np.isfinite(heard)
    if finite.all():
        return heard
    counters.non_finite_samples += finite.size - int(np.count_nonzero(finite))
    return np.where(finite, heard, np.float32(0.0))


class _Meter:
    """Tells how far a separation is."""

    def __init__(self, callback: ProgressCallback | None, frames: int | None) -> None:
        self._callback = callback
        self._frames = frames
        self._begin = time.monotonic()

    def show(self, done: int) -> None:
        if self._callback is not None:
            fraction = min(1.0, done / self._frames) if self._frames else math.nan
            spent = time.monotonic() - self._begin
            self._callback(Progress(fraction, spent * (1 - fraction) / fraction if fraction > 0 else math.nan))

    def finish(self) -> None:
        if self._callback is not None:
            self._callback(Progress(1.0, 0.0))
