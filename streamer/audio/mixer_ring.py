"""A ring that rtmixer's callback works on, with its frames in reach of this side."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.lock_keeping import copy
from streamer.audio.portaudio import mixer_library
from streamer.audio.stream import F32

__all__ = ["MixerRing"]

_BYTES = 4


class MixerRing:
    """Frames that the callback reads or writes at one index, while the pump's thread works anywhere in them.

    Positions are counted from when the ring was made, or emptied.

    Parameters
    ----------
    channels : int
    frames : int
        Its length, a power of two.

    Raises
    ------
    DeviceError
        If rtmixer is missing.
    """

    def __init__(self, channels: int, frames: int) -> None:
        self._frames = np.zeros((frames, channels), np.float32)
        self._mask = frames - 1
        self.buffer: Any = mixer_library().RingBuffer(_BYTES * channels, buffer=self._frames)
        """What rtmixer takes."""

    @property
    def capacity(self) -> int:
        """Frames that it holds."""
        return self._mask + 1

    @property
    def waiting(self) -> int:
        """Frames that were written and not yet read."""
        return int(self.buffer.read_available)

    def flush(self) -> None:
        """Empty it, and begin to count anew; the callback must not work on it."""
        self.buffer.flush()

    def advance_read(self, frames: int) -> None:
        """Give the place of frames free."""
        self.buffer.advance_read_index(frames)

    def advance_write(self, frames: int) -> None:
        """Show frames, and what was put into any before them, to the callback's processor."""
        self.buffer.advance_write_index(frames)

    def copy(self, start: int, out: F32) -> None:
        """Copy what lies at a position into ``out``, shape (channels, n)."""
        for place, piece in self._parts(start, out.shape[1]):
            copy(out[:, piece], self._frames[place].T)

    def put(self, start: int, block: F32) -> None:
        """Write a block, shape (channels, n), at a position."""
        for place, piece in self._parts(start, block.shape[1]):
            copy(self._frames[place].T, block[:, piece])

    def silence(self, start: int, frames: int) -> None:
        """Write silence at a position."""
        for place, _ in self._parts(start, frames):
            self._frames[place] = 0.0

    def _parts(self, start: int, frames: int) -> tuple[tuple[slice, slice], ...]:
        """Pair the places in the ring with the pieces of a run of frames: one, or two where it wraps."""
        begin = start & self._mask
        first = min(frames, self.capacity - begin)
        if first == frames:
            return ((slice(begin, begin + frames), slice(0, frames)),)
        return (
            (slice(begin, self.capacity), slice(0, first)),
            (slice(0, frames - first), slice(first, frames)),
        )
