"""A signal like music, for measurements that must not depend on a file: tones with overtones, drums, a bass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["music_like"]

_BEAT_S = 0.25
_OVERTONES = 12
_CHORDS = ((220.0, 277.2, 329.6), (196.0, 246.9, 293.7), (174.6, 220.0, 261.6), (164.8, 207.7, 246.9))


def music_like(channels: int, frames: int, sample_rate: int) -> npt.NDArray[np.float32]:
    """Make a signal of shape (channels, frames); the same every time, peaks below 1.

    Chords of decaying harmonic tones, each somewhere in the stereo image, over a bass, with bursts of noise on the
    beat: loud and soft, tonal and noisy parts at all pitches, as a separator hears them.
    """
    rng = np.random.default_rng(0)
    time = np.arange(frames) / sample_rate
    beat = time % _BEAT_S
    bar = (time / (4 * _BEAT_S)).astype(int)
    sound = np.zeros((channels, frames))
    sides = np.linspace(-1.0, 1.0, channels) if channels > 1 else np.zeros(1)
    for chord, pitches in enumerate(_CHORDS):
        sounding = np.where(bar % len(_CHORDS) == chord, np.exp(-3.0 * (time % (4 * _BEAT_S))), 0.0)
        for place, pitch in zip((-0.6, 0.0, 0.6), pitches, strict=True):
            tone = sum(
                np.sin(2 * np.pi * pitch * n * time + n) / n
                for n in range(1, _OVERTONES + 1)
                if pitch * n < sample_rate / 2
            )
            sound += (1.0 + place * sides)[:, None] * sounding * tone
        sound += 1.5 * np.where(bar % len(_CHORDS) == chord, np.sin(np.pi * pitches[0] / 2 * time), 0.0)
    sound += rng.normal(0.0, 1.0, sound.shape) * np.exp(-40.0 * beat)
    sound += rng.normal(0.0, 0.01, sound.shape)
    return np.asarray(0.5 / max(1e-9, float(np.abs(sound).max(initial=0.0))) * sound, np.float32)
