"""Where and with what a model runs: device, back-end and precision, and the words for them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.errors import ConfigurationError

__all__ = ["AUTO", "BACKENDS", "PRECISIONS", "Compute", "check_words"]

AUTO = "auto"
"""Left to a short measurement."""

BACKENDS = ("torch", "eager", "compiled", "onnx")
"""torch: PyTorch in the fastest way that is ready at once. eager: PyTorch as it comes, in the order of operations of
the reference. compiled: by ``torch.compile``, after minutes. onnx: ONNX Runtime."""

PRECISIONS = ("fp32", "bf16", "fp16")
_DEVICE = re.compile(r"(auto|cpu|cuda|mps|tensorrt|rocm|migraphx|directml|dml|coreml|openvino)(:\d{1,3})?")


@dataclass(frozen=True)
class Compute:
    """What a model runs on.

    Attributes
    ----------
    device : str
        ``cpu``, ``cuda:N``, ``mps``, or another device of ONNX Runtime.
    backend : str
        One of `BACKENDS`, or ``auto``: what the model's file is made for.
    precision : str
        One of `PRECISIONS`.
    """

    device: str = "cpu"
    backend: str = AUTO
    precision: str = "fp32"

    def __str__(self) -> str:
        """Say it in the order of the options."""
        return f"{self.device}, {self.backend}, {self.precision}"


def check_words(device: str, backend: str, precision: str) -> None:
    """Refuse words that are not known anywhere; whether this machine has what they mean is another question.

    Raises
    ------
    ConfigurationError
    """
    if _DEVICE.fullmatch(device) is None:
        raise ConfigurationError(
            f"device {device!r} is not known: use auto, cpu, cuda, cuda:N, mps, or a name of ONNX Runtime's"
        )
    for word, known, what in ((backend, BACKENDS, "backend"), (precision, PRECISIONS, "precision")):
        if word not in (AUTO, *known):
            raise ConfigurationError(f"{what} {word!r} is not known: use {', '.join((AUTO, *known))}")
