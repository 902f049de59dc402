"""Noticing, soon after a stream began, that its ring is too short to play what is put into it."""

from __future__ import annotations

import math

__all__ = ["LateWatch"]

_LOOK_S = 1.0


class LateWatch:
    """Counts late blocks in the first second of a stream. Used by one thread.

    Parameters
    ----------
    sample_rate, block_frames, ring_frames : int
        Of the stream.
    """

    def __init__(self, sample_rate: int, block_frames: int, ring_frames: int) -> None:
        self._block_frames, self._ring_frames = block_frames, ring_frames
        self._left = max(4, math.ceil(_LOOK_S * sample_rate / block_frames))
        self._allowed = self._left // 2
        self._late, self._least = 0, 0

    def look(self, margin_frames: int) -> int:
        """Take note of what was left when a block was written.

        Returns
        -------
        int
            Blocks that the ring would have to hold, told once where most came late; 0 otherwise.
        """
        if not self._left:
            return 0
        self._left -= 1
        self._late += margin_frames < 0
        self._least = min(self._least, margin_frames)
        if self._left or self._late <= self._allowed:
            return 0
        # One block beyond what was missing, for the time that the work takes.
        return math.ceil((self._ring_frames - self._least) / self._block_frames) + 1
