"""ONNX Runtime, imported with its telemetry switched off, and what it says when it fails.

Recent wheels start a client of their maker's telemetry when they are imported, unless the environment says otherwise.
A program that imports ONNX Runtime before this one has made its own choice.
"""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as native

from engine.errors import ModelError

__all__ = ["RUNTIME_ERRORS", "cause_of", "ort", "run_error"]

RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    *(kind for kind in vars(native).values() if isinstance(kind, type) and issubclass(kind, Exception)),
    RuntimeError,
    ValueError,
)
"""Whatever ONNX Runtime raises."""

_CAUSE_CHARACTERS = 300


def run_error(name: str, error: Exception) -> ModelError:
    """Give the error of a model that failed while it ran."""
    return ModelError(f"model {name!r} failed in ONNX Runtime: {cause_of(error)}; export it again, or use another one")


def cause_of(error: Exception) -> str:
    """Say in one line what ONNX Runtime says, without its error code."""
    text = " ".join(str(error).split()).split(" : ", 3)[-1]
    return text if len(text) <= _CAUSE_CHARACTERS else text[: _CAUSE_CHARACTERS - 3] + "..."
