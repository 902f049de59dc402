"""``--device`` and ``--precision``: what is asked for, and whether this machine has it."""

from __future__ import annotations

import re

from engine.errors import ConfigurationError, ModelError

__all__ = ["check_compute"]

_HERE = ("auto", "cpu")
_ELSEWHERE = re.compile(r"cuda(:\d+)?|mps")
_PRECISIONS = ("auto", "fp32")
_OTHER_PRECISIONS = ("fp16", "bf16")


def check_compute(device: str, precision: str) -> None:
    """Refuse what models cannot be run on, or with, here.

    Raises
    ------
    ConfigurationError
        If the word is not known, or a precision is not for this device.
    ModelError
        If the device is known and not here; it names what is missing.
    """
    if precision not in _PRECISIONS:
        known = "is for graphics cards" if precision in _OTHER_PRECISIONS else "is unknown"
        raise ConfigurationError(f"--precision {precision!r} {known}: available here are {' and '.join(_PRECISIONS)}")
    if device in _HERE:
        return
    if not _ELSEWHERE.fullmatch(device):
        raise ConfigurationError(f"--device {device!r} is unknown: available here are {' and '.join(_HERE)}")
    raise ModelError(f"--device {device}: {_missing(device)}; available here are {' and '.join(_HERE)}")


def _missing(device: str) -> str:
    try:
        import torch
    except (ImportError, OSError):
        return "PyTorch cannot be imported, pip install 'stemstream[torch]'"
    if device.startswith("cuda") and not torch.cuda.is_available():
        built = "no CUDA device is found" if torch.version.cuda else "it is built without CUDA"
        return f"PyTorch {torch.__version__} sees no CUDA, {built}"
    return "models are run on the processor in this version"
