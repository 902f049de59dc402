"""ONNX Runtime, imported with its telemetry switched off.

Recent wheels start a client of their maker's telemetry when they are imported, unless the environment says otherwise.
A program that imports ONNX Runtime before this one has made its own choice.
"""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as native

__all__ = ["native", "ort"]
