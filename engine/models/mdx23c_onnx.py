"""An MDX23C model as an ONNX file's contents: the graph, and a description that makes it a model by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from engine.backends.description import METADATA_KEY
from engine.backends.onnx_layout import trial_window_frames
from engine.backends.torch_runtime import torch
from engine.errors import ExportError
from engine.graph_builder import GraphBuilder
from engine.models.mdx23c_checkpoint import Mdx23cCheckpoint
from engine.models.mdx23c_graph import NetworkGraph
from engine.models.spectrum_graph import add_forward, add_inverse

__all__ = ["build_model"]

_CORE = "core"
# Read by every ONNX Runtime that the project supports, and by most others.
_OPSET = 17
_IR_VERSION = 8
_NUMBER_BYTES = {"fp32": 4, "fp16": 2}
_MOST_BYTES = 2_000_000_000  # a protocol buffer cannot hold more than 2 GiB


def build_model(checkpoint: Mdx23cCheckpoint, part: str, precision: str) -> onnx.ModelProto:
    """Build a model whose batch axis is open, and whose window may be any that the checkpoint takes.

    Parameters
    ----------
    checkpoint : Mdx23cCheckpoint
    part : {"core", "waveform"}
        ``core`` takes ``spectrum`` (batch, 2 * channels, bins, columns) and gives ``spectra`` (batch, stems,
        2 * channels, bins, columns); ``waveform`` takes ``mixture`` (batch, channels, frames) and gives ``stems``
        (batch, stems, channels, frames).
    precision : {"fp32", "fp16"}
        What the network reckons with; inputs and outputs are float32.

    Raises
    ------
    ExportError
        If it would be too large for one file, or its transform, its window or its weights do not allow it.
    """
    a, spec = checkpoint.architecture, checkpoint.spec
    numbers = sum(tensor.numel() for tensor in checkpoint.tensors.values())
    if numbers * _NUMBER_BYTES[precision] > _MOST_BYTES:
        raise ExportError(
            f"model {spec.name!r} has {numbers} weights, and an ONNX file holds {_MOST_BYTES} bytes: it is too large"
        )
    weights = {name: _array(tensor) for name, tensor in checkpoint.tensors.items()}
    builder = GraphBuilder()
    network = NetworkGraph(builder, a, weights, precision)
    inputs, outputs = (_add_core if part == _CORE else _add_waveform)(builder, network, checkpoint)
    graph = helper.make_graph(builder.nodes, spec.name, [inputs], [outputs], builder.constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION, producer_name="stemstream"
    )
    helper.set_model_props(model, {METADATA_KEY: json.dumps(_description(checkpoint, part))})
    return model


def _add_core(
    b: GraphBuilder, network: NetworkGraph, checkpoint: Mdx23cCheckpoint
) -> tuple[onnx.ValueInfoProto, onnx.ValueInfoProto]:
    a = checkpoint.architecture
    network.add("spectrum", "spectra")
    axes = (2 * a.channels, a.bins, "columns")
    return _value("spectrum", *axes), _value("spectra", a.outputs, *axes)


def _add_waveform(
    b: GraphBuilder, network: NetworkGraph, checkpoint: Mdx23cCheckpoint
) -> tuple[onnx.ValueInfoProto, onnx.ValueInfoProto]:
    a, spec = checkpoint.architecture, checkpoint.spec
    if trial_window_frames(spec) <= a.n_fft // 2:
        raise ExportError(
            f"model {spec.name!r} takes windows that are not longer than half of its transform, {a.n_fft // 2} frames, "
            "and a graph cannot reflect these: export the network alone with --part core"
        )
    transform = {"n_fft": a.n_fft, "hop": a.hop_frames, "bins": a.bins}
    frames = b.size("mixture", 2, "frame_count")
    heard = add_forward(b, b.sized("mixture", "channel_rows", -1, frames), **transform)
    columns = b.size(heard, 3, "column_count")
    spectra = network.add(b.sized(heard, "spectrum", -1, 2 * a.channels, a.bins, columns), "spectra")
    audio = add_inverse(b, b.sized(spectra, "stem_rows", -1, 2, a.bins, columns), **transform)
    b.sized(audio, "stems", -1, a.outputs, a.channels, frames)
    return _value("mixture", a.channels, "frames"), _value("stems", a.outputs, a.channels, "frames")


def _description(checkpoint: Mdx23cCheckpoint, part: str) -> Mapping[str, Any]:
    a, spec = checkpoint.architecture, checkpoint.spec
    transform = {"n_fft": a.n_fft, "hop_frames": a.hop_frames, "bins": a.bins}
    return {
        "name": spec.name,
        "description": spec.description,
        "sample_rate": spec.sample_rate,
        "stems": spec.stems,
        "channels": spec.channels,
        "window_frames": spec.window_frames,
        "window_granularity_frames": spec.window_granularity_frames,
        "overlap": spec.overlap,
        "hop_frames": spec.hop_frames,
        "lookahead_frames": spec.lookahead_frames,
        "fade_frames": spec.fade_frames,
        "residual": spec.residual,
        **({"spectrum": transform} if part == _CORE else {}),
    }


def _value(name: str, *axes: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *axes])


def _array(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    # A copy is made only of what is kept as something else than float32.
    array: npt.NDArray[np.float32] = tensor.detach().to(torch.float32).numpy()
    return array
