"""Sounds whose place among the stems is clear, and a way to send them through a separator hop by hop."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.separator import Separator, StateArrays

F32 = npt.NDArray[np.float32]

RATE = 44100


def separate(separator: Separator, signal: F32, states: StateArrays | None = None) -> tuple[F32, StateArrays]:
    """Run (batch, channels, frames) through, hop by hop; a rest shorter than a hop is left out."""
    hop = separator.spec.hop_frames
    states = separator.spec.initial_states(len(signal)) if states is None else states
    stems = []
    for start in range(0, signal.shape[2] - hop + 1, hop):
        given, states = separator.process(np.ascontiguousarray(signal[:, :, start : start + hop]), states)
        stems.append(given)
    return np.concatenate(stems, axis=3), states


def music(seconds: float, seed: int = 0) -> F32:
    """Notes at many places and pitches, bursts and a little noise: (1, 2, frames)."""
    rng = np.random.default_rng(seed)
    frames = int(seconds * RATE)
    signal = rng.normal(0.0, 0.003, (2, frames))
    for _ in range(round(8 * seconds)):
        start, length = rng.integers(frames), rng.integers(2000, 40000)
        note = np.sin(2 * np.pi * 50 * 2 ** rng.uniform(0, 7) * np.arange(length) / RATE) * np.hanning(length)
        burst = rng.normal(0.0, 1.0, 2000) * np.exp(-np.arange(2000) / 300)
        for sound in (note, burst):
            heard = sound[: frames - start]
            signal[:, start : start + len(heard)] += rng.uniform(0, 0.15, (2, 1)) * heard
    return signal[None].astype(np.float32)


def centred(signal: npt.NDArray[np.float64]) -> F32:
    return np.stack((signal, signal))[None].astype(np.float32)


def seconds(count: float) -> npt.NDArray[np.float64]:
    return np.arange(int(count * RATE)) / RATE


def voice() -> F32:
    time = seconds(2)
    vibrato = 3.0 * np.sin(2 * np.pi * 5.0 * time) / 5.0
    return centred(0.1 * sum(np.sin(n * (2 * np.pi * 330.0 * time + vibrato)) / n for n in range(1, 12)))


def clicks() -> F32:
    signal = np.zeros(2 * RATE)
    signal[3000::11025] = 0.9
    return centred(signal)


def bursts() -> F32:
    """Short noise that dies away, four times a second."""
    signal = np.zeros(2 * RATE)
    noise = 0.5 * np.random.default_rng(10).normal(0.0, 1.0, 3000) * np.exp(-np.arange(3000) / 500)
    for start in range(3000, len(signal) - 3000, 11025):
        signal[start : start + 3000] += noise
    return centred(signal)


def bass() -> F32:
    return centred(0.3 * np.sin(2 * np.pi * 60.0 * seconds(2)))


def tone_at_one_side() -> F32:
    signal = centred(0.2 * np.sin(2 * np.pi * 500.0 * seconds(2)))
    signal[:, 1] = 0.0
    return signal


def tone_out_of_phase() -> F32:
    signal = centred(0.2 * np.sin(2 * np.pi * 500.0 * seconds(2)))
    signal[:, 1] *= -1.0
    return signal


def rms_db(signal: npt.NDArray[np.float32]) -> float:
    return float(10.0 * np.log10(np.mean(np.square(signal, dtype=np.float64)) + 1e-30))
