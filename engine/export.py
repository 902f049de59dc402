"""Checkpoints as ONNX files, which every ONNX Runtime runs without PyTorch."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, ExportError, ModelError
from engine.export_check import CheckAudio, ExportCheck, check_export
from engine.files.part_file import whole_file
from engine.registry import ONNX, find_model, require_torch

if TYPE_CHECKING:
    from engine.models.mdx23c_checkpoint import Mdx23cCheckpoint

__all__ = [
    "PARTS",
    "PRECISIONS",
    "ExportReport",
    "check_choices",
    "export_onnx",
    "find_exportable",
    "read_exportable",
    "write_onnx",
]

PARTS = ("waveform", "core")
PRECISIONS = ("fp32", "fp16")
_SUFFIX = ".onnx"


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes
    ----------
    path : Path
    part, precision : str
    size_bytes : int
    check : ExportCheck or None
        How far it is from PyTorch, where that was asked for.
    """

    path: Path
    part: str
    precision: str
    size_bytes: int
    check: ExportCheck | None = None


def export_onnx(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    part: str = "waveform",
    precision: str = "fp32",
    check_with: CheckAudio | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write a checkpoint of an MDX23C model as an ONNX file that `engine.load_separator` needs nothing else for.

    The file appears whole or not at all. It takes batches of any size and every window that the checkpoint takes, and
    its operators are those of opset 17; there are no complex numbers in it.

    Parameters
    ----------
    model : str or path-like
        The path of a checkpoint, or the name of a public model that was downloaded.
    output : str or path-like
        Where it goes; ends in ``.onnx``.
    config : str or path-like, optional
        The YAML file that came with the checkpoint, see `engine.load_separator`.
    part : {"waveform", "core"}
        ``waveform`` takes and gives audio, (batch, channels, frames) to (batch, stems, channels, frames). ``core`` is
        the network alone: spectra (batch, 2 * channels, bins, columns) to (batch, stems, 2 * channels, bins, columns).
    precision : {"fp32", "fp16"}
        What the network reckons with. Inputs, outputs, norms and transforms are float32 all the same.
    check_with : tuple of ndarray and int, or callable, optional
        Audio of float32, shape (channels, frames), and its rate in Hz; or what gives both for the model's spec. The
        file is compared with PyTorch on it, see `engine.export_check.check_export`, and not written if they differ.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    ExportError
        If the model cannot be exported, ``output`` exists or is another kind of file, or the check fails.
    ModelError
        If the checkpoint or its config cannot be used, or a package is missing.
    ConfigurationError
        If ``part`` or ``precision`` is unknown.
    OutputError
        If the file cannot be written.

    Examples
    --------
    >>> export_onnx("model.ckpt", "model.onnx", config="config.yaml")  # doctest: +SKIP
    """
    target = Path(output)
    check_choices(part, precision)
    if target.suffix.lower() != _SUFFIX:
        raise ExportError(f"{str(target)!r} does not end in {_SUFFIX}: choose another file name")
    if os.path.lexists(target) and not overwrite:
        raise ExportError(f"{str(target)!r} exists: choose another file name, or replace it with --overwrite")
    checkpoint = read_exportable(*find_exportable(model, config))
    return write_onnx(checkpoint, target, part=part, precision=precision, check_with=check_with)


def find_exportable(
    model: str | os.PathLike[str], config: str | os.PathLike[str] | None = None
) -> tuple[Path, str | os.PathLike[str] | None]:
    """Give the path of a checkpoint that is given as for `export_onnx`, and its config where there is one to name.

    PyTorch and the ``onnx`` package are there afterwards.

    Raises
    ------
    ModelError
        As `export_onnx` does.
    """
    place = find_model(model, config)
    if place.kind == ONNX:
        raise ExportError(f"model {place.name!r} is an ONNX file already: it is used as it is")
    if place.path is None:
        raise ExportError(f"model {place.name!r} is no checkpoint: only those of MDX23C models can be exported")
    require_torch(place.path)
    _require_onnx()
    return place.path, place.config


def read_exportable(path: Path, config: str | os.PathLike[str] | None = None) -> Mdx23cCheckpoint:
    """Read what `find_exportable` gave; raises ModelError if it cannot be used."""
    from engine.models.mdx23c_checkpoint import read_mdx23c

    return read_mdx23c(path, config)


def write_onnx(
    checkpoint: Mdx23cCheckpoint,
    target: Path,
    *,
    part: str,
    precision: str,
    check_with: CheckAudio | None = None,
) -> ExportReport:
    """Write a checkpoint that was read, as `export_onnx` does; a file that is there is replaced."""
    from engine.models.mdx23c_onnx import build_model

    check_choices(part, precision)
    # Opened before the work, so that a place that cannot be written to is told at once.
    with whole_file(target, option="-o") as file:
        data = build_model(checkpoint, part, precision).SerializeToString()
        size = len(data)
        file.write(data)
        del data
        check = None if check_with is None else check_export(file.path, checkpoint, check_with, precision=precision)
    return ExportReport(target, part, precision, size, check)


def check_choices(part: str, precision: str) -> None:
    """Refuse words that an export does not know; raises ConfigurationError."""
    for name, value, allowed in (("part", part, PARTS), ("precision", precision, PRECISIONS)):
        if value not in allowed:
            raise ConfigurationError(f"{name} {value!r} is unknown: use {' or '.join(allowed)}")


def _require_onnx() -> None:
    try:
        importlib.import_module("onnx")
    except ImportError as error:
        raise ModelError("exporting needs the package onnx: pip install 'stemstream[torch]'") from error
