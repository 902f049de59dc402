"""Choose what a model runs on by a short measurement, say why, and remember it for this model and machine."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np

from engine.compute import AUTO, Compute, check_words
from engine.digests import sha256_of
from engine.errors import ModelError, UnavailableError
from engine.metrics import sdr_db
from engine.music_like import music_like
from engine.registry import CHECKPOINT, REGISTERED, ModelPlace, find_model, load_separator, require_torch
from engine.remembered import measurement_key, recall, remember
from engine.separator import F32, Separator

__all__ = [
    "LEAST_SDR_DB",
    "Choice",
    "Measured",
    "best_batch_size",
    "load_fastest",
    "remember_batch_size",
    "tell_nothing",
]

LEAST_SDR_DB = 40.0
"""A precision that is further from fp32 than this is never chosen: its error would be heard in soft stems."""

_LEAST_COLUMNS_FRAMES = 1 << 16
_RUNS = 2
_USUAL_BATCH = 4
"""Windows that fill a GPU."""
_ANY_MODEL = "any model"
_ALONE = "nothing else was left to choose"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """What was measured of one way to run a model.

    Attributes
    ----------
    compute : Compute
    realtime_factor : float
        Seconds of work for a second of audio in one window; NaN if it does not run.
    sdr_db : float
        Of its stems against those in fp32, on a signal like music; infinite for fp32 itself.
    fault : str
        Why it does not run.
    """

    compute: Compute
    realtime_factor: float
    sdr_db: float = math.inf
    fault: str = ""


@dataclass(frozen=True)
class Choice:
    """What a model runs on, and why.

    Attributes
    ----------
    compute : Compute
    reason : str
        One line for whoever asks.
    measured : tuple of Measured
        Empty where there was nothing to choose, or it is remembered.
    batch_size : int
        The best one, where `stemstream bench` measured it for this model here; otherwise what suits such devices.
    """

    compute: Compute
    reason: str
    measured: tuple[Measured, ...] = ()
    batch_size: int = 1


def tell_nothing(_: str) -> None:
    """Keep quiet."""


def load_fastest(
    name_or_path: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    device: str = AUTO,
    backend: str = AUTO,
    precision: str = AUTO,
    tell: Tell = tell_nothing,
) -> tuple[Separator, Choice]:
    """Load a model to run on what is fastest here, among what is not ruled out by the words given.

    Where there is more than one way, each separates a few seconds of a signal like music. The fastest is taken, but
    no precision whose stems are less than 40 dB above their difference from those in fp32, unless it was asked for by
    name. What was chosen is kept in the cache folder and not measured again, for this model on this machine with these
    versions.

    Parameters
    ----------
    name_or_path, config, threads
        As in `engine.registry.load_separator`.
    device, backend, precision : str
        ``auto``, or one of the words of `engine.compute.Compute`.
    tell : callable, optional
        Hears, in one line each, that a measurement begins, and what was chosen.

    Raises
    ------
    ConfigurationError
        If a word is not known.
    UnavailableError
        If this machine lacks what was asked for.
    ModelError
        If the model cannot be loaded, or runs on nothing.
    """
    check_words(device, backend, precision)
    place = find_model(name_or_path, config)
    candidates = _candidates(place, device, backend, precision)

    def load(compute: Compute) -> Separator:
        return load_separator(name_or_path, config=config, threads=threads, compute=compute)

    of_model = _model_facts(place)
    key = measurement_key(*of_model, device, backend, precision, str(threads))
    known = recall(key) or {}
    if len(candidates) == 1:
        return load(candidates[0]), Choice(candidates[0], _ALONE, (), best_batch_size(candidates[0], *of_model))
    for compute in candidates:
        if known.get("compute") == asdict(compute):
            reason = f"{known.get('reason', '')} (measured earlier)"
            separator = load(compute)
            tell(f"{compute}: {reason}")
            return separator, Choice(compute, reason, (), best_batch_size(compute, *of_model))
    first = load(candidates[0])
    # Only now: a file that cannot be read is one error, and no measurement.
    tell(f"measuring {' | '.join(map(str, candidates))}, once for this model on this machine")
    separator, choice = _measure(candidates, first, load, is_free=precision == AUTO)
    tell(f"{choice.compute}: {choice.reason}")
    remember(key, compute=asdict(choice.compute), reason=choice.reason)
    return separator, replace(choice, batch_size=best_batch_size(choice.compute, *of_model))


def best_batch_size(compute: Compute, *of_model: str) -> int:
    """Give the batch size that was found best for a model on ``compute``, or what suits such devices."""
    for facts in (of_model, (_ANY_MODEL,)):
        known = (recall(_batch_key(compute, *facts)) or {}).get("batch_size")
        if isinstance(known, int) and known > 0:
            return known
    return _USUAL_BATCH if compute.device != "cpu" else 1


def remember_batch_size(
    name_or_path: str | os.PathLike[str] | None,
    compute: Compute,
    batch_size: int,
    config: str | os.PathLike[str] | None = None,
) -> bool:
    """Keep the batch size that was found best; False where the cache folder cannot be written.

    For None as the model it counts for all that were not measured themselves.
    """
    facts = (_ANY_MODEL,) if name_or_path is None else _model_facts(find_model(name_or_path, config))
    key = _batch_key(compute, *facts)
    return remember(key, batch_size=batch_size)


def _candidates(place: ModelPlace, device: str, backend: str, precision: str) -> list[Compute]:
    """List what may be run, fp32 of each device and back-end before its other precisions."""
    fixed = [None if word == AUTO else word for word in (device, backend, precision)]
    if place.kind == REGISTERED:
        return [Compute(fixed[0] or "cpu", fixed[1] or "onnx", fixed[2] or "fp32")]
    if place.kind != CHECKPOINT or backend == "onnx":
        from engine.backends.onnx_devices import available_devices

        # Others than the usual ones take minutes to build an engine, or have no fixed shapes.
        devices = [fixed[0]] if fixed[0] else [each for each in available_devices() if each in ("cuda", "cpu")][:1]
        return [Compute(each, fixed[1] or "onnx", fixed[2] or "fp32") for each in devices]
    assert place.path is not None  # noqa: S101 - a checkpoint is a file
    require_torch(place.path)
    from engine.backends.torch_devices import check_device, fast_precisions, torch_devices

    chosen = check_device(device) if fixed[0] else torch_devices()[0]
    # Some networks need operators that Apple's GPUs lack.
    devices = ["mps", "cpu"] if chosen == "mps" and not fixed[0] else [chosen]
    return [
        Compute(each, fixed[1] or "torch", word)
        for each in devices
        for word in ([fixed[2]] if fixed[2] else fast_precisions(each))
    ]


def _model_facts(place: ModelPlace) -> tuple[str, ...]:
    """Give what tells the model from others."""
    return (place.name,) if place.path is None else (place.path.name, _digits(place))


def _batch_key(compute: Compute, *of_model: str) -> str:
    return measurement_key(*of_model, str(compute), "batch size")


def _digits(place: ModelPlace) -> str:
    assert place.path is not None  # noqa: S101 - asked for files only
    try:
        return sha256_of(place.path)
    except OSError as error:
        raise ModelError(f"model file {str(place.path)!r} cannot be read ({error}): check the path") from error


def _measure(
    candidates: list[Compute], first: Separator, load: Callable[[Compute], Separator], *, is_free: bool
) -> tuple[Separator, Choice]:
    """Run each, of which the first is loaded, and keep the fastest that is good enough; two at most are in memory."""
    measured: list[Measured] = []
    exact: F32 | None = None
    best: tuple[float, Separator] | None = None
    fault: ModelError | None = None
    for compute in candidates:
        try:
            separator = first if compute is candidates[0] else load(compute)
            seconds, stems = _time(separator)
        except ModelError as error:
            fault = fault or error
            measured.append(Measured(compute, math.nan, math.nan, str(error)))
            continue
        exact = stems if exact is None else exact
        # Against the first, which is fp32; what is asked for by name is not judged.
        distance = (
            math.inf
            if stems is exact
            else sdr_db(exact.reshape(-1, exact.shape[-1]), stems.reshape(-1, stems.shape[-1]))
        )
        measured.append(Measured(compute, seconds, distance))
        if (distance >= LEAST_SDR_DB or not is_free) and (best is None or seconds < best[0]):
            if best is not None:
                best[1].release()
            best = seconds, separator
        else:
            separator.release()
    if best is None:
        raise fault or UnavailableError("nothing here runs this model: see the errors above")
    chosen = next(each for each in measured if each.realtime_factor == best[0])
    return best[1], Choice(chosen.compute, _reason(chosen, measured), tuple(measured))


def _time(separator: Separator) -> tuple[float, F32]:
    """Give the real-time factor of the shortest run, and the stems that come of it."""
    spec = separator.spec
    step = spec.window_granularity_frames
    window = spec.window_frames
    while step and window - step >= max(step, _LEAST_COLUMNS_FRAMES):
        window -= step
    runner = separator.runner(1, window)
    signal = music_like(spec.channels, window, spec.sample_rate)
    timings = []
    for _ in range(1 + _RUNS):
        runner.windows[0] = signal
        begin = time.perf_counter()
        runner.run(1)
        timings.append(time.perf_counter() - begin)
    return min(timings[1:]) * spec.sample_rate / window, np.array(runner.stems[0])


def _reason(chosen: Measured, measured: list[Measured]) -> str:
    """Say what the choice gains over the others, and why a faster one was left."""
    parts = []
    for other in measured:
        if other is chosen:
            continue
        if other.fault:
            parts.append(f"{other.compute} does not run ({other.fault})")
            continue
        ratio = other.realtime_factor / chosen.realtime_factor
        if ratio >= 1.0:
            parts.append(f"{ratio:.1f} times as fast as {other.compute}")
        else:
            parts.append(
                f"{other.compute} would be {1 / ratio:.1f} times as fast, but only {other.sdr_db:.0f} dB from fp32, "
                f"and {LEAST_SDR_DB:.0f} are asked for"
            )
    if math.isfinite(chosen.sdr_db):
        parts.append(f"{chosen.sdr_db:.0f} dB from fp32")
    return ", ".join(parts)
