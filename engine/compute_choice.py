"""Choose what a model runs on by a short measurement, say why, and remember it for this model and machine."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass

from engine.compute import AUTO, Compute, check_words
from engine.compute_trial import LEAST_SDR_DB, Measured, try_each
from engine.digests import sha256_of
from engine.errors import ModelError
from engine.model_file import check_model_file
from engine.registry import CHECKPOINT, REGISTERED, ModelPlace, find_model, load_separator, require_torch
from engine.remembered import measurement_key, recall, remember
from engine.separator import Separator

__all__ = ["Choice", "best_batch_size", "load_fastest", "remember_batch_size", "tell_nothing"]

_USUAL_BATCH = 4
"""Windows that fill a GPU."""
_ALONE = "nothing else was left to choose"
Tell = Callable[[str], None]


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

    Where there is more than one way, each separates a few seconds of a signal like music, in turns with the best so
    far. The fastest is taken, but no precision with a stem that is less than 40 dB above its difference from that in
    fp32, unless it was asked for by name. What was chosen is kept in the cache folder and not measured again, for this
    model on this machine with these versions, unless something failed or it no longer runs.

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

    def chosen(separator: Separator, compute: Compute, reason: str, *measured: Measured) -> tuple[Separator, Choice]:
        if place.kind == CHECKPOINT and AUTO in (device, backend, precision):
            tell(f"{compute}: {reason}")
        if fault := _lost_speed(separator, compute):
            tell(fault)
        return separator, Choice(compute, reason, measured, best_batch_size(compute, *of_model))

    if len(candidates) == 1:
        return chosen(load(candidates[0]), candidates[0], _ALONE)
    key = measurement_key(*of_model, *map(str, candidates), str(threads))
    known = recall(key) or {}
    for compute in candidates:
        if known.get("compute") == asdict(compute):
            try:
                separator = load(compute)
            except ModelError as error:
                tell(f"{compute} was chosen earlier and no longer runs ({error}): all are measured anew")
                break
            return chosen(separator, compute, f"{known.get('reason', '')} (measured earlier)")
    separator, best, measured = try_each(
        candidates,
        load,
        is_judged=precision == AUTO,
        begin=lambda: tell(f"measuring {' | '.join(map(str, candidates))}, once for this model on this machine"),
    )
    reason = _reason(best, measured)
    if not any(each.may_pass for each in measured):
        remember(key, compute=asdict(best.compute), reason=reason)
    return chosen(separator, best.compute, reason, *measured)


def best_batch_size(compute: Compute, *of_model: str) -> int:
    """Give the batch size that was found best for a model on ``compute``, or what suits such devices."""
    known = (recall(_batch_key(compute, *of_model)) or {}).get("batch_size")
    if isinstance(known, int) and known > 0:
        return known
    return _USUAL_BATCH if compute.device != "cpu" else 1


def remember_batch_size(
    name_or_path: str | os.PathLike[str],
    compute: Compute,
    batch_size: int,
    config: str | os.PathLike[str] | None = None,
) -> bool:
    """Keep the batch size that was found best for a model; False where the cache folder cannot be written."""
    key = _batch_key(compute, *_model_facts(find_model(name_or_path, config)))
    return remember(key, batch_size=batch_size)


def _candidates(place: ModelPlace, device: str, backend: str, precision: str) -> list[Compute]:
    """List what may be run, fp32 of each device before its other precisions."""
    given = [None if word == AUTO else word for word in (device, backend, precision)]
    if place.kind == REGISTERED:
        return [Compute(given[0] or "cpu", given[1] or "onnx", given[2] or "fp32")]
    if place.kind != CHECKPOINT or backend == "onnx":
        from engine.backends.onnx_devices import available_devices

        # Others than these take minutes to build an engine, or have no fixed shapes.
        there = [each for each in ("cuda", "cpu") if each in available_devices()]
        return [Compute(each, given[1] or "onnx", given[2] or "fp32") for each in ([given[0]] if given[0] else there)]
    assert place.path is not None  # noqa: S101 - a checkpoint is a file
    require_torch(place.path)
    from engine.backends.torch_devices import check_device, fast_precisions, torch_devices
    from engine.kernels.library import load_kernels

    first = check_device(device) if given[0] else torch_devices()[0]
    # Eager knows no other precision on a processor, and what is compiled takes minutes for each.
    is_slow = first == "cpu" and load_kernels() is None
    is_plain = is_slow or given[1] in ("eager", "compiled")
    precisions = (given[2],) if given[2] else ("fp32",) if is_plain else fast_precisions(first)
    candidates = [Compute(first, given[1] or "torch", word) for word in precisions]
    if backend == AUTO and is_slow and precision in (AUTO, "fp32"):
        # Without fused steps ONNX Runtime is the faster one.
        return [Compute("cpu", "eager", "fp32"), Compute("cpu", "onnx", "fp32")]
    if not given[0] and first != "cpu" and precision in (AUTO, "fp32"):
        # What a device lacks may show only once it runs.
        candidates.append(Compute("cpu", given[1] or "torch", "fp32"))
    return candidates


def _model_facts(place: ModelPlace) -> tuple[str, ...]:
    """Give what tells the model, its settings and its window from others."""
    path = place.path
    if path is None:
        return (place.name,)
    is_checkpoint = place.kind == CHECKPOINT
    source = f"{'checkpoint' if is_checkpoint else 'model file'} {str(path)!r}"
    check_model_file(path, source, kind="checkpoint" if is_checkpoint else ".onnx file", remedy="download it again")
    try:
        facts = (path.name, sha256_of(path))
    except OSError as error:
        raise ModelError(f"model file {str(path)!r} cannot be read ({error}): check the path") from error
    if not is_checkpoint:
        return facts
    from engine.models.mdx23c_checkpoint import find_config

    return (*facts, find_config(path, place.config)[0].model_dump_json())


def _batch_key(compute: Compute, *of_model: str) -> str:
    return measurement_key(*of_model, str(compute), "batch size")


def _lost_speed(separator: Separator, compute: Compute) -> str:
    """Say why a checkpoint is not run in fused steps though nobody ruled them out; empty where nothing is lost."""
    if compute.device != "cpu" or compute.backend != "torch" or getattr(separator, "way", "fused") == "fused":
        return ""
    from engine.kernels.library import why_no_kernels

    return f"without fused steps, so about half as fast: {why_no_kernels()}" if why_no_kernels() else ""


def _reason(chosen: Measured, measured: list[Measured]) -> str:
    """Say what the choice gains over the others, and why one that is faster was left."""
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
        elif other.sdr_db < LEAST_SDR_DB or math.isnan(other.sdr_db):
            parts.append(
                f"{other.compute} would be {1 / ratio:.1f} times as fast, but a stem of it is only "
                f"{other.sdr_db:.0f} dB from fp32, and {LEAST_SDR_DB:.0f} are asked for"
            )
        else:
            parts.append(f"{other.compute} would be only {1 / ratio:.2f} times as fast")
    if math.isfinite(chosen.sdr_db):
        parts.append(f"{chosen.sdr_db:.0f} dB from fp32")
    return ", ".join(parts)
