"""The embedded separators: always there, no weights, stateful, 46 or 23 ms from input to output."""

from __future__ import annotations

from importlib.resources import as_file, files

from engine.backends.onnx import OnnxSeparator
from engine.separator import Separator

__all__ = ["load", "load_low"]


def load() -> Separator:
    """Load the ``spatial`` separator: 44.1 kHz stereo into vocals, drums, bass and other.

    It runs on one thread. What it computes, and from which literature, stands in
    `engine.models.spatial_design.SpatialDesign`.

    Returns
    -------
    Separator
        Stateful. One hop of 512 frames in, one hop of four stems out, 1536 frames later; the stems sum to the input.

    Raises
    ------
    ModelError
        If the packaged file is missing or damaged: install the distribution again.
    """
    return _load("spatial.onnx")


def load_low() -> Separator:
    """Load ``spatial-low``, the same design at half the delay and half the resolution in frequency.

    Returns
    -------
    Separator
        Stateful. One hop of 256 frames in, one hop of four stems out, 768 frames later; the stems sum to the input.

    Raises
    ------
    ModelError
        If the packaged file is missing or damaged: install the distribution again.
    """
    return _load("spatial_low.onnx")


def _load(file: str) -> Separator:
    with as_file(files("engine.models") / file) as path:
        return OnnxSeparator(path)
