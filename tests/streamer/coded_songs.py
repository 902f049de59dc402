"""Songs that say of each frame which one it is, whatever its gain: the left channel over the right one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

F32 = npt.NDArray[np.float32]

RATE = 8000
LEVEL = 0.5
_MOST_FRAMES = 1 << 17
_SONG_FRAMES = 1 << 14
"""Places of several songs lie one behind the other, so that a place tells the song too."""


def coded(frames: int, *, song: int = 0) -> F32:
    """Give a song, shape (2, frames)."""
    places = np.arange(frames) + song * _SONG_FRAMES
    return np.stack([LEVEL * places / _MOST_FRAMES, np.full(frames, LEVEL)]).astype(np.float32)


def write_coded(path: Path, frames: int, *, song: int = 0, rate: int = RATE) -> Path:
    soundfile.write(path, coded(frames, song=song).T, rate, subtype="FLOAT")
    return path


def decode(heard: F32) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Give the place of each frame, -1 for silence, and its gain."""
    left, right = heard.astype(np.float64)
    is_heard = right > LEVEL * 2e-3
    places = np.full(heard.shape[1], -1, np.int64)
    exact = left[is_heard] / right[is_heard] * _MOST_FRAMES
    # Gains that are this small leave no more of a place.
    assert np.abs(exact - np.round(exact)).max(initial=0.0) < 0.45
    places[is_heard] = np.round(exact).astype(np.int64)
    return places, right / LEVEL


def song_of(place: int) -> tuple[int, int]:
    """Give the song and the frame of a place."""
    return divmod(place, _SONG_FRAMES)
