"""A short song with true stems, composed on the spot: something to separate where there is no music at hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from engine.errors import ConfigurationError
from streamer.instruments import (
    SungNote,
    bass_note,
    cymbal,
    hat,
    keys_note,
    kick,
    pad_note,
    reverberated,
    sing,
    snare,
)

__all__ = ["Song", "compose_song"]

F64 = npt.NDArray[np.float64]

_PEAK = 10.0 ** (-1.0 / 20.0)
_MIN_RATE, _MAX_RATE = 8_000, 192_000
_MAX_DURATION_S = 600.0
_FORM_BARS = 8

# Chords as semitones above the tonic: the root, then what stands above it. One a bar.
_MAJOR7, _MINOR7, _SUS = (0, 4, 7, 11), (0, 3, 7, 10), (0, 5, 7, 10)
_PROGRESSIONS = (
    ((0, _MAJOR7), (9, _MINOR7), (5, _MAJOR7), (7, _SUS)),
    ((9, _MINOR7), (5, _MAJOR7), (0, _MAJOR7), (7, _SUS)),
    ((5, _MAJOR7), (4, _MINOR7), (2, _MINOR7), (0, _MAJOR7)),
    ((0, _MAJOR7), (4, _MINOR7), (5, _MAJOR7), (7, _SUS)),
    ((2, _MINOR7), (7, _SUS), (0, _MAJOR7), (9, _MINOR7)),
)
_TONICS = (57, 58, 60, 62)
_TEMPOS_BPM = (100.0, 102.0, 104.0)
_PENTATONIC = (0, 2, 4, 7, 9)

# Two-bar phrases of the melody: beat, length in beats, step of the pentatonic scale. Each leaves room to breathe.
_PHRASES = (
    ((0.5, 0.5, 2), (1.0, 0.5, 3), (1.5, 1.25, 4), (3.0, 0.5, 3), (3.5, 1.5, 2), (5.5, 0.5, 1), (6.0, 1.25, 2)),
    ((0.0, 1.0, 4), (1.0, 0.5, 3), (1.5, 1.5, 2), (3.5, 0.5, 2), (4.0, 0.75, 3), (5.0, 0.5, 4), (5.5, 1.75, 3)),
    ((0.5, 0.5, 5), (1.0, 0.75, 4), (2.0, 0.5, 3), (2.5, 1.25, 4), (4.0, 0.5, 2), (4.5, 0.5, 3), (5.0, 2.0, 2)),
    ((0.0, 0.5, 2), (0.5, 0.5, 2), (1.0, 0.5, 3), (1.5, 0.5, 4), (2.0, 1.5, 5), (4.5, 0.5, 3), (5.0, 1.75, 2)),
    ((0.0, 1.5, 3), (1.5, 0.5, 4), (2.0, 1.25, 5), (3.5, 0.5, 4), (4.0, 1.0, 3), (5.0, 0.5, 2), (5.5, 1.5, 0)),
)
# Bass in a bar: beat, length, semitones above the chord's root.
_BASS_LINES = (
    ((0.0, 1.25, 0), (1.5, 0.4, 0), (2.5, 0.5, 7), (3.0, 0.45, 12), (3.5, 0.45, 7)),
    ((0.0, 0.9, 0), (1.5, 0.9, 0), (2.5, 0.4, 12), (3.0, 0.9, 7)),
    ((0.0, 1.4, 0), (1.75, 0.25, 0), (2.0, 0.9, 7), (3.5, 0.45, 12)),
)
# Keys in a bar: beat, length, loudness.
_COMPING = (
    ((0.0, 1.3, 0.9), (1.5, 0.9, 0.7), (3.0, 0.4, 0.55)),
    ((0.0, 0.9, 0.85), (1.5, 1.4, 0.75)),
    ((0.5, 0.9, 0.8), (2.5, 1.2, 0.7)),
)
_KICKS = ((0.0, 1.5, 2.5), (0.0, 2.0, 2.75), (0.0, 1.75, 2.5))
_SWING = 0.56
_HAT_LOUDNESS = (0.55, 0.22, 0.9, 0.28)


@dataclass(frozen=True)
class Song:
    """A mixture and what it is made of.

    Attributes
    ----------
    sample_rate : int
        In Hz.
    stems : dict of str to ndarray of float32, shape (2, frames)
        ``vocals``, ``drums``, ``bass`` and ``other``, in this order.
    mixture : ndarray of float32, shape (2, frames)
        Exactly the stems' sum, added in their order; its peak is -1 dBFS.
    """

    sample_rate: int
    stems: dict[str, npt.NDArray[np.float32]]
    mixture: npt.NDArray[np.float32]


def compose_song(duration_s: float = 20.0, *, sample_rate: int = 48_000, seed: int = 0) -> Song:
    """Compose a song for voice, drums, bass and keys.

    Chords, melody, bass line, groove, key and tempo are chosen from short lists by the seed. The same arguments
    give the same bits on the same machine. May be called from any thread.

    Parameters
    ----------
    duration_s : float
        More than 0, at most 600.
    sample_rate : int
        8000 to 192000 Hz.
    seed : int
        0 or more.

    Returns
    -------
    Song

    Raises
    ------
    ConfigurationError
        If an argument is outside its range.

    Examples
    --------
    >>> song = compose_song(2.0, seed=3)
    >>> list(song.stems), song.mixture.shape
    (['vocals', 'drums', 'bass', 'other'], (2, 96000))
    """
    if not 0 < duration_s <= _MAX_DURATION_S:
        raise ConfigurationError(f"duration_s is {duration_s}: it must be more than 0 and at most {_MAX_DURATION_S:g}")
    if not _MIN_RATE <= sample_rate <= _MAX_RATE:
        raise ConfigurationError(f"sample_rate is {sample_rate}: it must be {_MIN_RATE} to {_MAX_RATE} Hz")
    if seed < 0:
        raise ConfigurationError(f"seed is {seed}: it must be 0 or more")
    arrangement = _Arrangement(duration_s, sample_rate, seed)
    parts = {
        "vocals": arrangement.vocals(),
        "drums": arrangement.drums(),
        "bass": arrangement.bass(),
        "other": arrangement.keys(),
    }
    end = np.clip((arrangement.frames - 1 - np.arange(arrangement.frames)) / (0.35 * sample_rate), 0.0, 1.0)
    peak = float(np.max(np.abs(sum(parts.values()) * end)))
    gain = end * (_PEAK / peak if peak > 0 else 1.0)
    stems = {name: (part * gain).astype(np.float32) for name, part in parts.items()}
    mixture = np.zeros((2, arrangement.frames), np.float32)
    for stem in stems.values():
        mixture += stem
    return Song(sample_rate, stems, mixture)


class _Arrangement:
    """The choices that a seed makes, and the four parts that follow from them."""

    def __init__(self, duration_s: float, sample_rate: int, seed: int) -> None:
        self.sample_rate = sample_rate
        self.frames = max(1, round(duration_s * sample_rate))
        self._seed = seed
        self._choice = choice = np.random.default_rng((seed, 0))
        self._beat_s = 60.0 / float(choice.choice(_TEMPOS_BPM))
        self._tonic = int(choice.choice(_TONICS))
        self._progression = _PROGRESSIONS[choice.integers(len(_PROGRESSIONS))]
        self._bass_line = _BASS_LINES[choice.integers(len(_BASS_LINES))]
        self._comping = _COMPING[choice.integers(len(_COMPING))]
        self._kicks = _KICKS[choice.integers(len(_KICKS))]
        self._phrases = choice.permutation(len(_PHRASES))
        whole_bars = int(duration_s / (4 * self._beat_s))
        # A last chord on the next downbeat ends the song where there is room for it.
        self._has_ending = duration_s - whole_bars * 4 * self._beat_s >= 0.5 and whole_bars > 0
        self._bars = whole_bars if self._has_ending else whole_bars + 1

    def vocals(self) -> F64:
        notes = [note for note in self._melody() if note.start_s * self.sample_rate < self.frames]
        dry = sing(notes, self.frames, self.sample_rate, self._noise_source(1))
        room = reverberated(dry, 0.28, self.sample_rate, self._noise_source(2))
        return 0.62 * dry + 0.09 * room

    def drums(self) -> F64:
        rate, rng = self.sample_rate, self._noise_source(3)
        track = np.zeros((2, self.frames))
        send = np.zeros(self.frames)
        kick_sound, snare_sound, crash = kick(rate), snare(rate, rng), cymbal(rate, rng)
        closed = [hat(rate, rng, 0.022) for _ in range(3)]
        open_hat = hat(rate, rng, 0.11)
        feel = np.random.default_rng((self._seed, 4))
        for bar in range(self._bars):
            is_turn = bar % 4 == 3
            for beat in (*self._kicks, *((3.5,) if is_turn else ())):
                self._add(track, kick_sound, bar, beat, 0.95)
            for beat, loudness in ((1.0, 0.8), (3.0, 0.85), *(((3.75, 0.35),) if is_turn else ((2.25, 0.12),))):
                self._add(track, snare_sound, bar, beat, loudness)
                self._add(send[None], snare_sound, bar, beat, loudness)
            for step in range(16):
                loudness = 0.5 * _HAT_LOUDNESS[step % 4] * feel.uniform(0.85, 1.1)
                is_open = is_turn and step == 14
                sound = open_hat if is_open else closed[step % 3]
                # Hats sit to the right, the weak sixteenths answer a little from the left.
                pan = 0.45 if step % 2 == 0 else -0.35
                self._add(track, _panned(sound, pan), bar, step / 4, loudness, feel.uniform(-0.003, 0.003))
            if bar % _FORM_BARS == 0:
                self._add(track, crash, bar, 0.0, 0.28)
        if self._has_ending:
            self._add(track, kick_sound, self._bars, 0.0, 0.95)
            self._add(track, crash, self._bars, 0.0, 0.32)
        return track + 0.10 * reverberated(send, 0.16, rate, self._noise_source(5))

    def bass(self) -> F64:
        track = np.zeros((1, self.frames))
        for bar, root, _ in self._chords():
            low = 31 + (self._tonic + root - 31) % 12
            line = self._bass_line if bar < self._bars else ((0.0, 3.0, 0),)
            for beat, beats, interval in line:
                note = bass_note(low + interval, beats * self._beat_s, self.sample_rate)
                self._add(track, note, bar, beat, 0.5)
        return np.repeat(track, 2, axis=0)

    def keys(self) -> F64:
        track = np.zeros((2, self.frames))
        send = np.zeros((1, self.frames))
        for bar, root, intervals in self._chords():
            # Every chord in the same octave: the voices move as little as they can.
            pitches = sorted(57 + (self._tonic + root + interval - 57) % 12 for interval in intervals)
            hits = self._comping if bar < self._bars else ((0.0, 3.0, 0.9),)
            for place, pitch in enumerate(pitches):
                pan = -0.6 + 0.4 * place
                self._add(track, pad_note(pitch, 4 * self._beat_s, self.sample_rate), bar, 0.0, 0.050)
                for beat, beats, loudness in hits:
                    note = keys_note(pitch, beats * self._beat_s, loudness, self.sample_rate)
                    self._add(track, _panned(note, pan), bar, beat, 0.26, 0.006 * place)
                    self._add(send, note, bar, beat, 0.26, 0.006 * place)
        t = np.arange(self.frames) / self.sample_rate
        sway = 0.18 * np.sin(2 * np.pi * 0.8 * t)
        track *= np.stack([1.0 + sway, 1.0 - sway])
        return track + 0.14 * reverberated(send[0], 0.35, self.sample_rate, self._noise_source(6))

    def _chords(self) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        for bar in range(self._bars):
            yield bar, *self._progression[bar % len(self._progression)]
        if self._has_ending:
            yield self._bars, 0, _MAJOR7

    def _melody(self) -> list[SungNote]:
        notes = []
        first, second, third = (_PHRASES[index] for index in self._phrases[:3])
        form = (first, second, first, third)
        for start_bar in range(0, self._bars, 2):
            for beat, beats, step in form[start_bar // 2 % len(form)]:
                bar = start_bar + int(beat // 4)
                if bar >= self._bars:
                    continue
                root, intervals = self._progression[bar % len(self._progression)]
                midi = self._tonic + 12 * (step // 5) + _PENTATONIC[step % 5]
                if beats >= 1.0:
                    midi = _nearest(midi, {(self._tonic + root + interval) % 12 for interval in intervals})
                loudness = 0.75 + 0.25 * min(1.0, beats / 1.5)
                vowel = int(self._choice.integers(5))
                start_s = self._when(bar, beat % 4) + 0.012
                notes.append(SungNote(start_s, 0.95 * beats * self._beat_s, midi, loudness, vowel))
        if self._has_ending:
            notes.append(SungNote(self._when(self._bars, 0.0), 3 * self._beat_s, self._tonic, 1.0, 0))
        return _without_overlaps(notes)

    def _when(self, bar: int, beat: float) -> float:
        # Swing delays the second and fourth sixteenth of each beat.
        eighth, within = divmod(beat * 2, 1.0)
        swung = within * 2 * _SWING if within <= 0.5 else _SWING + (within - 0.5) * 2 * (1 - _SWING)
        return (bar * 4 + (eighth + swung) / 2) * self._beat_s

    def _add(self, track: F64, sound: F64, bar: int, beat: float, gain: float, late_s: float = 0.0) -> None:
        start = max(0, round((self._when(bar, beat) + late_s) * self.sample_rate))
        count = min(sound.shape[-1], self.frames - start)
        if count > 0:
            track[:, start : start + count] += gain * sound[..., :count]

    def _noise_source(self, stream: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, stream))


def _panned(sound: F64, pan: float) -> F64:
    # Equal power: -1 is left, 0 the middle, 1 right.
    angle = (pan + 1) * math.pi / 4
    return math.sqrt(2.0) * np.stack([math.cos(angle) * sound, math.sin(angle) * sound])


def _nearest(midi: int, pitch_classes: set[int]) -> int:
    return min(range(midi - 6, midi + 7), key=lambda m: (m % 12 not in pitch_classes, abs(m - midi)))


def _without_overlaps(notes: list[SungNote]) -> list[SungNote]:
    cut = []
    for note, following in pairwise(notes):
        cut.append(note._replace(length_s=min(note.length_s, max(0.05, following.start_s - note.start_s))))
    return cut + notes[-1:]
