"""Whatever is lost, every frame that is not comes out at its own time."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.record_buffer import RecordBuffer

F32 = npt.NDArray[np.float32]

CAPACITY = 64


class Tape:
    """Gives frames that are numbered from 1, in each row with another sign or size, and keeps what comes out."""

    def __init__(self, min_frames: int = CAPACITY) -> None:
        self.buffer = RecordBuffer((2, 2), min_frames)
        self.heard = [np.zeros((2, 2, 0), np.float32)]

    def give(self, frames: int) -> None:
        first = self.buffer.given + 1
        self.buffer.give(np.arange(first, first + frames, dtype=np.float32) * ROWS)

    def fetch(self, frames: int) -> int:
        out = np.full((2, 2, frames), np.nan, np.float32)
        done = self.buffer.fetch(out)
        self.heard.append(out[..., :done])
        return done

    def end(self) -> F32:
        out = np.full((2, 2, 7), np.nan, np.float32)
        while done := self.buffer.fetch_end(out):
            self.heard.append(out[..., :done].copy())
        return np.concatenate(self.heard, axis=-1)


ROWS = np.array([[1.0, -1.0], [2.0, 0.5]], np.float32)[..., None]


def check(heard: F32, buffer: RecordBuffer) -> None:
    """Check that each frame is at its time in every row, or silent in every row and counted."""
    assert heard.shape == (2, 2, buffer.given)
    numbers = heard[0, 0]
    np.testing.assert_array_equal(heard, numbers * ROWS)
    is_silent = numbers == 0.0
    np.testing.assert_array_equal(numbers[~is_silent], np.arange(1, buffer.given + 1)[~is_silent])
    assert np.count_nonzero(is_silent) == buffer.lost == buffer.silent
    starts = np.count_nonzero(np.diff(is_silent.astype(int), prepend=0) == 1)
    assert starts <= buffer.gaps


def test_what_fits_comes_out_as_it_came() -> None:
    tape = Tape()
    for frames in (10, 54, 1, 30):
        tape.give(frames)
        tape.fetch(100)
    check(tape.end(), tape.buffer)
    assert tape.buffer.lost == tape.buffer.gaps == 0


def test_a_block_without_room_becomes_silence_of_its_length() -> None:
    tape = Tape()
    tape.give(60)
    tape.give(5)
    tape.fetch(100)
    tape.give(3)
    heard = tape.end()
    check(heard, tape.buffer)
    assert not heard[..., 60:65].any()
    assert (tape.buffer.lost, tape.buffer.gaps) == (5, 1)


def test_after_a_loss_blocks_are_taken_again_when_half_is_free() -> None:
    tape = Tape()
    tape.give(64)
    tape.give(1)
    tape.fetch(31)
    tape.give(1)
    tape.fetch(1)
    tape.give(1)
    check(tape.end(), tape.buffer)
    assert (tape.buffer.lost, tape.buffer.gaps) == (2, 1)


def test_a_gap_that_nothing_follows_is_kept_too() -> None:
    tape = Tape()
    tape.give(64)
    tape.give(40)
    heard = tape.end()
    check(heard, tape.buffer)
    assert not heard[..., 64:].any()


def test_a_block_longer_than_the_buffer_is_lost() -> None:
    tape = Tape()
    tape.give(65)
    tape.give(2)
    check(tape.end(), tape.buffer)
    assert tape.buffer.lost == 65


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 70)), max_size=60))
def test_time_is_kept_whatever_the_order_of_things(steps: list[tuple[bool, int]]) -> None:
    tape = Tape()
    for is_given, frames in steps:
        if is_given:
            tape.give(frames)
        else:
            tape.fetch(frames)
    check(tape.end(), tape.buffer)


def test_many_gaps_are_never_mixed_up() -> None:
    tape = Tape()
    for n in range(2000):
        tape.give(1 + n % 40)
        tape.fetch(1 + n % 37)
    check(tape.end(), tape.buffer)
    assert tape.buffer.gaps > 50


def test_time_is_kept_between_two_threads() -> None:
    tape = Tape(256)

    def give() -> None:
        for n in range(5000):
            tape.give(1 + n % 37)

    giver = threading.Thread(target=give)
    giver.start()
    while giver.is_alive():
        tape.fetch(50)
    giver.join()
    check(tape.end(), tape.buffer)
    assert tape.buffer.given > tape.buffer.lost


def test_giving_allocates_no_array() -> None:
    buffer, block = RecordBuffer((4, 2), 1 << 15), np.ones((4, 2, 4096), np.float32)
    tracemalloc.start()
    try:
        for number in range(20):
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            buffer.give(block)
            # A row is 16 KiB.
            assert number < 2 or tracemalloc.get_traced_memory()[1] - before < 4 << 10
    finally:
        tracemalloc.stop()
    assert buffer.lost == 12 * 4096
