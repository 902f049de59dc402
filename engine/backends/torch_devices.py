"""Which devices and precisions PyTorch has on this machine."""

from __future__ import annotations

import re

from engine.backends.torch_runtime import torch
from engine.errors import ConfigurationError, UnavailableError

__all__ = ["check_device", "fast_precisions", "parse_dtype", "torch_devices"]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_ON_PROCESSOR = ("fp32", "bf16")
_BF16_CUDA = (8, 0)
"""Compute capability from which on CUDA devices multiply bfloat16 fast."""


def torch_devices() -> tuple[str, ...]:
    """Give the devices that are here, the fastest kind first; ``cpu`` always is."""
    cuda = [f"cuda:{n}" for n in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return (*cuda, *mps, "cpu")


def check_device(device: str) -> str:
    """Give the full name of a device; ``cuda`` is ``cuda:0``.

    Raises
    ------
    UnavailableError
        If PyTorch or this machine has no such device.
    """
    if re.fullmatch(r"cpu|cuda(:\d+)?|mps", device) is None:
        raise UnavailableError(
            f"device {device!r} is none of PyTorch's: use cpu, cuda, cuda:N or mps, or --backend onnx with it"
        )
    named = "cuda:0" if device == "cuda" else device
    there = torch_devices()
    if named in there:
        return named
    remedy = (
        f"PyTorch {torch.__version__} finds no CUDA device: install a driver and PyTorch with CUDA"
        if named.startswith("cuda") and not torch.cuda.is_available()
        else "it is for Apple's machines"
        if named == "mps"
        else "count them with nvidia-smi"
    )
    raise UnavailableError(f"device {device!r} is not here, but {', '.join(there)}: {remedy}; or use cpu")


def parse_dtype(precision: str, device: str) -> torch.dtype:
    """Give the type of numbers for a precision on a device.

    Raises
    ------
    ConfigurationError
        If the word is not known.
    UnavailableError
        If the device lacks it.
    """
    if precision not in _DTYPES:
        raise ConfigurationError(f"precision {precision!r} is not known: use {', '.join(_DTYPES)}")
    if device == "cpu" and precision not in _ON_PROCESSOR:
        raise UnavailableError(f"precision {precision} is for GPUs: a processor takes {' or '.join(_ON_PROCESSOR)}")
    if device == "cpu" and precision == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        raise UnavailableError("precision bf16 needs AVX512 or newer, which this processor lacks: use fp32")
    return _DTYPES[precision]


def fast_precisions(device: str) -> tuple[str, ...]:
    """Give the precisions that a device may be faster with than with fp32, and fp32."""
    if device == "cpu":
        return ("fp32", "bf16") if _multiplies_bfloat16() else ("fp32",)
    if device.startswith("cuda"):
        has_bf16 = torch.cuda.get_device_capability(device) >= _BF16_CUDA
        return ("fp32", "fp16", "bf16") if has_bf16 else ("fp32", "fp16")
    return ("fp32", "fp16")


def _multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for products of bfloat16."""
    try:
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    except AttributeError:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
