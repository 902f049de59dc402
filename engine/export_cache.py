"""Checkpoints that were exported once, so that ONNX Runtime can run them at once the next time."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from engine.cache import exports_folder
from engine.digests import sha256_of
from engine.errors import ExportError, OutputError
from engine.export import check_choices, find_exportable, read_exportable, write_onnx
from engine.file_lock import locked
from engine.machine import package_version
from engine.model_file import check_model_file
from engine.separator import Separator

__all__ = ["exported"]

_DIGITS = 16


def exported(
    model: Separator | str | os.PathLike[str],
    config: str | os.PathLike[str] | None = None,
    precision: str = "fp32",
    *,
    part: str = "core",
    waiting: Callable[[], None] | None = None,
) -> Path:
    """Give the ONNX file of a checkpoint, and write it into the cache folder if it is not there yet.

    What tells one file from another is the checkpoint's SHA-256, its name, its settings, the part, the precision
    and the version of this project. Two processes that want the same file make it once: the second waits.

    Parameters
    ----------
    model : Separator or str or path-like
        A loaded checkpoint, or what `engine.export.export_onnx` takes.
    config : str or path-like, optional
        What the checkpoint is or was loaded with.
    precision, part : str
        As in `engine.export.export_onnx`. The default part is the faster one where NumPy is at hand.
    waiting : callable, optional
        Called again and again while another process makes the file. What it raises ends the wait.

    Raises
    ------
    ModelError
        If the model cannot be read or exported.
    ConfigurationError
        If the part or the precision is unknown.
    OutputError
        If the file cannot be written.
    """
    check_choices(part, precision)
    source = getattr(model, "path", None) if isinstance(model, Separator) else model
    if source is None:
        raise ExportError("this model is no file: only checkpoints of MDX23C models can be exported")
    path, settings = find_exportable(source, config)
    target = exports_folder() / f"{path.stem}-{_digits(path, settings, precision, part)}.onnx"
    if target.is_file():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.with_name(f".{target.name}.lock"), waiting):
            if not target.is_file():
                write_onnx(read_exportable(path, settings), target, part=part, precision=precision)
    except OSError as error:
        raise OutputError(
            f"{str(target)!r} cannot be written ({error.strerror}): correct the permissions of its folder, or name "
            "another with STEMSTREAM_CACHE"
        ) from error
    return target


def _digits(path: Path, config: str | os.PathLike[str] | None, precision: str, part: str) -> str:
    from engine.models.mdx23c_checkpoint import find_config

    check_model_file(path, f"checkpoint {str(path)!r}", kind="checkpoint", remedy="download it again")
    settings, _, _ = find_config(path, config)
    facts = [sha256_of(path), settings.model_dump_json(), part, precision, package_version("stemstream")]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:_DIGITS]
