"""The simulated device gives back what is played, after exactly its latency."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ConfigurationError
from streamer.audio.simulated_stream import SimulatedStream


@pytest.mark.parametrize(("block", "ring", "around"), [(64, 64, (0, 0)), (64, 192, (10, 7)), (100, 250, (333, 1))])
def test_what_is_written_comes_back_after_ring_and_device(block: int, ring: int, around: tuple[int, int]) -> None:
    passed: list[int] = []
    stream = SimulatedStream(
        channels=2,
        block_frames=block,
        ring_frames=ring,
        input_frames=around[0],
        output_frames=around[1],
        passes=passed.append,
    )
    sound = np.random.default_rng(0).standard_normal((2, 40 * block)).astype(np.float32)
    heard = []
    stream.start()
    for begin in range(0, sound.shape[1], block):
        assert stream.wait(0.1)
        heard.append(stream.read().copy())
        stream.write(sound[:, begin : begin + block])
        assert (stream.captured_frame, stream.rendered_frame) == (begin, begin + ring)
    delay = ring + sum(around)
    captured = np.concatenate(heard, axis=1)
    np.testing.assert_array_equal(captured[:, delay:], sound[:, :-delay])
    assert not captured[:, :delay].any()
    assert sum(passed) == sound.shape[1]


def test_a_ring_shorter_than_a_block_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="holds a block"):
        SimulatedStream(channels=1, block_frames=64, ring_frames=63, input_frames=0, output_frames=0)
