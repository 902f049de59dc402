"""Records what a device that loops back plays, and tells what an order did to it.

The sound is one that tells its place and its gain: noise around a constant level.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LEVEL", "RATE", "Listener", "crossing", "place_of", "tell_tale"]

F32 = npt.NDArray[np.float32]

RATE = 48_000
LEVEL = 0.5
_NOISE = 0.1
_HOLDS_FRAMES = 240
"""A change counts where it lasts for 5 ms: what a device drops is shorter, or comes back."""
_PROBE_FRAMES = 2048
_SURE = 0.5


def tell_tale(seconds: float) -> F32:
    """Give a song, shape (frames, 2), at `RATE`."""
    noise = np.random.default_rng(5).uniform(-_NOISE, _NOISE, round(seconds * RATE))
    return np.repeat((LEVEL + noise).astype(np.float32)[:, None], 2, axis=1)


class Listener:
    """Hears from its making on.

    Attributes
    ----------
    frames : int
        How many have arrived; a moment is told by it.
    """

    def __init__(self, device: str, seconds: float) -> None:
        import sounddevice

        self._heard = np.zeros(round(seconds * RATE), np.float32)
        self.frames = 0
        self._stream = sounddevice.InputStream(
            device=device, channels=1, samplerate=RATE, blocksize=0, dtype="float32", callback=self._hear
        )
        self._stream.start()

    @property
    def heard(self) -> F32:
        """All that has arrived."""
        return self._heard[: self.frames]

    def close(self) -> None:
        """Stop."""
        self._stream.close()

    def _hear(self, captured: Any, frames: int, times: object, flags: object) -> None:
        n = min(frames, len(self._heard) - self.frames)
        self._heard[self.frames : self.frames + n] = captured[:n, 0]
        self.frames += n


def crossing(heard: F32, threshold: float, *, rises: bool) -> int | None:
    """Give the frame from which on the sound is above, or below, a threshold for 5 ms; None for nowhere."""
    beyond = np.concatenate([[0], np.cumsum(heard > threshold if rises else heard < threshold)])
    lasts = beyond[_HOLDS_FRAMES:] - beyond[:-_HOLDS_FRAMES] == _HOLDS_FRAMES
    found = np.flatnonzero(lasts)
    return int(found[0]) if len(found) else None


def place_of(heard: F32, song: F32) -> int | None:
    """Give the frame of a song that a piece of sound begins with, found by correlation; None where it is not in it."""
    probe = heard[:_PROBE_FRAMES] - heard[:_PROBE_FRAMES].mean()
    sound = song - song.mean()
    size = 1 << (len(sound) + len(probe)).bit_length()
    match = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(probe, size)), size)[: len(sound)]
    place = int(np.argmax(match))
    there = sound[place : place + len(probe)]
    alike = np.sqrt(float(probe @ probe) * float(there @ there))
    return place if alike > 0 and match[place] > _SURE * alike else None
