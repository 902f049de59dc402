"""The transform inside a graph is PyTorch's, in both directions, whatever its length, or is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from engine.backends.runtime import ort
from engine.errors import ExportError
from engine.graph_builder import GraphBuilder
from engine.models.mdx23c import SpectrumTransform
from engine.models.spectrum_graph import add_forward, add_inverse, transform_factors

F32 = np.ndarray[Any, np.dtype[np.float32]]
SIZES = [
    pytest.param(8192, 1024, 4096, 15 * 1024, id="public voices"),
    pytest.param(12288, 2048, 4096, 9 * 2048, id="no power of two"),
    pytest.param(32, 8, 16, 120, id="tiny"),
    pytest.param(12, 6, 7, 60, id="every bin"),
    pytest.param(30, 7, 9, 77, id="no multiple of the hop"),
    pytest.param(1000, 441, 501, 9 * 441, id="hop and length without a common factor"),
    pytest.param(26, 4, 12, 40, id="a factor that is a large prime"),
    pytest.param(32, 8, 16, 24, id="shorter than a transform"),
]


def ran(b: GraphBuilder, output: str, axes: list[int | str], value: F32) -> F32:
    """Run a graph whose only input is ``x``, on two rows at once and on one."""
    b.op("Identity", [output], "y")
    graph = helper.make_graph(
        b.nodes,
        "transform",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, axes)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * (6 - len(axes)))],
        b.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    both: F32 = session.run(None, {"x": value})[0]
    np.testing.assert_allclose(session.run(None, {"x": value[:1]})[0], both[:1], rtol=0, atol=1e-5)
    return both


@pytest.mark.parametrize(("n_fft", "hop", "bins", "frames"), SIZES)
class TestAgainstTorch:
    def test_forward(self, n_fft: int, hop: int, bins: int, frames: int) -> None:
        audio = np.random.default_rng(0).standard_normal((2, frames)).astype(np.float32)
        wanted = SpectrumTransform(n_fft, hop, bins).forward(torch.from_numpy(audio)[None])[0].numpy()
        b = GraphBuilder()
        output = add_forward(b, "x", n_fft=n_fft, hop=hop, bins=bins)
        found = ran(b, output, ["rows", "frames"], audio)
        assert found.shape == (2, 2, bins, frames // hop + 1)
        np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())

    def test_inverse(self, n_fft: int, hop: int, bins: int, frames: int) -> None:
        shape = (2, 2, bins, frames // hop + 1)
        parts = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        rows = torch.from_numpy(parts).reshape(1, 1, 4, *shape[2:])
        wanted = SpectrumTransform(n_fft, hop, bins).inverse(rows)[0, 0].numpy()
        b = GraphBuilder()
        found = ran(b, add_inverse(b, "x", n_fft=n_fft, hop=hop, bins=bins), ["rows", 2, bins, "columns"], parts)
        assert found.shape == wanted.shape == (2, frames)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize(("n_fft", "factors"), [(8192, (64, 128)), (12288, (96, 128)), (2048, (32, 64)), (26, (2, 13))])
def test_factors_are_as_equal_as_can_be(n_fft: int, factors: tuple[int, int]) -> None:
    assert transform_factors(n_fft) == factors


@pytest.mark.parametrize("n_fft", [2 * 521, 1 << 19, 33])
def test_a_length_without_small_factors_is_refused(n_fft: int) -> None:
    with pytest.raises(
        ExportError, match=rf"a transform of {n_fft} frames .*: its length must be even and the product"
    ):
        transform_factors(n_fft)
