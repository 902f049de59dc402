"""What the device can do at most: products of large matrices, and copies of memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from engine.backends.torch_runtime import torch

__all__ = ["Peaks"]

_SIZES = {"cpu": 2048, "cuda": 8192}
_COPIED_BYTES = 1 << 28
_RUNS = 5
_LEAST_S = 0.05


class Peaks:
    """Matrices at hand.

    Parameters
    ----------
    device : str
    threads : int, optional
    """

    def __init__(self, device: str, threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = torch.device(device)

    def ready(self) -> dict[str, Any]:
        """Tell the threads."""
        return {"threads": torch.get_num_threads()}

    def run(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Measure, the best of some runs each; flop/s in units of 1e9, bytes in 1e9 too, read and written."""
        size = facts.get("size", _SIZES.get(self._device.type, 4096))
        figures = {
            f"{name}_gflops": self._product_gflops(size, dtype)
            for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))
        }
        if self._device.type == "cuda":
            figures["fp16_gflops"] = self._product_gflops(size, torch.float16)
        return {**figures, "size": size, "copy_gbytes": self._copy_gbytes(facts.get("copied_bytes", _COPIED_BYTES))}

    def _product_gflops(self, size: int, dtype: torch.dtype) -> float:
        one = torch.randn(size, size, device=self._device).to(dtype)
        made = torch.empty_like(one)
        return 2e-9 * size**3 / self._best_s(lambda: torch.mm(one, one, out=made))

    def _copy_gbytes(self, size: int) -> float:
        given = torch.ones(size, dtype=torch.uint8, device=self._device)
        made = torch.empty_like(given)
        return 2e-9 * size / self._best_s(lambda: made.copy_(given))

    def _best_s(self, step: Callable[[], Any]) -> float:
        """Give the shortest time of a step, each taken over so many that a clock can tell."""
        count, best = 1, 0.0
        with torch.inference_mode():
            for _ in range(_RUNS + 1):
                taken = self._seconds(step, count) / count
                best = taken if not best else min(best, taken)
                count = max(count, round(_LEAST_S / best))
        return best

    def _seconds(self, step: Callable[[], Any], count: int) -> float:
        self._wait()
        begin = time.perf_counter()
        for _ in range(count):
            step()
        self._wait()
        return time.perf_counter() - begin

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
