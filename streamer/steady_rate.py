"""One rate for tracks of several rates: what a deck gives, converted where a device or a program wants another rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from streamer.resample import RateBridge, hold_back_frames

__all__ = ["SteadyRate"]

F32 = npt.NDArray[np.float32]
Pull = Callable[[F32], tuple[int, int | None]]
"""Fills an array (channels, n) from its beginning; gives how many frames, and their rate (None for silence)."""


class SteadyRate:
    """Gives frames at one rate. Those that have it pass as they are; others are converted, 1 ms of them held back.

    Parameters
    ----------
    pull : callable
    sample_rate : int
        In Hz.
    channels, block_frames : int
        ``block_frames`` are pulled at once.
    """

    def __init__(self, pull: Pull, sample_rate: int, channels: int, block_frames: int) -> None:
        self._pull, self._rate = pull, sample_rate
        self._block = np.zeros((channels, block_frames), np.float32)
        self._from_rate = sample_rate
        self._bridge: RateBridge | None = None
        self._pending: F32 = np.zeros((channels, 0), np.float32)

    def read(self, out: F32) -> None:
        """Fill an array, shape (channels, n)."""
        done, frames = 0, out.shape[1]
        while done < frames:
            done += self._hand_out(out[:, done:])
            if done == frames:
                return
            direct = self._bridge is None
            target = out[:, done : done + self._block.shape[1]] if direct else self._block
            n, rate = self._pull(target)
            given = target[:, :n]
            if rate is not None and rate != self._from_rate:
                # What was pulled belongs behind the rest of what came before.
                given = given.copy()
                self._change_to(rate)
                direct = False
            if direct:
                done += n
            elif self._bridge is None:
                self._pending = np.concatenate([self._pending, given], axis=1)
            elif n:
                self._bridge.feed(given)

    def _hand_out(self, out: F32) -> int:
        n: int = min(out.shape[1], self._pending.shape[1])
        if n:
            out[:, :n] = self._pending[:, :n]
            self._pending = self._pending[:, n:]
            return n
        if self._bridge is None:
            return 0
        n = min(out.shape[1], self._bridge.available - self._bridge.taken)
        if n:
            self._bridge.take(out[:, :n])
        return n

    def _change_to(self, rate: int) -> None:
        """Give out the rest of one rate, exactly as long as what came in, and begin another."""
        bridge = self._bridge
        if bridge is not None:
            end = round(bridge.fed * self._rate / self._from_rate)
            bridge.feed_zeros(2 * hold_back_frames(self._from_rate, self._rate))
            rest = np.zeros((self._block.shape[0], max(0, min(end, bridge.available) - bridge.taken)), np.float32)
            bridge.take(rest)
            self._pending = np.concatenate([self._pending, rest], axis=1)
        self._from_rate = rate
        channels, block = self._block.shape
        self._bridge = None if rate == self._rate else RateBridge(rate, self._rate, channels, block)
