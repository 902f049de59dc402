"""The spectrogram: where a sound shows, and what length costs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.report.spectrogram import Spectrogram, levels

RATE = 16_000


def noise(frames: int, signals: int = 2, channels: int = 2) -> npt.NDArray[np.float32]:
    return np.random.default_rng(3).standard_normal((signals, channels, frames)).astype(np.float32)


def sine(hz: float, seconds: float, rate: int) -> npt.NDArray[np.float32]:
    t = np.arange(round(seconds * rate)) / rate
    return np.sin(2 * np.pi * hz * t).astype(np.float32)[None, None]


def power_of(audio: npt.NDArray[np.float32], rate: int = RATE, **options: int) -> Spectrogram:
    made = Spectrogram(audio.shape[0], audio.shape[1], rate, **options)
    made.add(audio)
    made.finish()
    return made


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("hz", [60.0, 440.0, 1000.0, 3500.0])
def test_a_sine_lies_in_the_band_of_its_pitch_with_a_power_of_one(rate: int, hz: float) -> None:
    made = power_of(sine(hz, 0.5, rate), rate)
    middle = made.power[0, :, made.power.shape[-1] // 2]
    # Low bands are narrower than what so short a window can tell apart.
    assert made.band_hz[middle.argmax()] == pytest.approx(hz, rel=0.03 if hz > 400 else 0.2)
    assert 0.4 < middle.max() < 1.6


def test_bands_end_where_the_sound_does() -> None:
    assert Spectrogram(1, 1, 8_000).band_hz[-1] <= 4_000
    assert 15_000 < Spectrogram(1, 1, 48_000).band_hz[-1] <= 16_000


def test_a_click_shows_at_its_moment() -> None:
    audio = np.zeros((1, 1, RATE), np.float32)
    audio[..., 3 * RATE // 4] = 1.0
    power = power_of(audio).power[0].sum(axis=0)
    assert power.argmax() / len(power) == pytest.approx(0.75, abs=0.02)


@given(st.lists(st.integers(1, 3000), max_size=12))
@settings(max_examples=25, deadline=None)
def test_blocks_of_any_length_give_what_the_whole_gives(lengths: list[int]) -> None:
    audio = noise(sum(lengths))
    made = Spectrogram(2, 2, RATE, max_columns=16)
    for start, end in pairwise(np.cumsum([0, *lengths])):
        made.add(audio[..., start:end])
    made.finish()
    np.testing.assert_array_equal(made.power, power_of(audio, max_columns=16).power)


@pytest.mark.parametrize("frames", [0, 1, 266, 267, 268, 16_000, 16_001, 100_003])
def test_columns_cover_every_frame_and_no_more_than_are_allowed(frames: int) -> None:
    made = power_of(noise(frames), max_columns=64)
    columns = made.power.shape[-1]
    assert columns <= 64
    assert (columns - 1) * made.column_frames < frames <= columns * made.column_frames or frames == columns == 0


def test_merged_columns_keep_the_energy() -> None:
    audio = noise(RATE * 4)
    fine, coarse = power_of(audio, max_columns=1000), power_of(audio, max_columns=30)
    assert coarse.column_frames == 8 * fine.column_frames
    np.testing.assert_allclose(coarse.power.mean(axis=-1), fine.power.mean(axis=-1), rtol=0.02)
    np.testing.assert_allclose(coarse.power[..., 0], fine.power[..., :8].mean(axis=-1), rtol=1e-5)


def test_channels_out_of_phase_are_not_silence() -> None:
    wide = np.concatenate([sine(440, 0.5, RATE), -sine(440, 0.5, RATE)], axis=1)
    np.testing.assert_allclose(power_of(wide).power, power_of(sine(440, 0.5, RATE)).power, rtol=1e-4, atol=1e-9)


def test_levels_count_down_from_the_reference_in_db() -> None:
    power = np.array([2.0, 1.0, 0.1, 1e-4, 1e-6, 0.0], np.float32)
    assert levels(power, 1.0, 60.0).tolist() == [255, 255, 212, 85, 0, 0]


def test_silence_has_no_level() -> None:
    assert not levels(np.zeros((3, 4), np.float32), 0.0, 60.0).any()
