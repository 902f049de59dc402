"""How a model is found: by the path of its file, or by a name that a package registers or a public model has."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from engine.compute import AUTO, Compute
from engine.errors import ConfigurationError, ModelError, UnavailableError
from engine.separator import Separator
from engine.spec import ModelSpec

__all__ = [
    "CHECKPOINT",
    "CHECKPOINT_SUFFIXES",
    "ENTRY_POINT_GROUP",
    "ONNX",
    "REGISTERED",
    "ModelEntry",
    "ModelPlace",
    "available_models",
    "checked_public_model",
    "find_model",
    "load_separator",
    "require_torch",
]

ENTRY_POINT_GROUP = "stemstream.models"
_ONNX_SUFFIX = ".onnx"
CHECKPOINT_SUFFIXES = (".ckpt", ".pth", ".pt", ".th", ".safetensors")
_SUFFIXES = ", ".join((_ONNX_SUFFIX, *CHECKPOINT_SUFFIXES))


REGISTERED, ONNX, CHECKPOINT = "registered", "onnx", "checkpoint"
"""Kinds of models."""


@dataclass(frozen=True)
class ModelPlace:
    """What a name or path stands for.

    Attributes
    ----------
    kind : str
        `REGISTERED`, `ONNX` or `CHECKPOINT`.
    name : str
        As it was given.
    path : Path or None
        Of the file; a registered model has none.
    config : path-like or None
        What was given with it, or is known of a public model.
    points : tuple of EntryPoint
        That register the name.
    """

    kind: str
    name: str
    path: Path | None
    config: str | os.PathLike[str] | None
    points: tuple[EntryPoint, ...] = ()


@dataclass(frozen=True)
class ModelEntry:
    """A model name that an installed package registers.

    Attributes
    ----------
    name : str
        What `load_separator` takes.
    distribution, version : str
        The package that registers it.
    """

    name: str
    distribution: str
    version: str


def available_models() -> tuple[ModelEntry, ...]:
    """List the registered models in order of their names. No plug-in is imported for it.

    A name that two packages register is listed twice; `load_separator` refuses it.
    """
    return tuple(sorted((_entry(point) for point in _points()), key=lambda entry: (entry.name, entry.distribution)))


def load_separator(
    name_or_path: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    compute: Compute | None = None,
) -> Separator:
    """Load a model.

    Parameters
    ----------
    name_or_path : str or path-like
        A registered name, see `available_models`; the name of a public model that was downloaded, see
        `engine.public_models`; or the path of an ``.onnx`` file or of an MDX23C checkpoint (``.ckpt``, ``.pth``,
        ``.pt``, ``.th``, ``.safetensors``). A name wins over a file or folder of the same name: write ``./name`` for
        the file. The name of a public model's file stands for the model where no such file is. Nothing is ever fetched
        from a network here.
    config : str or path-like, optional
        The YAML file that came with a checkpoint, see `engine.backends.torch_separator.TorchSeparator`. Other models
        take none.
    threads : int, optional
        Threads for one run of the model. None leaves the choice to the model. A registered model that takes no
        ``threads`` chooses for itself.
    compute : Compute, optional
        What it runs on. Default: the processor, in float32, with what its file is made for. See
        `engine.compute_choice.load_fastest` for a measured choice.

    Returns
    -------
    Separator

    Raises
    ------
    ModelError
        If the name is not known or registered twice, a public model is not on this machine or not the file that it
        should be, or the model cannot be loaded.
    ConfigurationError
        If ``threads`` is not a positive integer, or a config is given for a model that takes none.
    UnavailableError
        If this model or machine lacks the device, the back-end or the precision.

    Notes
    -----
    A package registers a model in the entry-point group ``stemstream.models``: a callable that takes no required
    arguments and returns a `Separator`. It is imported when the model is loaded, not before.

    Examples
    --------
    >>> separator = load_separator("spatial")  # doctest: +SKIP
    >>> separator.spec.stems  # doctest: +SKIP
    """
    place = find_model(name_or_path, config)
    if place.kind == REGISTERED:
        _refuse_config(place.name, place.config)
        _check_compute(place, compute, ("onnx",))
        return _load_registered(place.points, threads)
    assert place.path is not None  # noqa: S101 - only registered models have none
    if place.kind == ONNX:
        from engine.backends.onnx import OnnxSeparator

        _refuse_config(str(place.path), place.config)
        _check_compute(place, compute, ("onnx",), has_devices=True)
        return OnnxSeparator(place.path, threads=threads, device=compute.device if compute else "cpu")
    return _load_checkpoint(place.path, place.config, threads, compute or Compute())


def find_model(name_or_path: str | os.PathLike[str], config: str | os.PathLike[str] | None = None) -> ModelPlace:
    """Find out what a name or path stands for, as `load_separator` does, and load nothing.

    Raises
    ------
    ModelError
        If it stands for nothing, or for a public model that is not on this machine or not the file that it should be.
    """
    text = os.fspath(name_or_path)
    if isinstance(name_or_path, str):
        points = tuple(point for point in _points() if point.name == text)
        if points:
            return ModelPlace(REGISTERED, text, None, config, points)
        public = checked_public_model(text)
        if public is not None:
            path, known = public
            return ModelPlace(CHECKPOINT, text, path, known if config is None else config)
        if not _is_path(text):
            raise ModelError(f"model {text!r} is not known: {_known(text)}, or a path that ends in {_SUFFIXES}")
    path = Path(text)
    suffix = path.suffix.lower()
    if suffix == _ONNX_SUFFIX or suffix in CHECKPOINT_SUFFIXES:
        return ModelPlace(ONNX if suffix == _ONNX_SUFFIX else CHECKPOINT, text, path, config)
    state = "is a folder" if path.is_dir() else "is not a model file" if path.exists() else "does not exist"
    raise ModelError(
        f"model {str(path)!r} {state}: use a path that ends in {_SUFFIXES}, or a name; {_known(path.name)}"
    )


def checked_public_model(name: str) -> tuple[Path, Path | None] | None:
    """Find the checkpoint and the config of a public model that was downloaded, and check the former.

    Returns
    -------
    tuple of Path and (Path or None), or None
        The config is None where none was written. None if no public model has that name, or it is the name of its
        file and such a file is here.

    Raises
    ------
    ModelError
        If the model is not on this machine, or not the file that it should be.
    """
    # Only here, since the table needs pydantic, and a registered model does not.
    from engine.public_models import find_public_model

    public = find_public_model(name)
    if public is None or (public.name != name and Path(name).exists()):
        return None
    from engine.model_store import checked_model

    return checked_model(public)


def _public_names() -> tuple[str, ...]:
    from engine.public_models import PUBLIC_MODELS

    return tuple(model.name for model in PUBLIC_MODELS)


def _load_checkpoint(
    path: Path, config: str | os.PathLike[str] | None, threads: int | None, compute: Compute
) -> Separator:
    require_torch(path)
    if compute.backend == "onnx":
        from engine.backends.onnx import OnnxSeparator
        from engine.export_cache import exported

        return OnnxSeparator(exported(path, config, compute.precision), threads=threads, device=compute.device)
    from engine.backends.torch_separator import TorchSeparator

    way = None if compute.backend in (AUTO, "torch") else compute.backend
    return TorchSeparator(
        path, config=config, threads=threads, device=compute.device, precision=compute.precision, way=way
    )


def _check_compute(
    place: ModelPlace, compute: Compute | None, backends: tuple[str, ...], *, has_devices: bool = False
) -> None:
    """Refuse what a model that is ready to run cannot be changed to."""
    if compute is None:
        return
    for word, there, what in (
        (compute.backend, (AUTO, *backends), "backend"),
        (compute.precision, ("fp32",), "precision"),
        *(() if has_devices else ((compute.device, ("cpu",), "device"),)),
    ):
        if word not in there:
            raise UnavailableError(f"model {place.name!r} runs with {what} {there[-1]}, not {word}: leave {what} out")


def require_torch(path: Path) -> None:
    """Refuse a checkpoint where PyTorch is not installed, or does not work.

    Raises
    ------
    ModelError
        Naming the extra that brings it.
    """
    try:
        # In this order: the first says how the pools of the second wait. Only here can an absence be told from a fault.
        importlib.import_module("engine.backends.torch_runtime")
        importlib.import_module("torch")
    except (ImportError, OSError) as error:
        cause = "" if isinstance(error, ModuleNotFoundError) else f" ({' '.join(str(error).split())})"
        raise ModelError(
            f"model {str(path)!r} is a PyTorch checkpoint, and PyTorch cannot be imported{cause}: "
            "pip install 'stemstream[torch]'"
        ) from error


def _refuse_config(model: str, config: str | os.PathLike[str] | None) -> None:
    if config is not None:
        raise ConfigurationError(
            f"config {os.fspath(config)!r} was given with model {model!r}: only checkpoints "
            f"({', '.join(CHECKPOINT_SUFFIXES)}) take one, leave it out"
        )


def _load_registered(points: tuple[EntryPoint, ...], threads: int | None) -> Separator:
    point = points[0]
    if len(points) > 1:
        packages = " and ".join(sorted(_package(_entry(each)) for each in points))
        raise ModelError(f"model name {point.name!r} is registered by {packages}: uninstall all but one of them")
    who = f"model {point.name!r} of package {_package(_entry(point))}"
    try:
        load: Callable[..., Any] = point.load()
        separator = load(**({"threads": threads} if threads is not None and _takes_threads(load) else {}))
    except ConfigurationError:
        raise
    except Exception as error:  # a plug-in is foreign code: whatever it raises is told, with its cause attached
        cause = " ".join(str(error).split())
        raise ModelError(
            f"{who} cannot be loaded ({type(error).__name__}: {cause}): update or reinstall that package"
        ) from error
    if not isinstance(separator, Separator) or not isinstance(getattr(separator, "spec", None), ModelSpec):
        raise ModelError(
            f"{who} gave {type(separator).__name__} from {point.value!r}: it must give an engine.separator.Separator "
            "with a ModelSpec as spec; update that package"
        )
    return separator


def _takes_threads(load: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(load).parameters
    except (TypeError, ValueError):
        return False
    return "threads" in parameters


def _is_path(text: str) -> bool:
    separators = {"/", os.sep, os.altsep or os.sep}
    return any(each in text for each in separators) or Path(text).suffix != "" or Path(text).exists()


def _known(name: str) -> str:
    names = sorted({entry.name for entry in available_models()})
    if not names:
        return "no names are registered; install stemstream or a package with models"
    close = difflib.get_close_matches(name, [*names, *_public_names()], n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"{hint}known names are {', '.join(names)}, and those that `stemstream models list` shows"


def _points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=ENTRY_POINT_GROUP))


def _entry(point: EntryPoint) -> ModelEntry:
    if point.dist is None:
        return ModelEntry(point.name, "unknown", "unknown")
    return ModelEntry(point.name, point.dist.name, point.dist.version)


def _package(entry: ModelEntry) -> str:
    return f"{entry.distribution} {entry.version}"
