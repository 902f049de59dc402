"""The demo song's instruments: single sounds, made from sines and shaped noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "SungNote",
    "bass_note",
    "cymbal",
    "hat",
    "keys_note",
    "kick",
    "midi_hz",
    "pad_note",
    "reverberated",
    "sing",
    "snare",
]

F64 = npt.NDArray[np.float64]

_CONTROL_HZ = 400
# Centre, width and strength of the formants of five sung vowels (Hz, Hz, 1).
_VOWELS = (
    ((800.0, 90.0, 1.0), (1150.0, 110.0, 0.55), (2900.0, 180.0, 0.16)),
    ((450.0, 80.0, 1.0), (800.0, 100.0, 0.40), (2830.0, 160.0, 0.12)),
    ((400.0, 80.0, 1.0), (1700.0, 140.0, 0.30), (2600.0, 170.0, 0.22)),
    ((350.0, 70.0, 1.0), (600.0, 90.0, 0.35), (2700.0, 170.0, 0.08)),
    ((600.0, 80.0, 1.0), (1040.0, 110.0, 0.45), (2750.0, 170.0, 0.14)),
)
_MAX_HARMONICS = 20


class SungNote(NamedTuple):
    """One note of the voice: times in seconds, pitch as a MIDI number, loudness 0..1, vowel 0..4."""

    start_s: float
    length_s: float
    midi: float
    loudness: float
    vowel: int


def midi_hz(midi: float) -> float:
    """Frequency of a MIDI note number, in equal temperament at 440 Hz."""
    return float(440.0 * 2.0 ** ((midi - 69.0) / 12.0))


def kick(sample_rate: int) -> F64:
    """Kick drum, mono: a sine that falls from 150 to 46 Hz, with a soft click."""
    t = _time(0.34, sample_rate)
    phase = 2 * np.pi * (46.0 * t + 104.0 * 0.028 * (1 - np.exp(-t / 0.028)))
    body = np.sin(phase) * np.exp(-t / 0.11)
    click = np.sin(2 * np.pi * 1800.0 * t) * np.exp(-t / 0.003) * 0.18
    return _eased(body + click, sample_rate)


def snare(sample_rate: int, rng: np.random.Generator) -> F64:
    """Snare drum, mono: two drum-skin modes under a band of noise."""
    t = _time(0.28, sample_rate)
    skin = np.sin(2 * np.pi * 186.0 * t) * np.exp(-t / 0.06) + 0.5 * np.sin(2 * np.pi * 332.0 * t) * np.exp(-t / 0.04)
    wires = _noise(rng, t.size, sample_rate, 900.0, 8500.0) * np.exp(-t / 0.075)
    return _eased(0.4 * skin + 1.1 * wires, sample_rate)


def hat(sample_rate: int, rng: np.random.Generator, decay_s: float) -> F64:
    """Hi-hat, mono: short for closed, longer ``decay_s`` for open."""
    t = _time(7 * decay_s, sample_rate)
    return _eased(_noise(rng, t.size, sample_rate, 6500.0, 15000.0) * np.exp(-t / decay_s), sample_rate)


def cymbal(sample_rate: int, rng: np.random.Generator) -> F64:
    """Crash cymbal, ``(2, frames)``: two independent noises, so that it is wide."""
    t = _time(1.8, sample_rate)
    sides = [_noise(rng, t.size, sample_rate, 3500.0, 14000.0) for _ in range(2)]
    return np.stack([_eased(side * np.exp(-t / 0.45), sample_rate) for side in sides])


def bass_note(midi: float, length_s: float, sample_rate: int) -> F64:
    """Plucked bass, mono: higher harmonics die first."""
    t = _time(length_s + 0.06, sample_rate)
    hz = midi_hz(midi)
    tone = np.zeros(t.size)
    for k, gain in enumerate((1.0, 0.55, 0.28, 0.14, 0.07), start=1):
        if k * hz < 0.45 * sample_rate:
            tone += gain * np.sin(2 * np.pi * k * hz * t) * np.exp(-t * (0.9 + 2.2 * (k - 1)))
    return _held(tone, length_s, 0.004, 0.05, sample_rate)


def keys_note(midi: float, length_s: float, loudness: float, sample_rate: int) -> F64:
    """Electric piano, mono: frequency modulation whose brightness follows ``loudness``, with a tine on top."""
    t = _time(length_s + 0.25, sample_rate)
    phase = 2 * np.pi * midi_hz(midi) * t
    brightness = (0.35 + 1.1 * loudness) * np.exp(-t / 0.35)
    tone = np.sin(phase + brightness * np.sin(phase)) * np.exp(-t / 0.95)
    if 7 * midi_hz(midi) < 0.45 * sample_rate:
        tone += 0.10 * loudness * np.sin(7 * phase) * np.exp(-t / 0.09)
    return loudness * _held(tone, length_s, 0.003, 0.22, sample_rate)


def pad_note(midi: float, length_s: float, sample_rate: int) -> F64:
    """Soft strings, ``(2, frames)``: the sides are detuned by 4 cents each way."""
    t = _time(length_s + 0.5, sample_rate)
    sides = []
    for cents in (-4.0, 4.0):
        phase = 2 * np.pi * midi_hz(midi + cents / 100.0) * t
        sine, cosine = np.sin(phase), np.cos(phase)
        second = 2 * sine * cosine
        sides.append(sine + 0.4 * second + 0.18 * (2 * cosine * second - sine))
    return np.stack([_held(side, length_s, 0.25, 0.45, sample_rate) for side in sides])


def sing(notes: list[SungNote], frames: int, sample_rate: int, rng: np.random.Generator) -> F64:
    """Sing a melody with one voice, mono, ``frames`` long.

    Pitch glides from note to note, vibrato grows into held notes, and the strength of every harmonic follows the
    formants of the note's vowel.
    """
    if not notes:
        return np.zeros(frames)
    control_t = np.arange(frames * _CONTROL_HZ // sample_rate + 2) / _CONTROL_HZ
    pitch, loudness, vowel = _voice_controls(notes, control_t)
    hz = 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)
    t = np.arange(frames) / sample_rate
    phase = 2 * np.pi * np.cumsum(np.interp(t, control_t, hz)) / sample_rate
    doubled_cosine = 2 * np.cos(phase)
    previous, current = np.zeros(frames), np.sin(phase)
    voice = np.zeros(frames)
    for k in range(1, _MAX_HARMONICS + 1):
        gains = _formant_gain(k * hz, vowel) * k**-0.35 * np.clip((0.45 * sample_rate - k * hz) / 500.0, 0.0, 1.0)
        voice += np.interp(t, control_t, gains * loudness) * current
        # sin((k+1)x) from the two before it: much cheaper than a sine per harmonic.
        previous, current = current, doubled_cosine * current - previous
    breath = _noise(rng, frames, sample_rate, 2500.0, 9000.0)
    return voice + 0.012 * breath * np.interp(t, control_t, loudness)


def reverberated(dry: F64, decay_s: float, sample_rate: int, rng: np.random.Generator) -> F64:
    """Room for a mono signal, ``(2, frames)`` as long as the input: decaying noise, different on each side."""
    t = _time(4 * decay_s, sample_rate)
    size = _fast_length(dry.size + t.size)
    spectrum = np.fft.rfft(dry, size)
    sides = []
    for _ in range(2):
        echo = _noise(rng, t.size, sample_rate, 250.0, 5500.0) * np.exp(-t / decay_s) * np.minimum(t / 0.012, 1.0)
        echo /= np.sqrt(np.sum(echo**2))
        sides.append(np.fft.irfft(spectrum * np.fft.rfft(echo, size), size)[: dry.size])
    return np.stack(sides)


def _voice_controls(notes: list[SungNote], t: F64) -> tuple[F64, F64, F64]:
    starts = np.array([note.start_s for note in notes])
    index = np.clip(np.searchsorted(starts, t, side="right") - 1, 0, len(notes) - 1)
    since = t - starts[index]
    length = np.array([note.length_s for note in notes])[index]
    pitch = np.array([note.midi for note in notes])
    glide = np.exp(-np.maximum(since, 0.0) / 0.035)
    pitch_t = pitch[index] + (pitch[np.maximum(index - 1, 0)] - pitch[index]) * glide * (index > 0)
    vibrato = np.clip((since - 0.22) / 0.35, 0.0, 1.0) * 0.28 * np.sin(2 * np.pi * 5.4 * t)
    swell = np.clip(since / 0.05, 0.0, 1.0) ** 1.5 * np.clip((length - since) / 0.10, 0.0, 1.0)
    loudness = np.array([note.loudness for note in notes])[index] * swell * (0.8 + 0.2 * np.cos(3.0 * since))
    vowel = np.array([float(note.vowel) for note in notes])[index]
    return pitch_t + vibrato, np.where(since < 0, 0.0, loudness), vowel


def _formant_gain(hz: F64, vowel: F64) -> F64:
    gain = np.zeros(hz.size)
    for number, formants in enumerate(_VOWELS):
        here = vowel == number
        for centre, width, strength in formants:
            gain[here] += strength / (1.0 + ((hz[here] - centre) / (1.6 * width)) ** 2)
    return gain + 0.02


def _time(length_s: float, sample_rate: int) -> F64:
    return np.arange(max(1, round(length_s * sample_rate))) / sample_rate


def _noise(rng: np.random.Generator, frames: int, sample_rate: int, low_hz: float, high_hz: float) -> F64:
    size = _fast_length(frames)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    hz = np.fft.rfftfreq(size, 1 / sample_rate)
    with np.errstate(divide="ignore"):
        spectrum *= 1.0 / (1.0 + (low_hz / hz) ** 4) / (1.0 + (hz / high_hz) ** 4)
    noise = np.fft.irfft(spectrum, size)[:frames]
    return np.asarray(noise / max(1e-9, float(np.sqrt(np.mean(noise**2)))) / 3.0)


def _held(tone: F64, length_s: float, attack_s: float, release_s: float, sample_rate: int) -> F64:
    t = np.arange(tone.size) / sample_rate
    envelope: F64 = np.clip(t / attack_s, 0.0, 1.0) * np.clip((length_s + release_s - t) / release_s, 0.0, 1.0)
    return tone * envelope


def _eased(sound: F64, sample_rate: int) -> F64:
    # One millisecond in and ten out keep a sound from clicking.
    t = np.arange(sound.size) / sample_rate
    envelope: F64 = np.clip(t / 0.001, 0.0, 1.0) * np.clip((t[-1] - t) / 0.01, 0.0, 1.0)
    return sound * envelope


def _fast_length(frames: int) -> int:
    # A multiple of a power of two near a sixteenth of the length: small factors, little waste.
    step = 1 << max(0, frames.bit_length() - 4)
    return -(-frames // step) * step
