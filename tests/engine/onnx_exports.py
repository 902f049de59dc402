"""Exported models for tests: what ONNX Runtime and PyTorch give for the same checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx

from engine.backends.onnx import OnnxSeparator
from engine.export import export_onnx
from engine.models.mdx23c_layout import Architecture
from engine.separator import F32
from tests.engine.mdx23c_models import TINY, config_data, save_model

COMPLEX = (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128)


def save_tiny(folder: Path, architecture: Architecture = TINY, **sections: Any) -> Path:
    """Write a checkpoint of random weights and its config into a folder."""
    window = architecture.hop_frames * (4 * architecture.column_step - 1)
    return save_model(folder / "model.ckpt", architecture, config=config_data(architecture, window=window, **sections))


def exported_model(checkpoint: Path, **options: Any) -> OnnxSeparator:
    """Export a checkpoint beside it and load it, without a config."""
    path = checkpoint.with_name("exported.onnx")
    export_onnx(checkpoint, path, overwrite=True, **options)
    return OnnxSeparator(path)


def windows_of(separator: Any, count: int = 1, *, seed: int = 0) -> F32:
    """Noise as loud as music for a model."""
    spec = separator.spec
    shape = (count, spec.channels, spec.window_frames)
    return (0.2 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def value_types(model: onnx.ModelProto) -> set[int]:
    """Types of every value in a graph, those in between included."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    values = [*inferred.input, *inferred.output, *inferred.value_info]
    return {value.type.tensor_type.elem_type for value in values} | {each.data_type for each in inferred.initializer}
