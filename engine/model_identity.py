"""What tells a model from all others, so that what one made is not taken for what another would."""

from __future__ import annotations

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

    Parameters
    ----------
    separator : Separator
    name : str
        What it was loaded by.
    config : path-like, optional
        What was given with it. Left out, a YAML file of the same name beside the model's counts.

    Raises
    ------
    ModelError
        If the file is no longer there.
    """
    path = getattr(separator, "path", None)
    if isinstance(path, Path):
        beside = path.with_suffix(".yaml")
        files = [path, *([Path(config)] if config is not None else [beside] if beside.is_file() else [])]
        return f"{separator.spec.name} {' '.join(_digits(file) for file in files)}"
    packages = [f"{each.distribution} {each.version}" for each in available_models() if each.name == name]
    return f"{separator.spec.name} of {', '.join(packages) or name}"


def _digits(path: Path) -> str:
    try:
        return sha256_of(path)[:_DIGITS]
    except OSError as error:
        raise ModelError(f"model file {str(path)!r} cannot be read ({error}): check the path") from error
