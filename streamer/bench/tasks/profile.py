"""Where the time of a window goes: by kinds of operators, with what they compute and move."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from engine.backends.torch_runtime import torch
from engine.models.mdx23c_checkpoint import read_mdx23c
from streamer.bench.network_cost import network_flops
from streamer.bench.tasks.loading import cut_windows, load

__all__ = ["KINDS", "Profile", "kind_of"]

KINDS = {
    "transforms": ("fft",),
    "convolutions": ("conv", "winograd", "cudnn"),
    "products of matrices": ("mm", "matmul", "linear", "gemm", "cutlass", "nvjet", "xmma"),
    "norms": ("norm",),
    "activations": ("gelu",),
    "copies": ("copy", "clone", "cat", "contiguous", "zero_", "fill_", "pad", "memcpy", "memset", "constant"),
}
"""Words in the names of operators and kernels, by kind; the first that fits counts."""

OTHERS = "other operators"
OUTSIDE = "outside of PyTorch's operators"
_RUNS = 3


def kind_of(name: str) -> str:
    """Give the kind of an operator or kernel."""
    lower = name.lower()
    return next((kind for kind, words in KINDS.items() if any(word in lower for word in words)), OTHERS)


class Profile:
    """A model with a window of music at hand.

    Parameters
    ----------
    model : Mapping
        See `streamer.bench.tasks.loading.load`; a back-end of PyTorch.
    audio : str
        A ``.npy`` of shape (channels, frames) at the model's rate.
    """

    def __init__(self, model: Mapping[str, Any], audio: str) -> None:
        separator = load(model)
        self._is_cuda = model["device"].startswith("cuda")
        frames = separator.spec.window_frames
        self._runner = separator.runner(1, frames)
        self._runner.windows[0] = cut_windows(np.load(audio), frames, 1)[0]
        architecture = read_mdx23c(Path(model["checkpoint"]), model.get("config")).architecture
        self._flops = network_flops(architecture, frames // architecture.hop_frames + 1)
        self._runner.run(1)

    def ready(self) -> dict[str, Any]:
        """Tell what the network has to reckon."""
        return {"network_gflop": 1e-9 * self._flops}

    def run(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Profile one window, after some that are only timed."""
        # Only here: whoever imports PyTorch first settles how its threads wait.
        from torch.profiler import ProfilerActivity, profile

        seconds = median(self._time() for _ in range(_RUNS))
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._is_cuda else [])]
        with profile(activities=activities) as profiled:
            wall_s = self._time()
        kinds: dict[str, dict[str, float]] = {}
        wanted = "CUDA" if self._is_cuda else "CPU"
        for event in profiled.key_averages():
            if event.device_type.name != wanted:
                continue
            taken_us = event.self_device_time_total if self._is_cuda else event.self_cpu_time_total
            _add(kinds, kind_of(event.key), seconds=1e-6 * taken_us)
        kinds[OUTSIDE] = {"seconds": max(0.0, wall_s - sum(kind["seconds"] for kind in kinds.values()))}
        if not self._is_cuda:
            with _Counting(kinds):
                self._runner.run(1)
        return {"seconds": seconds, "profiled_s": wall_s, "kinds": kinds, "network_gflop": 1e-9 * self._flops}

    def _time(self) -> float:
        begin = time.perf_counter()
        self._runner.run(1)
        return time.perf_counter() - begin


class _Counting(torch.utils._python_dispatch.TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what operators read, write and compute, by kind."""

    def __init__(self, kinds: dict[str, dict[str, float]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._kinds = kinds

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from torch.utils.flop_counter import flop_registry

        # In inference mode, operators that are made of others arrive whole: what they are made of is what is counted.
        with self:
            result = function.decompose(*args, **(kwargs or {}))
        if result is not NotImplemented:
            return result
        result = function(*args, **(kwargs or {}))
        if function.is_view:
            return result
        tensors = {id(each): each for each in (*_tensors(args), *_tensors(kwargs or {}), *_tensors(result))}
        moved = sum(each.numel() * each.element_size() for each in tensors.values())
        packet = function._overloadpacket
        if packet in flop_registry:
            flops = flop_registry[packet](*args, **(kwargs or {}), out_val=result)
        elif "_convolution_pointwise_" in str(packet):
            made, _, weight = args[:3]
            flops = 2 * made.numel() * weight.numel() // weight.shape[0]
        else:
            flops = 0
        _add(self._kinds, kind_of(str(packet)), gbytes=1e-9 * moved, gflop=1e-9 * flops)
        return result


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    return [tensor for each in value for tensor in _tensors(each)] if isinstance(value, list | tuple) else []


def _add(kinds: dict[str, dict[str, float]], kind: str, **figures: float) -> None:
    known = kinds.setdefault(kind, {})
    for name, value in figures.items():
        known[name] = known.get(name, 0.0) + value
