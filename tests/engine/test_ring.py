"""The ring gives frames by absolute position while it still has them, and says so when it has not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ring import FrameRing


def counted(start: int, n: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Frames that hold their own position plus one, negative in the second channel."""
    frames = np.arange(start + 1, start + n + 1, dtype=np.float32)
    return np.stack([frames, -frames])


def filled(frames: int, *, min_frames: int = 8, chunk: int = 3) -> FrameRing:
    ring = FrameRing((2,), min_frames)
    while ring.written < frames:
        ring.append(counted(ring.written, min(chunk, frames - ring.written)))
    return ring


@pytest.mark.parametrize(("asked", "kept"), [(1, 1), (2, 2), (3, 4), (8, 8), (9, 16), (1000, 1024)])
def test_it_keeps_the_next_power_of_two(asked: int, kept: int) -> None:
    assert FrameRing((1,), asked).capacity == kept


@given(
    lengths=st.lists(st.integers(0, 16), max_size=20),
    back=st.integers(0, 24),
    n=st.integers(0, 16),
    origin=st.integers(-5, 200),
)
def test_a_copy_is_what_was_appended_or_is_refused(lengths: list[int], back: int, n: int, origin: int) -> None:
    ring, everything = FrameRing((2,), 16), np.zeros((2, 0), np.float32)
    for number, length in enumerate(lengths):
        frames = counted(ring.written, length)
        if number % 4 == 3:
            frames[:] = 0
            ring.append_zeros(length)
        else:
            ring.append(frames)
        everything = np.concatenate([everything, frames], axis=1)
    assert ring.written == everything.shape[1]
    start = ring.written - back
    n = min(n, back)
    out = np.full((2, n), 99, np.float32)
    lowest_read = max(start, origin)
    is_there = lowest_read >= start + n or ring.written - lowest_read <= ring.capacity
    assert ring.copy(start, out, origin=origin) == is_there
    if is_there:
        for place, frame in enumerate(range(start, start + n)):
            expected = everything[:, frame] if frame >= max(origin, 0) else 0
            np.testing.assert_array_equal(out[:, place], expected)


def test_frames_come_back_whole_across_the_wrap() -> None:
    ring = filled(13)
    out = np.zeros((2, 8), np.float32)
    assert ring.copy(5, out)
    np.testing.assert_array_equal(out, counted(5, 8))


def test_a_run_as_long_as_the_ring_wraps_too() -> None:
    ring = filled(5)
    ring.append(counted(5, 8))
    out = np.zeros((2, 8), np.float32)
    assert ring.copy(5, out)
    np.testing.assert_array_equal(out, counted(5, 8))


def test_frames_before_the_origin_are_silence() -> None:
    ring = filled(6)
    out = np.full((2, 7), 99, np.float32)
    assert ring.copy(-3, out)
    np.testing.assert_array_equal(out[:, :3], 0)
    np.testing.assert_array_equal(out[:, 3:], counted(0, 4))
    assert ring.copy(-1, out, origin=4)
    np.testing.assert_array_equal(out[:, :5], 0)
    np.testing.assert_array_equal(out[:, 5:], counted(4, 2))


def test_silence_before_the_origin_is_there_although_the_ring_has_moved_on() -> None:
    ring = filled(100)
    out = np.full((2, 4), 99, np.float32)
    assert ring.copy(10, out, origin=14)
    np.testing.assert_array_equal(out, 0)
    assert not ring.copy(10, out, origin=13)


def test_frames_that_were_overwritten_are_refused() -> None:
    ring = filled(20)
    out = np.zeros((2, 2), np.float32)
    assert not ring.copy(11, out)
    assert ring.copy(12, out)
    np.testing.assert_array_equal(out, counted(12, 2))


def test_a_reader_in_the_middle_of_a_write_does_not_take_new_frames_for_old_ones() -> None:
    ring = filled(13)
    answers = []

    class Interrupted(np.ndarray):  # type: ignore[type-arg]
        """Frames whose second half lets a reader in before it is written."""

        def __getitem__(self, key: Any) -> Any:
            out = np.zeros((2, 2), np.float32)
            answers.append((ring.copy(5, out), out))
            return np.asarray(self)[key]

    ring.append(counted(13, 6).view(Interrupted))
    assert len(answers) == 2
    for is_there, out in answers:
        assert not is_there or np.array_equal(out, counted(5, 2))


def test_put_writes_ahead_without_moving_on() -> None:
    ring = filled(6)
    ring.put(7, counted(7, 3))
    assert ring.written == 6
    out = np.zeros((2, 3), np.float32)
    ring.copy(7, out)
    np.testing.assert_array_equal(out, counted(7, 3))


def test_axes_before_the_frames_are_kept() -> None:
    ring = FrameRing((3, 2), 4)
    frames = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32)
    ring.append(frames)
    out = np.zeros((3, 2, 4), np.float32)
    assert ring.copy(0, out)
    np.testing.assert_array_equal(out, frames)


def test_double_precision_is_stored_as_single() -> None:
    ring = FrameRing((1,), 4)
    ring.append(np.array([[0.1, 0.2]]))
    out = np.zeros((1, 2), np.float32)
    assert ring.copy(0, out)
    np.testing.assert_array_equal(out, np.float32([[0.1, 0.2]]))
