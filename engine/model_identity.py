"""What tells a model from all others, so that what one made is not taken for what another would."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from engine.digests import sha256_of
from engine.errors import ModelError
from engine.registry import available_models
from engine.separator import Separator

__all__ = ["model_identity"]

_DIGITS = 16


def model_identity(separator: Separator, name: str, config: str | os.PathLike[str] | None = None) -> str:
    """Give the name of a model and the beginning of its file's SHA-256, or the package that it is from.

    What the file does not hold itself counts too: tensors that an ONNX file keeps outside, and a checkpoint's config,
    also where that is known and not in a file.

    Parameters
    ----------
    separator : Separator
    name : str
        What it was loaded by.
    config : path-like, optional
        What was given with it. Left out, what the model takes by itself then.

    Raises
    ------
    ModelError
        If the file is no longer there.
    """
    path = getattr(separator, "path", None)
    if isinstance(path, Path):
        digits = [_digits(path), *_outside(path), *_settings(path, name, config)]
        return f"{separator.spec.name} {' '.join(digits)}"
    packages = [f"{each.distribution} {each.version}" for each in available_models() if each.name == name]
    return f"{separator.spec.name} of {', '.join(packages) or name}"


def _outside(path: Path) -> list[str]:
    """Give the digits of all that an ONNX file keeps outside of itself, as one."""
    if path.suffix.lower() != ".onnx":
        return []
    from engine.backends.external_data import external_data_locations

    places = dict.fromkeys(external_data_locations(path))
    whole = "".join(_sha256(path.parent / place) for place in places)
    return [hashlib.sha256(whole.encode()).hexdigest()[:_DIGITS]] if places else []


def _settings(path: Path, name: str, config: str | os.PathLike[str] | None) -> list[str]:
    """Give the digits of the config that a model was loaded with, where it has one."""
    if path.suffix.lower() == ".onnx":
        return []
    if config is not None:
        return [_digits(Path(config))]
    from engine.known_models import known_model
    from engine.model_store import config_of
    from engine.public_models import PUBLIC_MODELS

    written = [config_of(model) for model in PUBLIC_MODELS if model.name == name]
    for place in (*written, path.with_suffix(".yaml")):
        if place.is_file():
            return [_digits(place)]
    known = known_model(path)
    return [] if known is None else [hashlib.sha256(known.config.model_dump_json().encode()).hexdigest()[:_DIGITS]]


def _digits(path: Path) -> str:
    return _sha256(path)[:_DIGITS]


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise ModelError(f"model file {str(path)!r} cannot be read ({error}): check the path") from error
