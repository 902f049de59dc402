"""Small ONNX models for tests, and how they are written to files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

Dim = int | str
_OPSET = helper.make_opsetid("", 17)


def audio(name: str, *shape: Dim, dtype: int = TensorProto.FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    tensors: Sequence[TensorProto] = (),
) -> ModelProto:
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(tensors))
    return helper.make_model(graph, opset_imports=[_OPSET], ir_version=8)


def gains(
    *values: float,
    batch: Dim = "batch",
    channels: Dim = 2,
    frames: Dim = "frames",
    stems: Dim | None = None,
    dtype: int = TensorProto.FLOAT,
) -> ModelProto:
    """Give one stem per gain: the input times that gain."""
    return model(
        [helper.make_node("Unsqueeze", ["mix", "axis"], ["one"]), helper.make_node("Mul", ["one", "gains"], ["out"])],
        [audio("mix", batch, channels, frames, dtype=dtype)],
        [audio("out", batch, len(values) if stems is None else stems, channels, frames, dtype=dtype)],
        [
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
            helper.make_tensor("gains", dtype, [1, len(values), 1, 1], values),
        ],
    )


def one_hop_delay(hop: Dim = 8, *, batch: Dim = "batch", channels: int = 2) -> ModelProto:
    """Give the hop before as the only stem; a second state counts the hops."""
    return model(
        [
            helper.make_node("Unsqueeze", ["past", "axis"], ["out"]),
            helper.make_node("Identity", ["mix"], ["next_past"]),
            helper.make_node("Add", ["count", "one"], ["next_count"]),
        ],
        [
            audio("past", batch, channels, hop),
            audio("mix", batch, channels, hop),
            audio("count", batch, 1, dtype=TensorProto.INT64),
        ],
        [
            audio("next_count", batch, 1, dtype=TensorProto.INT64),
            audio("out", batch, 1, channels, hop),
            audio("next_past", batch, channels, hop),
        ],
        [
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        ],
    )


DELAY_STATES = [
    {"input": "past", "output": "next_past"},
    {"input": "count", "output": "next_count", "initial": 3},
]


def compressed() -> ModelProto:
    """Give three stems, which only a run can tell."""
    return model(
        [
            helper.make_node("Unsqueeze", ["mix", "axis"], ["one"]),
            helper.make_node("Concat", ["one", "one", "one", "one"], ["four"], axis=1),
            helper.make_node("Compress", ["four", "which"], ["out"], axis=1),
        ],
        [audio("mix", "batch", 2, 8)],
        [audio("out", "batch", "stems", 2, 8)],
        [
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
            helper.make_tensor("which", TensorProto.BOOL, [4], [True, False, True, True]),
        ],
    )


def fails_when_loud(frames: int = 8) -> ModelProto:
    """Pass silence, and fail at run time where a sample reaches 1; its state counts the runs."""
    return model(
        [
            helper.make_node("ReduceMax", ["mix"], ["peak"], keepdims=0),
            helper.make_node("Cast", ["peak"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["factor", "index"], ["chosen"]),
            helper.make_node("Unsqueeze", ["mix", "axis"], ["one"]),
            helper.make_node("Mul", ["one", "chosen"], ["out"]),
            helper.make_node("Add", ["runs", "factor"], ["next_runs"]),
        ],
        [audio("mix", "batch", 2, frames), audio("runs", "batch", 1)],
        [audio("out", "batch", 1, 2, frames), audio("next_runs", "batch", 1)],
        [
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
            helper.make_tensor("factor", TensorProto.FLOAT, [1], [1.0]),
        ],
    )


def external(name: str, location: str, *, length: int = 8) -> TensorProto:
    """Two floats that lie in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1, 2, 1, 1])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def external_gains(location: str, *, frames: int = 8) -> ModelProto:
    """Like `gains` for two stems, with the gains in another file."""
    made = gains(0.0, 0.0, frames=frames)
    made.graph.initializer[1].CopyFrom(external("gains", location))
    return made


def describe(made: ModelProto, **description: Any) -> ModelProto:
    """Put a description into a model's metadata."""
    helper.set_model_props(made, {"stemstream": json.dumps(description)})
    return made


def save(path: Path, made: ModelProto, beside: Mapping[str, Any] | None = None) -> Path:
    """Write a model, and a description beside it if there is one."""
    path.write_bytes(made.SerializeToString())
    if beside is not None:
        path.with_suffix(".yaml").write_text(yaml.safe_dump(dict(beside)), encoding="utf-8")
    return path


__all__ = [
    "DELAY_STATES",
    "audio",
    "compressed",
    "describe",
    "external",
    "external_gains",
    "fails_when_loud",
    "gains",
    "model",
    "one_hop_delay",
    "save",
]
