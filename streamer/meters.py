"""How loud the stems and the output of a mixer were."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

__all__ = ["Meters", "MixerLevels", "StemLevel"]

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class StemLevel:
    """How loud a stem was, before its gain, over all its channels: linear, 1.0 is full scale."""

    peak: float
    rms: float


@dataclass(frozen=True)
class MixerLevels:
    """What the meters show.

    Attributes
    ----------
    frames : int
        Over which the levels were taken.
    stems : mapping of str to StemLevel
    output_peak : float
        Over all channels of the output; 1.0 is full scale.
    clipped_samples : int
        Samples of the output beyond full scale since construction or ``reset``. They were passed on as they are.
    """

    frames: int
    stems: Mapping[str, StemLevel]
    output_peak: float
    clipped_samples: int


class Meters:
    """Levels that the thread of the audio adds to and any other reads.

    That thread only tries the lock: while a reader holds it, what was heard is kept and handed over with the next
    block. Nothing is lost, and no array is allocated after construction.

    Parameters
    ----------
    stems : sequence of str
    channels : int
        Of each stem.
    longest_frames : int
        Of a piece of audio.
    """

    def __init__(self, stems: Sequence[str], channels: int, longest_frames: int) -> None:
        self._stems = tuple(stems)
        self._channels = channels
        self._lock = threading.Lock()
        self._squares = np.zeros(longest_frames, np.float32)
        self._is_beyond = np.zeros(longest_frames, np.bool_)
        self._block = _Tally(len(stems))
        self._shared = _Tally(len(stems))
        self._clipped = 0

    def hear(self, stem: int, sound: tuple[F32, ...]) -> None:
        """Add a piece of the stem at that place, channel by channel."""
        block = self._block
        for row in sound:
            squares = np.multiply(row, row, out=self._squares[: len(row)])
            block.highest[stem] = max(block.highest[stem], float(np.maximum.reduce(squares)))
            block.energy[stem] += float(np.add.reduce(squares))

    def hear_output(self, rows: tuple[F32, ...]) -> None:
        """Add a piece of the output, channel by channel."""
        for row in rows:
            peak = max(float(np.maximum.reduce(row)), -float(np.minimum.reduce(row)))
            self._block.output_peak = max(self._block.output_peak, peak)
            if peak > 1.0:
                magnitudes, is_beyond = self._squares[: len(row)], self._is_beyond[: len(row)]
                np.greater(np.abs(row, out=magnitudes), 1.0, out=is_beyond)
                self._block.clipped += int(np.count_nonzero(is_beyond))

    def publish(self, frames: int) -> None:
        """End a block of so many frames: hand over what was heard, unless a reader is at it."""
        self._block.frames += frames
        if self._lock.acquire(blocking=False):
            try:
                self._shared.add(self._block)
            finally:
                self._lock.release()
            self._block.clear()

    def clear(self) -> None:
        """Begin anew; on the thread of the audio."""
        self._block.clear()
        with self._lock:
            self._shared.clear()
            self._clipped = 0

    def read(self, *, restart: bool) -> MixerLevels:
        """Give the levels since the last reading that restarted them. Any thread."""
        with self._lock:
            tally = self._shared
            samples = max(1, tally.frames * self._channels)
            stems = {
                stem: StemLevel(math.sqrt(highest), math.sqrt(energy / samples))
                for stem, highest, energy in zip(self._stems, tally.highest, tally.energy, strict=True)
            }
            clipped = self._clipped + tally.clipped
            levels = MixerLevels(tally.frames, MappingProxyType(stems), tally.output_peak, clipped)
            if restart:
                self._clipped = clipped
                tally.clear()
        return levels


@dataclass
class _Tally:
    """What was heard: squares of the highest samples, and sums of squares, by stem."""

    stems: int
    frames: int = 0
    output_peak: float = 0.0
    clipped: int = 0
    highest: list[float] = field(init=False)
    energy: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.highest = [0.0] * self.stems
        self.energy = [0.0] * self.stems

    def add(self, other: _Tally) -> None:
        self.frames += other.frames
        self.output_peak = max(self.output_peak, other.output_peak)
        self.clipped += other.clipped
        for stem in range(self.stems):
            self.highest[stem] = max(self.highest[stem], other.highest[stem])
            self.energy[stem] += other.energy[stem]

    def clear(self) -> None:
        self.frames, self.output_peak, self.clipped = 0, 0.0, 0
        for stem in range(self.stems):
            self.highest[stem] = self.energy[stem] = 0.0
