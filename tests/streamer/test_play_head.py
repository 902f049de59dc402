"""Where the play head goes, as arithmetic: runs, fades, and times that are no places."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.errors import ConfigurationError
from streamer.play_head import FADE_FRAMES, Loop, Run, checked_frame, checked_loop, fade, run_from

STEPS = np.arange(4096, dtype=np.float32)


def gains_of(run: Run, block: int) -> np.ndarray:
    """Give the gains of all frames of a run, taken in blocks."""
    parts = []
    for frame in range(run.begin, run.end, block):
        gains = np.zeros(min(block, run.end - frame), np.float32)
        parts.append(gains if fade(run, frame, gains, STEPS) else np.ones_like(gains))
    return np.concatenate(parts)


def test_without_a_loop_a_run_goes_to_the_end_of_the_track() -> None:
    run = run_from(100, 5000, None, rises=False)
    assert (run.begin, run.end, run.natural_end, run.loops) == (100, 5000, 5000, False)
    assert (gains_of(run, 256) == 1.0).all()


def test_within_a_loop_it_goes_to_the_loops_end_and_fades_there() -> None:
    run = run_from(100, 5000, Loop(50, 1000), rises=True)
    assert (run.end, run.loops, run.rise_frames, run.fall_frames) == (1000, True, FADE_FRAMES, FADE_FRAMES)


@pytest.mark.parametrize("place", [0, 49, 1000, 3000])
def test_a_loop_elsewhere_is_no_loop(place: int) -> None:
    assert not run_from(place, 5000, Loop(50, 1000), rises=True).loops


@pytest.mark.parametrize("block", [1, 7, 128, 1000])
@pytest.mark.parametrize("length", [1, 2, 100, 256, 900])
def test_fades_rise_and_fall_without_a_step_however_blocks_are_cut(length: int, block: int) -> None:
    run = run_from(10, 10 + length, Loop(0, 10 + length), rises=True)
    gains = gains_of(run, block)
    np.testing.assert_allclose(gains, gains_of(run, 4096), atol=1e-6)
    ramp = max(1, min(FADE_FRAMES, length // 2))
    assert np.abs(np.diff(np.concatenate([[0.0], gains, [0.0]]))).max() <= 1.0 / ramp + 1e-6
    assert gains.max() >= 0.5


def test_an_order_ends_a_run_after_one_fade() -> None:
    run = run_from(0, 5000, None, rises=False).cut_at(1000)
    assert (run.end, run.fall_frames, run.natural_end) == (1000 + FADE_FRAMES, FADE_FRAMES, 5000)
    gains = gains_of(run, 64)
    assert (gains[:1000] == 1.0).all()
    assert gains[-1] < 2 / FADE_FRAMES


def test_a_second_order_does_not_put_the_end_off() -> None:
    run = run_from(0, 5000, None, rises=False).cut_at(1000)
    assert run.cut_at(1064) is run


def test_shortly_before_its_end_a_run_is_not_made_longer() -> None:
    run = run_from(0, 1000, None, rises=False).cut_at(950)
    assert (run.end, run.fall_frames) == (1000, 50)


def test_a_time_is_a_frame_and_what_lies_behind_the_end_is_the_end() -> None:
    assert [checked_frame(seconds, 8000, 12_000) for seconds in (0, 0.5, 1.5, 99.0)] == [0, 4000, 12_000, 12_000]


@pytest.mark.parametrize("seconds", [-0.001, math.nan, math.inf, "1", None, True])
def test_what_is_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="is no place in a track: give seconds from its beginning, 0 or more"):
        checked_frame(seconds, 8000, 12_000)


@pytest.mark.parametrize(("begin_s", "end_s"), [(0.5, 0.5), (0.5, 0.519), (0.6, 0.5), (2.0, 3.0)])
def test_a_loop_shorter_than_20_ms_is_refused(begin_s: float, end_s: float) -> None:
    with pytest.raises(ConfigurationError, match=r"too short in a track of 1\.5 s"):
        checked_loop(begin_s, end_s, 8000, 12_000)
    assert checked_loop(0.5, 0.52, 8000, 12_000) == Loop(4000, 4160)
