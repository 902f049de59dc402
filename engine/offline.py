"""Whole recordings through the same windows, worker and overlap-add as live streams, at constant memory."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import ConfigurationError
from engine.file_pipeline import fed_beside, fed_in_turn
from engine.files.rate_converter import RateConverter, converted_frames
from engine.heard import SeparationCounters, check_audio, heard_pieces
from engine.offline_model import OfflineModel
from engine.plan import WindowPlan, offline_plan
from engine.progress import Cancel, Meter, Progress, ProgressCallback
from engine.recording import MAX_BLOCK_FRAMES, Recording
from engine.separator import Separator
from engine.spec import ModelSpec
from engine.way_back import WayBack, model_excerpt
from engine.worker import Worker
from engine.worker_client import WorkerLike

__all__ = ["Progress", "ProgressCallback", "SeparationCounters", "separate", "separate_blocks"]

_MAX_RATE = 768_000
F32 = npt.NDArray[np.float32]


def separate(
    separator: Separator,
    audio: npt.NDArray[Any],
    sample_rate: int,
    *,
    stems: Sequence[str] | None = None,
    with_rest: bool = False,
    plan: WindowPlan | None = None,
    overlap: int | None = None,
    batch_size: int = 1,
    worker: WorkerLike | None = None,
    progress: ProgressCallback | None = None,
    cancel: Cancel | None = None,
    counters: SeparationCounters | None = None,
) -> F32:
    """Separate a whole recording.

    Parameters
    ----------
    separator : Separator
        An `OfflineModel` where many recordings share one, and its stems.
    audio : ndarray of float, shape (channels, frames)
        1 or 2 channels, any number of frames, 0 too. Samples that are not finite are replaced by silence.
    sample_rate : int
        Of ``audio``, in Hz; where the model's differs, audio is converted there and back by soxr HQ.
    stems : sequence of str, optional
        Only these, in this order; names in any case of letters. All if left out.
    with_rest : bool
        Behind them, what they leave of the input: together they are the input.
    plan, overlap : optional
        How a windowed model's audio is cut; give one of them or none (``offline_plan``).
    batch_size : int
        Windows a run, where no ``worker`` is given.
    worker : Worker, optional
        Shared with other streams; otherwise one for this call.
    progress : callable, optional
        Called with a `Progress` again and again: for every window, or every few where they are short.
    cancel : threading.Event, optional
        Once it is set, the separation ends within the window that is under way.
    counters : SeparationCounters, optional
        Filled on the way.

    Returns
    -------
    ndarray of float32, shape (stems, channels, frames)
        Those of ``separator.spec.output_stems``, or those asked for, at the input's rate, length and level.

    Raises
    ------
    BlockError
        If ``audio`` has another shape or type.
    ModelError
        If the model fails or gives values that are not finite.
    concurrent.futures.CancelledError
        If ``cancel`` is set.
    """
    check_audio(audio)
    model = _model(separator, stems, with_rest)
    separated = np.zeros((len(model.names), *audio.shape), np.float32)
    done = 0

    def rest(shape: tuple[int, int, int]) -> F32:
        return separated[..., done : done + shape[-1]]

    blocks = (audio[:, n : n + MAX_BLOCK_FRAMES] for n in range(0, audio.shape[1], MAX_BLOCK_FRAMES))
    for part in separate_blocks(
        model,
        blocks,
        sample_rate,
        channels=audio.shape[0],
        frames=audio.shape[1],
        plan=plan,
        overlap=overlap,
        batch_size=batch_size,
        worker=worker,
        progress=progress,
        cancel=cancel,
        counters=counters,
        into=rest if sample_rate == model.spec.sample_rate else None,
    ):
        if sample_rate != model.spec.sample_rate:
            separated[..., done : done + part.shape[-1]] = part
        done += part.shape[-1]
    return separated


def separate_blocks(
    separator: Separator,
    blocks: Iterable[npt.NDArray[Any]],
    sample_rate: int,
    *,
    channels: int,
    frames: int | None = None,
    start_frame: int = 0,
    stop_frame: int | None = None,
    stems: Sequence[str] | None = None,
    with_rest: bool = False,
    plan: WindowPlan | None = None,
    overlap: int | None = None,
    batch_size: int = 1,
    worker: WorkerLike | None = None,
    progress: ProgressCallback | None = None,
    cancel: Cancel | None = None,
    counters: SeparationCounters | None = None,
    pipelined: bool = False,
    is_prompt: bool = False,
    into: Callable[[tuple[int, int, int]], F32] | None = None,
) -> Generator[F32, None, None]:
    """Separate a recording that comes in blocks; memory does not grow with its length.

    Parameters are those of ``separate``, and these.

    Parameters
    ----------
    blocks : iterable of ndarray, each (channels, n)
        The recording from its first frame.
    channels : int
    frames : int, optional
        The sum of the blocks' lengths where it is known, for the progress.
    start_frame, stop_frame : int
        Give only the frames ``[start_frame, stop_frame)``, as they are in the whole: the model runs the windows that
        have a part in them, and sees what lies around. A stateful model hears ``spec.priming_frames`` before them.
        What comes after is not read any further than the last window reaches, or than fits into the queue.
    pipelined : bool
        Take the blocks, and convert them to the model's rate, on a thread of their own. What comes out is the same.
    is_prompt : bool
        Give what every window makes final, however little that is; otherwise pieces that are worth it.
    into : callable, optional
        Gives an array of float32 for a part of a shape, (stems, channels, n) with n at most
        `engine.recording.MAX_BLOCK_FRAMES`, which is then converted and trimmed; the same memory may be given again
        once the next part is asked for. Left out: a fresh one for each.

    Yields
    ------
    ndarray of float32, shape (stems, channels, n)
        Together exactly as many frames as came in or were asked for, at the same rate. Each is the caller's to keep,
        unless ``into`` gave the memory.

    Raises
    ------
    ConfigurationError
        If both ``plan`` and ``overlap`` are given, a stem is not known, the channels do not fit the model, or the
        frames asked for are none.
    ModelError
        If the model fails.
    concurrent.futures.CancelledError
        If ``cancel`` is set.
    """
    model = _model(separator, stems, with_rest)
    spec = model.spec
    _check_settings(spec, sample_rate, channels, plan, overlap)
    if start_frame < 0 or (stop_frame is not None and stop_frame <= start_frame):
        raise ConfigurationError(f"frames {start_frame} to {stop_frame} are none: begin at 0 or later, end after it")
    plan = offline_plan(spec, overlap=overlap) if plan is None else plan
    counters = SeparationCounters() if counters is None else counters
    meter = Meter(progress, cancel)
    is_converted = sample_rate != spec.sample_rate
    wanted = model_excerpt(start_frame, stop_frame, sample_rate, spec.sample_rate)
    known = stop_frame if frames is None else frames
    total = None if known is None else converted_frames(known, sample_rate, spec.sample_rate)
    own = Worker(batch_size) if worker is None else worker
    track = Recording(
        model,
        plan,
        channels,
        own,
        gives_mixture=model.residual_index is not None if is_converted else model.with_rest,
        start=wanted.start,
        stop=wanted.stop,
        is_prompt=is_prompt,
    )
    way_back = _way_back(model, sample_rate, channels, wanted.first_frame) if is_converted else None
    into_model = RateConverter(sample_rate, spec.sample_rate, channels)
    pieces = heard_pieces(blocks, into_model, way_back, counters, stop_frame)
    finish = _Rest(channels) if model.with_rest else _as_it_is
    trim = _Trim(wanted.first_frame, start_frame, stop_frame)
    own.attach(track, warm_up=False)
    try:
        meter.show(math.nan if total is None else 0.0)
        fed = fed_beside if pipelined else fed_in_turn
        with contextlib.closing(fed(pieces, track, meter.is_cancelled)) as turns:
            for _ in turns:
                meter.show(math.nan if total is None else track.fraction(total))
                while n := track.ready_frames:
                    shape = (track.rows, channels, n)
                    part = np.empty(shape, np.float32) if into is None else into(shape)
                    track.drain(part)
                    yield from trim(finish(part) if way_back is None else way_back.convert(part))
        if way_back is not None:
            yield from trim(way_back.flush(counters.frames if stop_frame is None else min(counters.frames, stop_frame)))
        meter.finish()
    finally:
        _count(track, counters)
        own.detach(track)


def _count(track: Recording, counters: SeparationCounters) -> None:
    counters.windows, counters.silent_windows = track.windows, track.silent_windows
    counters.batch_size = track.batch_size
    counters.halved_from = track.first_batch_size if track.first_batch_size > track.batch_size > 0 else 0


def _model(separator: Separator, stems: Sequence[str] | None, with_rest: bool) -> OfflineModel:
    if not isinstance(separator, OfflineModel):
        return OfflineModel(separator, stems, with_rest=with_rest)
    if stems is not None or with_rest:
        raise ConfigurationError(
            f"stems were named for a model that gives {', '.join(separator.names)}: leave them out"
        )
    return separator


def _check_settings(
    spec: ModelSpec, sample_rate: int, channels: int, plan: WindowPlan | None, overlap: int | None
) -> None:
    if not isinstance(sample_rate, int | np.integer) or not 1 <= sample_rate <= _MAX_RATE or sample_rate is True:
        raise ConfigurationError(
            f"sample_rate={sample_rate!r} cannot be used: give a whole number from 1 to {_MAX_RATE} Hz"
        )
    if plan is not None and overlap is not None:
        raise ConfigurationError(f"overlap={overlap} and a plan were given: give one of them")
    if channels not in {1, spec.channels}:
        raise ConfigurationError(f"{channels} channels do not fit {spec.name!r}, which takes {spec.channels}: mix down")


def _way_back(model: OfflineModel, sample_rate: int, channels: int, first_frame: int) -> WayBack:
    return WayBack(
        len(model.outputs),
        channels,
        residual=model.residual_index,
        with_rest=model.with_rest,
        model_rate=model.spec.sample_rate,
        sample_rate=sample_rate,
        first_frame=first_frame,
    )


def _as_it_is(part: F32) -> F32:
    return part


class _Rest:
    """Takes the stems of a part from the input, which comes behind them."""

    def __init__(self, channels: int) -> None:
        self._sum = np.zeros((channels, MAX_BLOCK_FRAMES), np.float32)

    def __call__(self, part: F32) -> F32:
        part[-1] -= np.add.reduce(part[:-1], axis=0, out=self._sum[:, : part.shape[-1]])
        return part


class _Trim:
    """Lets only the frames ``[start, stop)`` of a run of parts through, the first of which begins at ``first``."""

    def __init__(self, first: int, start: int, stop: int | None) -> None:
        self._place = first
        self._start = start
        self._stop = stop

    def __call__(self, part: F32) -> Iterator[F32]:
        begin, end = self._place, self._place + part.shape[-1]
        self._place = end
        low = max(begin, self._start)
        high = end if self._stop is None else min(end, self._stop)
        if low < high:
            yield part if (low, high) == (begin, end) else part[..., low - begin : high - begin]
