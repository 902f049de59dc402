"""The embedded separators in a stream: block by block they give what they give for the whole recording."""

from __future__ import annotations

import numpy as np
import pytest

from engine import load_separator, separate
from streamer import StemProcessor
from tests.engine.models.sounds import RATE, music

NAMES = ["spatial", "spatial-low"]


def streamed(processor: StemProcessor, signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Send (channels, frames) through in blocks of any length; what comes out, its latency cut off."""
    given, start = [], 0
    while start < signal.shape[1]:
        block = signal[:, start : start + int(rng.integers(1, 700))]
        given.append(processor.process(block).copy())
        start += block.shape[1]
    given.append(processor.flush().copy())
    return np.concatenate(given, axis=2)[..., processor.latency_frames :]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 2])
def test_streaming_equals_offline(name: str, channels: int) -> None:
    signal = music(2, seed=3)[0, :channels]
    separator = load_separator(name)
    whole = separate(separator, signal, RATE)
    processor = StemProcessor(separator)
    processor.prepare(sample_rate=RATE, channels=channels, max_block_frames=700)
    stems = streamed(processor, signal, np.random.default_rng(1))
    processor.release()
    np.testing.assert_allclose(stems, whole, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_after_a_reset_nothing_of_what_was_heard_before_is_left(name: str) -> None:
    first, second = music(1, seed=4)[0], music(1, seed=5)[0]
    processor = StemProcessor(load_separator(name))
    processor.prepare(sample_rate=RATE, channels=2, max_block_frames=700)
    fresh = streamed(processor, second, np.random.default_rng(2))
    processor.reset()
    streamed(processor, 30.0 * first, np.random.default_rng(2))
    processor.reset()
    again = streamed(processor, second, np.random.default_rng(2))
    processor.release()
    np.testing.assert_array_equal(again, fresh)
