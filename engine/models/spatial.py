"""The embedded default separator: always there, no weights, stateful, 46 ms from input to output."""

from __future__ import annotations

from importlib.resources import as_file, files

from engine.backends.onnx import OnnxSeparator
from engine.separator import Separator

__all__ = ["load"]


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
    with as_file(files("engine.models") / "spatial.onnx") as path:
        return OnnxSeparator(path)
