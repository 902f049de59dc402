"""Overlap-add on the device that the model runs on: only what became final, and what is played early, is copied."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.backends.torch_runtime import torch
from engine.backends.torch_turn import DeviceTurn
from engine.overlap import OverlapAdd
from engine.plan import WindowPlan

__all__ = ["DeviceOverlapAdd"]

Tensor = torch.Tensor


class DeviceOverlapAdd(OverlapAdd):
    """See `engine.overlap.OverlapAdd`: the same steps on tensors, which round the same. Outputs are tensors there.

    ``final`` and ``provisional`` are in pinned memory. ``add`` and ``look`` wait for the device, asleep.

    Parameters
    ----------
    plan : WindowPlan
    stems, channels : int
    device : torch.device
    keep_provisional : bool
    """

    _multiply = staticmethod(torch.multiply)
    _divide = staticmethod(torch.divide)

    def __init__(
        self, plan: WindowPlan, stems: int, channels: int, *, device: torch.device, keep_provisional: bool
    ) -> None:
        self._turn = DeviceTurn(device)
        with self._turn():
            super().__init__(plan, stems, channels, keep_provisional=keep_provisional)
            self._flags = torch.zeros(2, dtype=torch.bool, device=device)
        self._host_final = self._turn.host_zeros(*self._final.shape)
        self._host_provisional = self._turn.host_zeros(*self._provisional.shape)
        self._host_flags = self._turn.host_zeros(2, dtype=torch.bool)
        self._seen = self._host_flags.numpy()
        self.final = self._host_final.numpy()
        self.provisional = self._host_provisional.numpy()
        # What a device needs for each kind of step is loaded when that is taken for the first time.
        self._take_every_step()

    def restart(self) -> None:
        """Forget every window so far; see `OverlapAdd.restart`."""
        with self._turn():
            super().restart()

    def look(self, output: Any) -> tuple[bool, bool]:
        """Tell what of a window's output is finite; see `OverlapAdd.look`."""
        end = self._end
        with self._turn():
            self._flags[0] = torch.isfinite(output[..., end - self._plan.delivery_frames : end]).all()
            self._flags[1] = torch.isfinite(output[..., end:]).all()
            self._turn.copy(self._host_flags, self._flags)
        return bool(self._seen[0]), bool(self._seen[1])

    def add(self, output: Any) -> None:
        """Take the next window's output; see `OverlapAdd.add`."""
        with self._turn():
            super().add(output)
            self._turn.copy(self._host_final, self._final)
            if self._keeps_provisional:
                self._turn.copy(self._host_provisional, self._provisional)

    def _take_every_step(self) -> None:
        silence = torch.zeros((*self._sum.shape[:2], self._plan.window_frames), device=self._turn.device)
        self.look(silence)
        self.add(silence)
        self.restart()

    @staticmethod
    def _copy(out: Tensor, source: Tensor) -> None:
        out.copy_(source)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, device=self._turn.device)

    def _values(self, array: npt.NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(array)

    def _make_check(self, shape: tuple[int, ...]) -> Any:
        return None
