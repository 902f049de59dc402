"""Which of ONNX Runtime's execution providers a device is, and whether it is there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.backends.runtime import ort
from engine.errors import ConfigurationError, UnavailableError

__all__ = ["DeviceChoice", "available_devices", "check_started", "choose_device"]

_CPU = "CPUExecutionProvider"
_IN_PLACE = "pip install {} in place of onnxruntime"
_WORD = re.compile(r"([a-z]+)(?::(\d{1,3}))?")


@dataclass(frozen=True)
class _Provider:
    name: str
    remedy: str
    has_numbers: bool = False


_PROVIDERS = {
    "cpu": _Provider(_CPU, "pip install onnxruntime"),
    "cuda": _Provider("CUDAExecutionProvider", _IN_PLACE.format("onnxruntime-gpu"), has_numbers=True),
    "tensorrt": _Provider("TensorrtExecutionProvider", _IN_PLACE.format("onnxruntime-gpu"), has_numbers=True),
    "rocm": _Provider("ROCMExecutionProvider", _IN_PLACE.format("onnxruntime-rocm"), has_numbers=True),
    "migraphx": _Provider("MIGraphXExecutionProvider", _IN_PLACE.format("onnxruntime-migraphx"), has_numbers=True),
    "directml": _Provider("DmlExecutionProvider", _IN_PLACE.format("onnxruntime-directml"), has_numbers=True),
    "coreml": _Provider("CoreMLExecutionProvider", "the wheels of onnxruntime for macOS bring it"),
    "openvino": _Provider("OpenVINOExecutionProvider", _IN_PLACE.format("onnxruntime-openvino")),
}
_SPELLINGS = {"dml": "directml"}


@dataclass(frozen=True)
class DeviceChoice:
    """Execution providers for a session.

    Attributes
    ----------
    device : str
        The device, as it is written, such as ``cuda:1``.
    provider : str
        What must run the model; the processor takes what it cannot.
    providers : tuple
        What a session takes: names, with options where there are any.
    """

    device: str
    provider: str
    providers: tuple[str | tuple[str, dict[str, Any]], ...]

    @property
    def plans_memory(self) -> bool:
        """Whether the runtime may lay out its memory ahead; DirectML takes no sessions that do."""
        return self.provider != _PROVIDERS["directml"].name


def available_devices() -> tuple[str, ...]:
    """Give the devices that the installed ONNX Runtime has a provider for; that such a device is there is not said."""
    there = ort.get_available_providers()
    return tuple(device for device, provider in _PROVIDERS.items() if provider.name in there)


def choose_device(device: str) -> DeviceChoice:
    """Give the providers for a device.

    Parameters
    ----------
    device : str
        ``cpu``, ``cuda``, ``tensorrt``, ``rocm``, ``migraphx``, ``directml`` (or ``dml``), ``coreml`` or ``openvino``.
        Graphics cards may have a number, as in ``cuda:1``.

    Raises
    ------
    ConfigurationError
        If the word is not known.
    UnavailableError
        If the installed ONNX Runtime has no provider for it; the message says what it has, and what brings it.
    """
    if device == "mps":
        raise UnavailableError(
            f"device 'mps' is PyTorch's and ONNX Runtime's is coreml: use one of {', '.join(available_devices())}"
        )
    matched = _WORD.fullmatch(device)
    word = matched[1] if matched else device
    found = _PROVIDERS.get(_SPELLINGS.get(word, word))
    if matched is None or found is None or (matched[2] and not found.has_numbers):
        raise ConfigurationError(
            f"device {device!r} is unknown to ONNX Runtime: known are {', '.join(_PROVIDERS)}, and cuda:N for one of "
            f"several graphics cards; the one that is installed has {', '.join(available_devices())}"
        )
    if found.name not in ort.get_available_providers():
        raise UnavailableError(
            f"device {device!r} needs {found.name}, which ONNX Runtime {ort.__version__} as it is installed does not "
            f"have: it has {', '.join(available_devices())}; {found.remedy}"
        )
    if found.name == _CPU:
        return DeviceChoice(device, _CPU, (_CPU,))
    chosen = (found.name, {"device_id": int(matched[2])}) if matched[2] else found.name
    return DeviceChoice(device, found.name, (chosen, _CPU))


def check_started(choice: DeviceChoice, started: Sequence[str]) -> None:
    """Refuse a session that left out what it was to run on: ONNX Runtime does so where a driver is missing.

    Raises
    ------
    UnavailableError
    """
    if choice.provider not in started:
        raise UnavailableError(
            f"device {choice.device!r}: {choice.provider} is installed and does not start here: check the driver and "
            f"the libraries that it needs, or use one of {', '.join(available_devices())}"
        )
