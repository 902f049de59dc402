"""A ring of frames addressed by absolute position: one thread appends, others copy out what is still there."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.lock_keeping import copy

__all__ = ["FrameRing"]


class FrameRing:
    """The newest frames of an endless stream, at their absolute positions.

    One thread appends; any other may copy. Nothing is locked: a copy whose frames were overwritten while it ran
    says so. After construction no array is allocated.

    Parameters
    ----------
    lead : tuple of int
        Axes before the frame axis, for instance ``(channels,)`` or ``(stems, channels)``.
    min_frames : int
        Least number of frames kept; the ring holds the next power of two.
    """

    def __init__(self, lead: tuple[int, ...], min_frames: int) -> None:
        self.capacity = 1 << max(0, min_frames - 1).bit_length()
        self._mask = self.capacity - 1
        self._frames = np.zeros((*lead, self.capacity), np.float32)
        self.written = 0
        """Frames appended since construction: the position of the next one."""
        # Moved on before frames are overwritten, and ``written`` after, so that a reader in between is told.
        self._claimed = 0

    def append(self, frames: npt.NDArray[np.floating[Any]]) -> None:
        """Add frames, shape ``(*lead, n)`` with n at most the capacity, at position ``written``."""
        self._claimed = self.written + frames.shape[-1]
        self.put(self.written, frames)
        self.written = self._claimed

    def append_zeros(self, n: int) -> None:
        """Add ``n`` frames of silence."""
        self._claimed = self.written + n
        for place, _ in self._parts(self.written, n):
            self._frames[..., place] = 0.0
        self.written = self._claimed

    def put(self, start: int, frames: npt.NDArray[np.floating[Any]]) -> None:
        """Write frames at an absolute position without moving ``written``."""
        for place, piece in self._parts(start, frames.shape[-1]):
            copy(self._frames[..., place], frames[..., piece])

    def copy(self, start: int, out: npt.NDArray[np.float32], *, origin: int = 0) -> bool:
        """Copy the frames from ``start`` on into ``out``, shape ``(*lead, n)``.

        Frames before ``origin`` are zeros, whatever the ring holds there.

        Returns
        -------
        bool
            False if some of the frames had already been overwritten; ``out`` is then not to be used.
        """
        n: int = out.shape[-1]
        missing = min(n, max(0, origin - start))
        out[..., :missing] = 0.0
        if missing == n:
            return True
        rest = out[..., missing:]
        for place, piece in self._parts(start + missing, n - missing):
            copy(rest[..., piece], self._frames[..., place])
        return self._claimed - (start + missing) <= self.capacity

    def _parts(self, start: int, n: int) -> tuple[tuple[slice, slice], ...]:
        """Pair the places in the ring with the pieces of a run of ``n`` frames: one, or two where it wraps."""
        begin = start & self._mask
        first = min(n, self.capacity - begin)
        if first == n:
            return ((slice(begin, begin + n), slice(0, n)),)
        return ((slice(begin, self.capacity), slice(0, first)), (slice(0, n - first), slice(first, n)))
