"""Overlap-add with normalised weights on an absolute frame axis; live streams and whole files share it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.lock_keeping import copy
from engine.plan import WindowPlan

__all__ = ["OverlapAdd"]


class OverlapAdd:
    """Puts the outputs of successive windows together, one hop at a time.

    Each ``add`` moves the axis on by one hop and leaves the frames that no later window touches in ``final`` and
    what is known of the ones after them in ``provisional``. Weights are divided by the sum of those that arrived,
    so they add up to one at every frame, at the ends and after a gap too. Accumulation is in float32. Used by one
    thread; after construction no array is allocated.

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

    def __init__(self, plan: WindowPlan, stems: int, channels: int, *, keep_provisional: bool = True) -> None:
        self._plan = plan
        self._is_plain = not plan.fade_frames and plan.delivery_frames == plan.hop_frames
        self._keep_provisional = keep_provisional
        self._weights = plan.weights()
        self._sum = np.zeros((stems, channels, plan.delivery_frames), np.float32)
        self._scratch = np.zeros_like(self._sum)
        self._weight_sum = np.zeros(plan.delivery_frames, np.float32)
        self._weight_scratch = np.zeros_like(self._weight_sum)
        self.final = np.zeros((stems, channels, plan.hop_frames), np.float32)
        self.provisional = np.zeros((stems, channels, plan.provisional_frames), np.float32)

    def restart(self) -> None:
        """Forget every window so far, for a new stream or after windows were skipped."""
        self._sum[...] = 0.0
        self._weight_sum[...] = 0.0

    def add(self, output: npt.NDArray[np.float32]) -> None:
        """Take the next window's output, shape (stems, channels, window_frames), without its look-ahead weighted."""
        plan = self._plan
        end = output.shape[-1] if plan.stateful else plan.window_frames - plan.lookahead_frames
        if self._is_plain:
            copy(self.final, output[..., end - plan.delivery_frames : end])
            if self._keep_provisional and plan.provisional_frames:
                copy(self.provisional, output[..., end:])
            return
        self._advance(plan.hop_frames)
        np.multiply(output[..., end - plan.delivery_frames : end], self._weights, out=self._scratch)
        self._sum += self._scratch
        self._weight_sum += self._weights
        hop = plan.hop_frames
        np.divide(self._sum[..., :hop], self._weight_sum[:hop], out=self.final)
        if self._keep_provisional and plan.provisional_frames:
            faded = plan.delivery_frames - hop
            np.divide(self._sum[..., hop:], self._weight_sum[hop:], out=self.provisional[..., :faded])
            np.copyto(self.provisional[..., faded:], output[..., end:])

    def _advance(self, hop: int) -> None:
        # Through the scratch arrays: NumPy would allocate a copy for an assignment that overlaps itself.
        for array, scratch in ((self._sum, self._scratch), (self._weight_sum, self._weight_scratch)):
            kept = array.shape[-1] - hop
            np.copyto(scratch[..., :kept], array[..., hop:])
            np.copyto(array[..., :kept], scratch[..., :kept])
            array[..., kept:] = 0.0
