"""An exported file that is not what PyTorch gives is found out, and never written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import ConfigurationError, ExportError
from engine.export import ExportReport, export_onnx
from engine.models import mdx23c_graph
from engine.separator import F32
from engine.spec import ModelSpec
from tests.engine.mdx23c_models import TINY, Golden, tiny
from tests.engine.onnx_exports import save_tiny


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def noise(*shape: int) -> F32:
    return (0.2 * np.random.default_rng(5).standard_normal(shape)).astype(np.float32)


def checked(folder: Path, audio: Any = None, rate: int = 44_100, **options: Any) -> ExportReport:
    checkpoint = save_tiny(folder, options.pop("architecture", TINY))
    heard = (noise(2, 1000) if audio is None else audio, rate)
    return export_onnx(checkpoint, folder / "a.onnx", check_with=heard, **options)


@pytest.fixture
def louder(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An exporter that gets one layer wrong by a factor."""

    def spoil(factor: float) -> None:
        real = mdx23c_graph.NetworkGraph._wide_conv

        def wrong(self: Any, x: str, name: str) -> str:
            made = real(self, x, name)
            return made if name != "final_conv.2" else self._b.op("Mul", [made, self._b.shared("f", factor)], "wrong")

        monkeypatch.setattr(mdx23c_graph.NetworkGraph, "_wide_conv", wrong)

    return spoil


@pytest.mark.parametrize("part", ["core", "waveform"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_right_file_passes_and_its_differences_are_told(tmp_path: Path, part: str, precision: str) -> None:
    check = checked(tmp_path, part=part, precision=precision).check
    assert check is not None
    assert (check.batches, check.window_frames) == ((1, 2), 120)
    assert [each.stem for each in check.stems] == ["vocals", "other"]
    for each in check.stems:
        if precision == "fp32":
            assert each.max_difference < 1e-5
            assert each.sdr_db > 90.0
        else:
            assert 1e-5 < each.max_difference < 1e-2
            assert 40.0 < each.sdr_db < 90.0
    assert (tmp_path / "a.onnx").is_file()


def test_without_a_check_nothing_is_compared(tmp_path: Path, louder: Any) -> None:
    louder(2.0)
    assert export_onnx(save_tiny(tmp_path), tmp_path / "a.onnx").check is None


@pytest.mark.parametrize(
    ("precision", "factor", "said"),
    [
        ("fp32", 1.01, r"stem 'vocals' differs from PyTorch's by \d\.\de-0\d, and 1e-04 is the most .* for fp32"),
        ("fp32", math.nan, "stem 'vocals' holds values that are not finite"),
        ("fp16", 1.02, r"stem 'vocals' is at 3\d\.\d dB SDR against PyTorch's, and 40 dB are the least .* for fp16"),
        ("fp16", math.inf, "stem 'vocals' holds values that are not finite"),
    ],
)
def test_a_wrong_file_is_told_and_not_written(
    tmp_path: Path, louder: Any, precision: str, factor: float, said: str
) -> None:
    louder(factor)
    kept = tmp_path / "a.onnx"
    kept.write_bytes(b"kept")
    with pytest.raises(ExportError, match=f"{said}.*: nothing was written") as caught:
        checked(tmp_path, precision=precision, overwrite=True)
    assert caught.value.exit_code == 4
    assert kept.read_bytes() == b"kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "model.ckpt", "model.yaml"]


def test_a_second_row_that_is_wrong_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.backends.onnx import OnnxSeparator

    real = OnnxSeparator.process

    def process(self: Any, windows: F32, states: Any) -> Any:
        stems, states = real(self, windows, states)
        return np.concatenate((stems[:1], 1.1 * stems[1:])), states

    monkeypatch.setattr(OnnxSeparator, "process", process)
    with pytest.raises(ExportError, match="differs from PyTorch's"):
        checked(tmp_path)


@pytest.mark.parametrize(
    ("architecture", "audio", "rate"),
    [
        (TINY, noise(1, 1000), 44_100),
        (tiny(channels=1), noise(2, 1000), 44_100),
        (TINY, noise(2, 1000), 48_000),
        (TINY, noise(2, 50), 44_100),
    ],
    ids=["mono", "stereo for a mono model", "another rate", "shorter than a window"],
)
def test_any_audio_will_do(tmp_path: Path, architecture: Any, audio: F32, rate: int) -> None:
    assert checked(tmp_path, audio, rate, architecture=architecture).check is not None


def test_audio_may_be_made_for_the_model(tmp_path: Path) -> None:
    asked: list[ModelSpec] = []

    def heard(spec: ModelSpec) -> tuple[F32, int]:
        asked.append(spec)
        return noise(2, 2 * spec.window_frames), spec.sample_rate

    golden = Golden("target_only")
    report = export_onnx(golden.checkpoint, tmp_path / "a.onnx", config=golden.config, check_with=heard)
    assert [spec.stems for spec in asked] == [("Vocals",)]
    assert report.check is not None


def test_silence_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the audio to check with is silent"):
        checked(tmp_path, np.zeros((2, 1000), np.float32))
    assert not (tmp_path / "a.onnx").exists()
