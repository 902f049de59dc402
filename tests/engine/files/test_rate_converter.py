"""Rate conversion of files: aligned, exact in length, the same however it is cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BlockError, ConfigurationError, LifecycleError
from engine.files.rate_converter import RateConverter, converted_frames

F32 = npt.NDArray[np.float32]
RATES = (8000, 11025, 22050, 44100, 48000, 96000, 192000)


def blocks_of(audio: F32, block_frames: int) -> Iterator[F32]:
    for start in range(0, audio.shape[1], block_frames):
        yield audio[:, start : start + block_frames]


def resample_blocks(
    blocks: Iterable[F32], from_rate: int, to_rate: int, *, target_frames: int | None = None
) -> Iterator[F32]:
    """What the converter gives for each block and at the end, where that is anything."""
    converter: RateConverter | None = None
    for block in blocks:
        if converter is None:
            converter = RateConverter(from_rate, to_rate, block.shape[0], target_frames=target_frames)
        given = converter.process(block)
        if given.shape[1]:
            yield given
    rest = converter.flush() if converter is not None else np.zeros((1, 0), np.float32)
    if rest.shape[1]:
        yield rest


def converted(audio: F32, from_rate: int, to_rate: int, block_frames: int = 4096, target: int | None = None) -> F32:
    blocks = list(resample_blocks(blocks_of(audio, block_frames), from_rate, to_rate, target_frames=target))
    return np.concatenate(blocks, axis=1) if blocks else np.zeros((audio.shape[0], 0), np.float32)


def sines(frames: int, rate: int) -> F32:
    t = np.arange(frames) / rate
    return np.stack([np.sin(2 * np.pi * 440 * t), np.cos(2 * np.pi * 1000 * t)]).astype(np.float32)


@pytest.mark.parametrize(
    ("frames", "from_rate", "to_rate", "expected"),
    [(0, 8000, 48000, 0), (1, 2, 1, 1), (3, 2, 1, 2), (7, 44100, 48000, 8)],
)
def test_lengths_are_rounded_with_halves_up(frames: int, from_rate: int, to_rate: int, expected: int) -> None:
    assert converted_frames(frames, from_rate, to_rate) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 5000), st.sampled_from(RATES), st.sampled_from(RATES), st.integers(1, 3000), st.sampled_from((1, 2))
)
def test_every_length_is_exact_and_a_round_trip_gives_back_every_frame(
    frames: int, from_rate: int, to_rate: int, block_frames: int, channels: int
) -> None:
    audio = np.ones((channels, frames), np.float32)
    there = converted(audio, from_rate, to_rate, block_frames)
    assert there.shape == (channels, converted_frames(frames, from_rate, to_rate))
    if there.shape[1]:
        assert converted(there, to_rate, from_rate, block_frames, target=frames).shape == audio.shape


def test_a_round_trip_gives_back_the_sound() -> None:
    audio = sines(44100, 44100)
    back = converted(converted(audio, 44100, 48000), 48000, 44100, target=44100)
    np.testing.assert_allclose(back[:, 500:-500], audio[:, 500:-500], atol=2e-4)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(44100, 48000), (48000, 44100), (8000, 48000), (192000, 44100)])
def test_the_sound_stays_where_it_was(from_rate: int, to_rate: int) -> None:
    got = converted(sines(from_rate, from_rate), from_rate, to_rate)
    np.testing.assert_allclose(got[:, 1000:-1000], sines(to_rate, to_rate)[:, 1000:-1000], atol=2e-4)


@pytest.mark.parametrize("block_frames", [1, 37, 1000, 10_000])
def test_cutting_into_blocks_changes_nothing(block_frames: int) -> None:
    audio = sines(5000, 44100)
    np.testing.assert_allclose(
        converted(audio, 44100, 48000, block_frames), converted(audio, 44100, 48000, 5000), atol=1e-6
    )


def test_equal_rates_hand_on_the_very_same_arrays() -> None:
    blocks = list(blocks_of(sines(100, 44100), 30))
    got = list(resample_blocks(blocks, 44100, 44100))
    assert len(got) == len(blocks)
    assert all(one is other for one, other in zip(got, blocks, strict=True))


@pytest.mark.parametrize("target", [0, 50, 100, 150])
@pytest.mark.parametrize("to_rate", [44100, 48000])
def test_a_target_cuts_or_pads(target: int, to_rate: int) -> None:
    got = converted(np.ones((1, 100), np.float32), 44100, to_rate, 30, target)
    assert got.shape == (1, target)
    assert not got[:, converted_frames(100, 44100, to_rate) :].any()


def test_results_are_the_callers_own() -> None:
    converter = RateConverter(44100, 48000, 1)
    first = converter.process(np.ones((1, 9000), np.float32))
    kept = first.copy()
    converter.process(np.zeros((1, 9000), np.float32))
    np.testing.assert_array_equal(first, kept)
    assert first.flags.owndata


def test_nothing_in_gives_nothing_out() -> None:
    assert list(resample_blocks([], 44100, 48000)) == []
    assert list(resample_blocks([np.zeros((2, 0), np.float32)], 44100, 48000)) == []


def test_a_converter_ends_once() -> None:
    converter = RateConverter(44100, 48000, 1)
    converter.flush()
    with pytest.raises(LifecycleError, match="flush after flush"):
        converter.flush()
    with pytest.raises(LifecycleError, match="process after flush"):
        converter.process(np.zeros((1, 5), np.float32))


@pytest.mark.parametrize("block", [np.zeros((1, 5), np.float32), np.zeros(5, np.float32), np.zeros((2, 5))])
def test_blocks_must_fit(block: F32) -> None:
    with pytest.raises(BlockError, match=r"must be float32 of shape \(2, frames\)"):
        RateConverter(44100, 48000, 2).process(block)


@pytest.mark.parametrize(
    ("from_rate", "to_rate", "channels", "target"),
    [(0, 48000, 2, None), (44100, -1, 2, None), (44100, 48000, 0, None), (44100, 48000, 2, -1)],
)
def test_settings_must_be_possible(from_rate: int, to_rate: int, channels: int, target: int | None) -> None:
    with pytest.raises(ConfigurationError, match="it must be"):
        RateConverter(from_rate, to_rate, channels, target_frames=target)
