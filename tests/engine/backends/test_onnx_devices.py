"""A device is one of ONNX Runtime's providers, or one line says what is there and what brings the one asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.backends import onnx_devices
from engine.backends.onnx import OnnxSeparator
from engine.backends.onnx_devices import available_devices, check_started, choose_device
from engine.errors import ConfigurationError, ModelError, UnavailableError
from tests.engine.onnx_models import gains, save

CPU = "CPUExecutionProvider"
ONE = {"sample_rate": 44_100, "stems": ["vocals", "other"]}
NAMES = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "directml": "DmlExecutionProvider",
    "dml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ONNX Runtime that has every provider."""
    monkeypatch.setattr(onnx_devices.ort, "get_available_providers", lambda: [*NAMES.values(), CPU])


@pytest.mark.usefixtures("installed")
class TestInstalled:
    @pytest.mark.parametrize("device", NAMES)
    def test_a_device_is_its_provider_and_then_the_processor(self, device: str) -> None:
        choice = choose_device(device)
        assert choice.providers == (NAMES[device], CPU)
        assert choice.provider == NAMES[device]
        assert choice.plans_memory == (NAMES[device] != "DmlExecutionProvider")

    def test_a_graphics_card_may_have_a_number(self) -> None:
        assert choose_device("cuda:1").providers == (("CUDAExecutionProvider", {"device_id": 1}), CPU)
        assert choose_device("dml:0").providers == (("DmlExecutionProvider", {"device_id": 0}), CPU)

    def test_all_are_listed_once(self) -> None:
        assert available_devices() == (
            "cpu", "cuda", "tensorrt", "rocm", "migraphx", "directml", "coreml", "openvino",
        )  # fmt: skip

    def test_what_is_installed_and_does_not_start_is_refused(self) -> None:
        choice = choose_device("cuda")
        check_started(choice, ["CUDAExecutionProvider", CPU])
        with pytest.raises(
            UnavailableError, match="'cuda': CUDAExecutionProvider is installed and does not start here"
        ):
            check_started(choice, [CPU])

    def test_a_session_that_left_the_device_out_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, asked = onnx_devices.ort.InferenceSession, []

        def session(path: str, options: Any, providers: Sequence[Any]) -> Any:
            asked.append((providers, options.enable_mem_pattern))
            return real(path, options, providers=[CPU])

        monkeypatch.setattr(onnx_devices.ort, "InferenceSession", session)
        path = save(tmp_path / "a.onnx", gains(1.0, 0.0, frames=8), ONE)
        for device in ("openvino", "directml"):
            with pytest.raises(UnavailableError, match="does not start here"):
                OnnxSeparator(path, device=device)
        assert asked == [
            (["OpenVINOExecutionProvider", CPU], True),
            (["DmlExecutionProvider", CPU], False),
        ]


class TestHere:
    def test_the_processor_is_always_there(self, tmp_path: Path) -> None:
        assert "cpu" in available_devices()
        assert choose_device("cpu").providers == (CPU,)
        path = save(tmp_path / "a.onnx", gains(0.5, 2.0, frames=8), ONE)
        separator = OnnxSeparator(path, device="cpu")
        assert separator._session.get_providers() == [CPU]
        np.testing.assert_array_equal(separator.process(np.ones((1, 2, 8), np.float32), ())[0][0, 1], 2.0)

    @pytest.mark.parametrize(
        ("device", "wheel"), [("cuda:3", "onnxruntime-gpu"), ("dml", "onnxruntime-directml"), ("rocm", "-rocm")]
    )
    def test_one_that_is_not_installed_names_what_is_and_what_brings_it(
        self, monkeypatch: pytest.MonkeyPatch, device: str, wheel: str
    ) -> None:
        monkeypatch.setattr(onnx_devices.ort, "get_available_providers", lambda: ["AzureExecutionProvider", CPU])
        with pytest.raises(UnavailableError) as caught:
            choose_device(device)
        assert isinstance(caught.value, ModelError)
        assert isinstance(caught.value, ConfigurationError)
        assert caught.value.exit_code == 4
        said = str(caught.value)
        assert said.startswith(f"device '{device}' needs ")
        assert "it has cpu; pip install" in said
        assert wheel in said

    @pytest.mark.parametrize("device", ["gpu", "cpu:0", "cuda:x", "cuda:", "CUDA", "", "coreml:1"])
    def test_an_unknown_word_names_those_that_are_known(self, device: str) -> None:
        with pytest.raises(
            ConfigurationError, match=r"is unknown to ONNX Runtime: known are cpu, cuda, .*cuda:N"
        ) as caught:
            choose_device(device)
        assert caught.value.exit_code == 2
