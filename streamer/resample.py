"""The rate bridge: streaming conversion between the host's rate and the model's, with exact frame counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.lock_keeping import copy

__all__ = ["RateBridge", "grid_step", "hold_back_frames"]

_CONVERTER = "sinc_medium"
_FILTER_REACH = 47
"""Input frames to each side that libsamplerate's ``sinc_medium`` looks at, times the ratio where it converts down.
Measured over random blocks and the common rates; a test repeats the measurement."""


def hold_back_frames(from_rate: int, to_rate: int) -> int:
    """Input frames that a converter keeps back: once n are in, the output for the first n minus these is out."""
    return math.ceil(_FILTER_REACH * max(1.0, from_rate / to_rate)) + 1


def grid_step(from_rate: int, to_rate: int) -> tuple[int, int]:
    """Smallest numbers of input and output frames that last equally long."""
    common = math.gcd(from_rate, to_rate)
    return from_rate // common, to_rate // common


class RateBridge:
    """Converts a stream from one rate to another on two absolute frame axes.

    Output frame j is the input at time ``j * from_rate / to_rate`` input frames, however the input was cut: the
    filter is linear in phase and its delay is held back, not added. What the converter gives early is kept, so
    ``take`` gives what the arithmetic of the two rates says. Used by one thread.

    Parameters
    ----------
    from_rate, to_rate : int
        In Hz, different from each other.
    channels : int
    max_frames : int
        Most input frames a ``feed``.

    Notes
    -----
    libsamplerate (E. de Castro Lopo), band-limited interpolation after J. O. Smith. Its arrays are copied at once.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int, max_frames: int) -> None:
        import samplerate

        self._from_step, self._to_step = grid_step(from_rate, to_rate)
        self._ratio = to_rate / from_rate
        self._channels = channels
        self._converter: Any = samplerate.Resampler(_CONVERTER, channels=channels)
        self._interleaved = np.zeros((max_frames, channels), np.float32)
        room = math.ceil((max_frames + 4 * hold_back_frames(from_rate, to_rate)) * self._ratio) + 64
        self._ready = np.zeros((channels, room), np.float32)
        self._ready_frames = 0
        self.fed = 0
        """Position of the next input frame to feed."""
        self.taken = 0
        """Position of the next output frame to take."""

    @property
    def available(self) -> int:
        """Every output frame before this position can be taken."""
        return self.taken + self._ready_frames

    def restart(self, input_frame: int) -> int:
        """Forget everything and go on at or shortly before ``input_frame``, where both axes have a frame.

        Returns
        -------
        int
            The input frame to feed next: at most ``input_frame``, by less than ``grid_step(...)[0]``.
        """
        periods = input_frame // self._from_step
        self._converter.reset()
        self._ready_frames = 0
        self.fed = periods * self._from_step
        self.taken = periods * self._to_step
        return self.fed

    def feed(self, frames: npt.NDArray[np.float32]) -> None:
        """Take input frames, shape (channels, n) with n at most ``max_frames``."""
        n = frames.shape[-1]
        staged = self._interleaved[:n]
        copy(staged.T, frames)
        self._keep(self._converter.process(staged, self._ratio))
        self.fed += n

    def feed_zeros(self, n: int) -> None:
        """Take ``n`` frames of silence."""
        while n > 0:
            part = min(n, len(self._interleaved))
            staged = self._interleaved[:part]
            staged[...] = 0.0
            self._keep(self._converter.process(staged, self._ratio))
            self.fed += part
            n -= part

    def take(self, out: npt.NDArray[np.float32]) -> None:
        """Take the next output frames, shape (channels, n); they must be ``available``."""
        n = out.shape[-1]
        copy(out, self._ready[:, :n])
        self._forget(n)

    def skip(self, n: int) -> None:
        """Drop the next ``n`` output frames, as many of them as there are."""
        self._forget(min(n, self._ready_frames))

    def preview(self, frames: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> int:
        """Convert what may yet change, without taking it in: ``frames`` as if they came next.

        Returns
        -------
        int
            Output frames written to ``out``, shape (channels, n), from the position ``taken`` on.
        """
        kept: int = min(self._ready_frames, out.shape[-1])
        copy(out[:, :kept], self._ready[:, :kept])
        converted = self._converter.clone().process(frames.T, self._ratio)
        n: int = min(len(converted), out.shape[-1] - kept)
        copy(out[:, kept : kept + n], converted[:n].T)
        return kept + n

    def _keep(self, converted: npt.NDArray[np.float32]) -> None:
        n = len(converted)
        if self._ready_frames + n > self._ready.shape[-1]:
            self._ready = np.pad(self._ready, ((0, 0), (0, n)))
        copy(self._ready[:, self._ready_frames : self._ready_frames + n], converted.T)
        self._ready_frames += n

    def _forget(self, n: int) -> None:
        left = self._ready_frames - n
        if left and n:
            for row in self._ready:
                copy(row[:left], row[n : self._ready_frames])
        self._ready_frames = left
        self.taken += n
