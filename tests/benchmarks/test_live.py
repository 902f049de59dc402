"""What the table of live sound counts: glitches of the session apart from those of the recording itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.live import RATE, evaluate
from benchmarks.other_side import F32, jumps_of

TOTAL = 4000


def heard(seconds: float = 4.0, delay: int = TOTAL) -> F32:
    """A recording of both sides: noise, the same later, and a counter that begins in its midst."""
    frames = round(seconds * RATE)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, frames + delay)).astype(np.float32)
    counter = ((np.arange(frames) + 77) * 2.0**-34).astype(np.float32)
    return np.concatenate([noise[:, delay:], noise[:, :frames], counter[None]])


def report(**changes: Any) -> dict[str, Any]:
    counters = {"coverage": 1.0, "compute_p99_s": 0.001}
    return {"latency": {"total_frames": TOTAL}, "xruns": 0, "hop_s": 0.01, "counters": counters, **changes}


def row(recording: F32) -> Any:
    return evaluate(recording, report(), model="m", engine="rtmixer", load="idle", block_frames=256)


def test_a_session_that_keeps_its_promise_is_exact_and_has_no_glitch() -> None:
    found = row(heard())
    assert found.is_exact
    assert found.measured_ms == pytest.approx(1000 * TOTAL / RATE)
    assert (found.glitches_per_min, found.lost_frames_per_min, found.server_jumps_per_min) == (0, 0, 0)


def test_silence_in_place_of_sound_is_one_glitch_of_so_many_frames() -> None:
    recording = heard()
    recording[2:4, 2 * RATE : 2 * RATE + 256] = 0.0
    found = row(recording)
    minutes = (recording.shape[1] - TOTAL) / RATE / 60
    assert found.glitches_per_min == pytest.approx(1 / minutes)
    assert found.lost_frames_per_min == pytest.approx(256 / minutes)
    assert found.is_exact


def test_frames_that_the_recording_itself_lost_are_not_the_sessions() -> None:
    recording = np.delete(heard(), np.s_[2 * RATE : 2 * RATE + 256], axis=1)
    assert list(jumps_of(recording[-1])) == [2 * RATE]
    found = row(recording)
    assert found.server_jumps_per_min > 0
    assert found.lost_frames_per_min == 0


def test_another_delay_than_the_promised_one_is_not_exact() -> None:
    found = row(heard(delay=TOTAL + 256))
    assert not found.is_exact
    assert found.measured_ms == pytest.approx(1000 * (TOTAL + 256) / RATE)


def test_a_counter_that_stands_still_jumps_too() -> None:
    counted = np.repeat(np.arange(1, 9) * 2.0**-34, [1, 1, 1, 2, 1, 1, 1, 1]).astype(np.float32)
    assert list(jumps_of(counted)) == [4]
