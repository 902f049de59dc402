"""A device that stood is told from one that is late: its count stays behind the machine's clock."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.clock_watch import ClockWatch

RATE, BLOCK = 48_000, 256


def look_for(watch: ClockWatch, begin_s: float, seconds: float, frames: int, *, ppm: float = 0.0) -> tuple[int, float]:
    """Look after each block; gives the count at the end and the seconds that were told."""
    told = 0.0
    moments = np.arange(begin_s + BLOCK / RATE, begin_s + seconds, BLOCK / RATE)
    for number, moment in enumerate(moments, 1):
        told += watch.look(frames + int(number * BLOCK * (1 + 1e-6 * ppm)), float(moment))
    return frames + int(len(moments) * BLOCK * (1 + 1e-6 * ppm)), told


@pytest.mark.parametrize("stood_s", [0.3, 2.0, 60.0])
def test_the_time_for_which_a_device_stood_is_told_once(stood_s: float) -> None:
    watch = ClockWatch(RATE, 0.25)
    frames, told = look_for(watch, 0.0, 5.0, 0)
    assert told == 0.0
    frames, told = look_for(watch, 5.0 + stood_s, 5.0, frames)
    assert told == pytest.approx(stood_s, abs=0.02)
    assert not watch.is_suspecting


@pytest.mark.parametrize("ppm", [-5000.0, 5000.0])
def test_no_drift_of_a_clock_is_a_jump(ppm: float) -> None:
    assert look_for(ClockWatch(RATE, 0.25), 0.0, 300.0, 0, ppm=ppm)[1] == 0.0


def test_a_device_that_gives_at_once_what_it_kept_has_not_stood() -> None:
    watch = ClockWatch(RATE, 0.25)
    frames, _ = look_for(watch, 0.0, 5.0, 0)
    # One callback comes alone after 0.6 s, and the rest of them just behind.
    assert watch.look(frames + BLOCK, 5.6) == 0.0
    assert watch.is_suspecting
    assert look_for(watch, 5.61, 5.0, frames + round(0.6 * RATE))[1] == 0.0
    assert not watch.is_suspecting


def test_a_program_that_was_held_up_while_the_device_went_on_has_seen_no_jump() -> None:
    watch = ClockWatch(RATE, 0.25)
    frames, _ = look_for(watch, 0.0, 5.0, 0)
    assert look_for(watch, 8.0, 5.0, frames + 3 * RATE)[1] == 0.0


def test_a_device_may_take_its_time_to_begin() -> None:
    watch = ClockWatch(RATE, 0.25)
    frames, told = look_for(watch, 0.0, 0.1, 0)
    assert told == 0.0
    watch.restart()
    assert look_for(watch, 50.0, 5.0, frames)[1] == 0.0
