"""The network as a graph gives what PyTorch gives, for every norm, activation and size, and half precision is close."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from engine.backends.runtime import ort
from engine.errors import ExportError
from engine.metrics import sdr_db
from engine.registry import load_separator
from tests.engine.mdx23c_models import TINY, random_tensors, save_model, tiny
from tests.engine.onnx_exports import exported_model, save_tiny, windows_of

KINDS: list[dict[str, Any]] = [
    {},
    {"norm": "BatchNorm"},
    {"norm": "GroupNorm2"},
    {"norm": ""},
    {"act": "relu"},
    {"act": "elu0.5"},
    {"channels": 1},
    {"scale": (2, 1)},
    {"n_fft": 64, "bands": 4, "bottleneck": 1, "blocks": 1, "outputs": 3},
    {"scales": 1, "growth": 0},
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_of_network_comes_out_as_from_pytorch(tmp_path: Path, kind: dict[str, Any]) -> None:
    checkpoint = save_tiny(tmp_path, tiny(**kind))
    reference = load_separator(checkpoint)
    windows = windows_of(reference, 2)
    wanted, _ = reference.process(windows, ())
    assert np.abs(wanted).max() > 0.01
    stems, _ = exported_model(checkpoint, part="core").process(windows, ())
    np.testing.assert_allclose(stems, wanted, rtol=0, atol=1e-5)
    halves, _ = exported_model(checkpoint, part="core", precision="fp16").process(windows, ())
    for row in range(2):
        for n in range(len(reference.spec.stems)):
            assert sdr_db(wanted[row, n], halves[row, n]) > 40.0
    assert np.abs(halves - wanted).max() > 1e-5


def test_silence_is_silence_to_the_last_bit(tmp_path: Path) -> None:
    checkpoint = save_tiny(tmp_path)
    for part in ("core", "waveform"):
        separator = exported_model(checkpoint, part=part)
        assert not separator.process(np.zeros_like(windows_of(separator)), ())[0].any()


def test_a_gelu_is_one_operation_for_onnx_runtime(tmp_path: Path) -> None:
    checkpoint = save_tiny(tmp_path)
    exported_model(checkpoint)
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(str(tmp_path / "exported.onnx"), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert "Gelu" in kinds
    assert "Erf" not in kinds


def test_half_precision_halves_the_weights(tmp_path: Path) -> None:
    checkpoint = save_tiny(tmp_path, tiny(width=64, growth=0))
    sizes = []
    for precision in ("fp32", "fp16"):
        exported_model(checkpoint, part="core", precision=precision)
        sizes.append((tmp_path / "exported.onnx").stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]


def test_what_half_precision_cannot_hold_is_refused(tmp_path: Path) -> None:
    tensors = random_tensors(TINY)
    name = "bottleneck_block.blocks.0.tfc1.2.weight"
    tensors[name][0, 0, 0, 0] = 1e6
    checkpoint = save_model(tmp_path / "model.ckpt", tensors=tensors)
    with pytest.raises(ExportError, match=f"tensor '{name}' holds values that float16 cannot"):
        exported_model(checkpoint, precision="fp16")
    assert not (tmp_path / "exported.onnx").exists()
