"""Overlap-add with normalised weights on an absolute frame axis; live streams and whole files share it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.lock_keeping import FiniteCheck, copy
from engine.plan import WindowPlan

__all__ = ["OverlapAdd"]


class OverlapAdd:
    """Puts the outputs of successive windows together, one hop at a time.

    Each ``add`` moves the axis on by one hop and leaves the frames that no later window touches in ``final`` and
    what is known of the ones after them in ``provisional``. Weights are divided by the sum of those that arrived,
    so they add up to one at every frame, at the ends and after a gap too. Accumulation is in float32. Used by one
    thread; after construction no array is allocated.

    A back-end whose results lie on a device has a subclass that adds them up there.

    Parameters
    ----------
    plan : WindowPlan
    stems, channels : int
    keep_provisional : bool
        False saves the work where nobody plays what is not final.

    Attributes
    ----------
    final : ndarray of float32, shape (stems, channels, hop_frames)
        After window k, the frames ``[e - reach, e - reach + hop)``.
    provisional : ndarray of float32, shape (stems, channels, provisional_frames)
        The frames from there on: first what later windows will still be faded over, then the look-ahead.
    """

    _multiply: Any = staticmethod(np.multiply)
    _divide: Any = staticmethod(np.divide)
    _copy: Any = staticmethod(copy)

    def __init__(self, plan: WindowPlan, stems: int, channels: int, *, keep_provisional: bool = True) -> None:
        self._plan = plan
        self._is_plain = not plan.fade_frames and plan.delivery_frames == plan.hop_frames
        self._keeps_provisional = keep_provisional and plan.provisional_frames > 0
        self._end = plan.window_frames - (0 if plan.stateful else plan.lookahead_frames)
        self._weights = self._zeros(plan.delivery_frames)
        self._weights[...] = self._values(plan.weights())
        self._sum = self._zeros(stems, channels, plan.delivery_frames)
        self._scratch = self._zeros(stems, channels, plan.delivery_frames)
        self._weight_sum = self._zeros(plan.delivery_frames)
        self._weight_scratch = self._zeros(plan.delivery_frames)
        self._final = self._zeros(stems, channels, plan.hop_frames)
        self._provisional = self._zeros(stems, channels, plan.provisional_frames)
        self.final: npt.NDArray[np.float32] = self._final
        self.provisional: npt.NDArray[np.float32] = self._provisional
        self._check = self._make_check((stems, channels, plan.window_frames))

    def restart(self) -> None:
        """Forget every window so far, for a new stream or after windows were skipped."""
        self._sum[...] = 0.0
        self._weight_sum[...] = 0.0

    def look(self, output: Any) -> tuple[bool, bool]:
        """Tell whether a window's output holds finite numbers only: where it is delivered, and in its look-ahead."""
        if self._check(output):
            return True, True
        flags, end = self._check.flags, self._end
        return bool(flags[..., end - self._plan.delivery_frames : end].all()), bool(flags[..., end:].all())

    def add(self, output: Any) -> None:
        """Take the next window's output, shape (stems, channels, window_frames), without its look-ahead weighted."""
        plan, end = self._plan, self._end
        delivered = output[..., end - plan.delivery_frames : end]
        if self._is_plain:
            self._copy(self._final, delivered)
            if self._keeps_provisional:
                self._copy(self._provisional, output[..., end:])
            return
        self._advance(plan.hop_frames)
        self._multiply(delivered, self._weights, out=self._scratch)
        self._sum += self._scratch
        self._weight_sum += self._weights
        hop = plan.hop_frames
        self._divide(self._sum[..., :hop], self._weight_sum[:hop], out=self._final)
        if self._keeps_provisional:
            faded = plan.delivery_frames - hop
            self._divide(self._sum[..., hop:], self._weight_sum[hop:], out=self._provisional[..., :faded])
            self._provisional[..., faded:] = output[..., end:]

    def _advance(self, hop: int) -> None:
        # Through the scratch arrays: NumPy would allocate a copy for an assignment that overlaps itself.
        for array, scratch in ((self._sum, self._scratch), (self._weight_sum, self._weight_scratch)):
            kept = array.shape[-1] - hop
            scratch[..., :kept] = array[..., hop:]
            array[..., :kept] = scratch[..., :kept]
            array[..., kept:] = 0.0

    def _zeros(self, *shape: int) -> Any:
        return np.zeros(shape, np.float32)

    def _values(self, array: npt.NDArray[np.float32]) -> Any:
        return array

    def _make_check(self, shape: tuple[int, ...]) -> FiniteCheck:
        return FiniteCheck(shape)
