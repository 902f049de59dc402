"""Frames land where the span says, also right after a gap and for the smallest hops."""

import numpy as np
import pytest

from engine.overlap import OverlapAdd
from engine.plan import WindowPlan
from streamer.host_output import HostOutput
from streamer.latency import StreamTiming

MODEL_RATE = 44_100


@pytest.mark.parametrize("host_rate", [8_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("hop", [20, 33, 64, 128, 256, 512])
def test_known_frames_are_the_sound_at_their_own_time(host_rate: int, hop: int) -> None:
    plan = WindowPlan(4 * hop + 600, hop, 500, min(hop, 16), hop + min(hop, 16))
    timing = StreamTiming(plan, host_rate, MODEL_RATE)
    output = HostOutput(timing, channels=1, carried=(0,))
    overlap = OverlapAdd(plan, 1, 1)
    out = np.zeros((1, 1, output.longest_frames), np.float32)
    frontier = None
    for index in (*range(40, 60), *range(75, 95)):
        if index in (40, 75):
            overlap.restart()
            output.leave_gap()
            frontier = None
        end = plan.end_of(index)
        overlap.add(sound(np.arange(end - plan.window_frames, end) / MODEL_RATE)[None, None])
        span = output.write(overlap, index, plan.provisional_frames, out)
        assert span.first <= span.final <= span.known
        assert frontier is None or span.first == frontier
        frontier = span.final
        # A converter also hears the silence before a gap's end and after what is provisional.
        heard = out[0, 0, : span.known - span.first]
        expected = sound(np.arange(span.first, span.known) / host_rate)
        np.testing.assert_allclose(heard, expected, atol=2e-3)


def sound(seconds: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * 100 * seconds).astype(np.float32)
