"""Ways to run a model, tried against one another: which is fastest, and how far its stems are from those in float32."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from engine.compute import Compute
from engine.errors import ModelError, UnavailableError
from engine.metrics import sdr_db
from engine.music_like import music_like
from engine.separator import F32, Runner, Separator

__all__ = ["LEAST_SDR_DB", "Measured", "try_each"]

LEAST_SDR_DB = 40.0
"""A precision that is further from fp32 than this in any stem is never chosen by itself: it would be heard."""

_LEAST_GAIN = 1.15
"""A precision that loses something must be so many times as fast: less could be chance."""

_LEAST_WINDOW_FRAMES = 1 << 16
_ROUNDS = 3
_MORE_ROUNDS = 9
_SHORT_S = 0.2
_SILENCE_RMS = 1e-6


@dataclass(frozen=True)
class Measured:
    """What was measured of one way to run a model.

    Attributes
    ----------
    compute : Compute
    realtime_factor : float
        Seconds of work for a second of audio in one window; NaN if it does not run.
    sdr_db : float
        Of the stem that is furthest from its like in fp32, on a signal like music; infinite for fp32 itself.
    fault : str
        Why it does not run.
    may_pass : bool
        Whether the fault may be gone another time, as when memory ran out.
    """

    compute: Compute
    realtime_factor: float
    sdr_db: float = math.inf
    fault: str = ""
    may_pass: bool = False


@dataclass
class _Way:
    compute: Compute
    separator: Separator
    runner: Runner
    stems: F32


def try_each(
    candidates: Sequence[Compute],
    load: Callable[[Compute], Separator],
    *,
    is_judged: bool,
    begin: Callable[[], None],
) -> tuple[Separator, Measured, list[Measured]]:
    """Load and run each candidate; give the model that is best, what was measured of it, and of all.

    The best so far and the next one run in turns, so that what else the machine does meets both. Two models at most
    are in memory.

    Parameters
    ----------
    candidates : sequence of Compute
        fp32 before precisions that are compared with it.
    load : callable
    is_judged : bool
        Whether a precision must be close to fp32.
    begin : callable
        Called once, when the first candidate was loaded.

    Raises
    ------
    ModelError
        What the first one fails with, if none runs.
    """
    measured: list[Measured] = []
    best: _Way | None = None
    best_measured: Measured | None = None
    exact: F32 | None = None
    fault: ModelError | None = None
    has_begun = False
    for compute in candidates:
        separator = None
        try:
            separator = load(compute)
            if not has_begun:
                has_begun = True
                begin()
            way = _prepared(compute, separator)
        except (ModelError, MemoryError) as error:
            fault = fault or (error if isinstance(error, ModelError) else ModelError(f"memory ran out: {error}"))
            cause = " ".join(str(error).split())
            may_pass = not isinstance(error, UnavailableError)
            measured.append(Measured(compute, math.nan, math.nan, cause, may_pass))
            if separator is not None:
                separator.release()
            continue
        is_lossy = compute.precision != "fp32"
        if not is_lossy and exact is None:
            exact = way.stems
        distance = math.inf if not is_lossy else math.nan if exact is None else _distance_db(exact, way.stems)
        own, others = _times(way, best)
        found = Measured(compute, own, distance)
        measured.append(found)
        is_close = not is_lossy or not is_judged or distance >= LEAST_SDR_DB
        is_faster = best is None or others / own > (_LEAST_GAIN if is_lossy and is_judged else 1.0)
        if is_close and is_faster:
            if best is not None:
                best.separator.release()
            best, best_measured = way, found
        else:
            separator.release()
    if best is None or best_measured is None:
        raise fault or UnavailableError("nothing here runs this model close enough to fp32: name a precision")
    return best.separator, best_measured, measured


def _prepared(compute: Compute, separator: Separator) -> _Way:
    """Run a model once on a signal like music, in the shortest window that keeps it busy.

    Raises
    ------
    ModelError
        If it fails, or gives values that are not finite.
    """
    spec = separator.spec
    step = spec.window_granularity_frames
    window = spec.window_frames
    # What is compiled is compiled for one length.
    while step and compute.backend != "compiled" and window - step >= max(step, _LEAST_WINDOW_FRAMES):
        window -= step
    runner = separator.runner(1, window)
    signal = music_like(spec.channels, window, spec.sample_rate)
    runner.windows[0] = signal
    runner.run(1)
    stems = np.array(runner.stems[0])
    if not np.isfinite(stems).all():
        raise ModelError("it gives values that are not finite")
    return _Way(compute, separator, runner, stems)


def _times(way: _Way, other: _Way | None) -> tuple[float, float]:
    """Give the real-time factors of two models, run in turns; infinite for one that is not there."""
    ways = [way] if other is None else [way, other]
    timings: list[list[float]] = [[] for _ in ways]
    rounds = _ROUNDS
    while len(timings[0]) < rounds:
        for each, kept in zip(ways, timings, strict=True):
            begin = time.perf_counter()
            each.runner.run(1)
            kept.append(time.perf_counter() - begin)
        if timings[0][0] < _SHORT_S:
            rounds = _MORE_ROUNDS
    seconds_per_run = way.runner.windows.shape[-1] / way.separator.spec.sample_rate
    factors = [median(kept) / seconds_per_run for kept in timings]
    return factors[0], factors[1] if len(factors) > 1 else math.inf


def _distance_db(exact: F32, stems: F32) -> float:
    """Give the SDR of the stem that is furthest from its like; those that are silent have nothing to lose."""
    heard = [
        sdr_db(one, other)
        for one, other in zip(exact, stems, strict=True)
        if float(np.sqrt(np.mean(np.square(one)))) > _SILENCE_RMS
    ]
    return min(heard, default=math.inf)
