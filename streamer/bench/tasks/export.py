"""Export a checkpoint to ONNX, in a process whose memory counts for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.export import export_onnx

__all__ = ["Export"]


class Export:
    """The export, made when this is.

    Parameters
    ----------
    checkpoint, config, path : str
        Of the model, and of the file to write.
    """

    def __init__(self, checkpoint: str, config: str | None, path: str) -> None:
        # The part that `load_separator` exports by itself: transforms by NumPy, the network by ONNX Runtime.
        self._report = export_onnx(checkpoint, path, config=config, part="core", overwrite=True)

    def ready(self) -> dict[str, Any]:
        """Tell its size."""
        return {"size_mb": self._report.size_bytes / 1e6}

    def run(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Do nothing more."""
        return {}
