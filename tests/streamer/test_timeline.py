"""The ladder's decisions as pure arithmetic: what is admitted, from where, and how the gate moves."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamer.latency import JOIN_FRAMES
from streamer.timeline import Admission, BlockRungs, Gate, Timeline

LATENCY = 100


def timeline(*, guard: int = 0, latency: int = LATENCY) -> Timeline:
    fresh = Timeline(latency, guard)
    fresh.reserve(4096)
    return fresh


def run(line: Timeline, frames: int) -> tuple[np.ndarray, BlockRungs]:
    levels, rungs = np.full(frames, np.nan, np.float32), BlockRungs()
    line.block(frames, levels, rungs)
    return levels, rungs


def started(known: int = 2000, final: int = 1000) -> Timeline:
    """A stream that has heard its first result and stands at frame 0."""
    line = timeline()
    assert line.admit(0, final, known) == Admission(0)
    run(line, LATENCY)
    return line


def test_a_result_that_carries_on_is_kept_from_its_first_frame() -> None:
    line = started()
    run(line, 500)
    assert line.admit(1000, 2000, 3000) == Admission(1000)


def test_a_late_result_is_trimmed_to_the_cursor_and_joined_there() -> None:
    line = started()
    run(line, 1200)
    assert line.admit(1000, 2000, 3000) == Admission(1200, join_at=1200)
    _, rungs = run(line, 900)
    assert (rungs.late, rungs.provisional) == (800, 100)


def test_a_result_whose_frames_have_been_played_is_dropped() -> None:
    line = started(known=4000)
    run(line, 2100)
    assert line.admit(1000, 2000, 2200) == Admission(-1)


def test_a_result_older_than_the_newest_is_dropped() -> None:
    line = started(known=4000)
    run(line, 100)
    assert line.admit(2000, 3000, 4000).start == 2000
    assert line.admit(1000, 2000, 3000) == Admission(-1)


def test_a_gap_that_the_provisional_tail_spans_is_joined_where_the_newer_result_begins() -> None:
    line = started(known=4000)
    run(line, 100)
    assert line.admit(2000, 3000, 4500) == Admission(2000, join_at=2000)
    levels, rungs = run(line, 2900)
    assert np.all(levels == 1.0)
    assert rungs.final == 2900


def test_a_gap_that_nothing_spans_closes_the_gate_before_it_and_waits_for_two_results_on_time() -> None:
    line = started(known=1500)
    run(line, 100)
    assert line.admit(2000, 3000, 3200) == Admission(2000)
    levels, _ = run(line, 1900)
    assert levels[1400 - JOIN_FRAMES - 1] == 1.0
    assert np.all(levels[1400:] == 0.0)
    assert line.gate is Gate.CLOSED
    assert line.admit(3000, 4000, 4200).start == 3000
    assert not run(line, 500)[0].any()
    assert line.admit(4000, 5000, 5200).start == 4000
    levels, rungs = run(line, 500)
    assert np.array_equal(levels[:JOIN_FRAMES], np.arange(1, 65, dtype=np.float32) / 64)
    assert (rungs.mixture, rungs.final) == (63, 437)


def test_what_the_closing_fade_still_needs_is_not_overwritten() -> None:
    line = started(known=1100)
    levels, _ = run(line, 1060)
    level = int(levels[-1] * JOIN_FRAMES)
    assert 0 < level < JOIN_FRAMES
    assert line.admit(1000, 2000, 2200) == Admission(1060 + level)


def test_a_fade_that_has_begun_to_close_is_finished_before_it_opens_again() -> None:
    line = started(known=1100)
    before, _ = run(line, 1060)
    for first in (1000, 2000, 3000):
        line.admit(first, first + 1000, first + 1200)
    after, _ = run(line, 500)
    levels = np.concatenate([before, after])
    lowest = int(np.argmin(levels[1000:])) + 1000
    assert levels[lowest] == 0.0
    assert np.abs(np.diff(levels)).max() <= 1 / JOIN_FRAMES
    assert levels[-1] == 1.0


def test_at_the_very_start_a_first_result_just_in_time_needs_no_fade() -> None:
    line = timeline()
    run(line, LATENCY)
    assert line.admit(0, 1000, 1500) == Admission(0)
    levels, rungs = run(line, 300)
    assert np.all(levels == 1.0)
    assert rungs.final == 300


def test_a_start_without_any_result_begins_with_the_mixture() -> None:
    line = timeline()
    levels, rungs = run(line, LATENCY + 50)
    assert not levels[LATENCY:].any()
    assert (rungs.before_start, rungs.mixture) == (LATENCY, 50)


def test_bypass_closes_the_gate_and_leaves_the_results_in_place() -> None:
    line = started(known=4000, final=3000)
    line.bypass = True
    levels, rungs = run(line, 200)
    assert not levels[JOIN_FRAMES:].any()
    assert rungs.bypassed == 200
    line.admit(3000, 4000, 4000)
    line.bypass = False
    levels, _ = run(line, 200)
    assert levels[-1] == 1.0


@pytest.mark.parametrize("guard", [0, 30, 64])
def test_a_result_counts_as_on_time_only_before_its_guard(guard: int) -> None:
    on_time = {}
    for cursor in (1000 - guard, 1001 - guard):
        line = timeline(guard=guard)
        line.bypass = True
        line.reset()
        line.admit(0, 1000, 1000 + JOIN_FRAMES - guard)
        run(line, LATENCY + cursor)
        line.admit(1000, 2000, 2000 + JOIN_FRAMES - guard)
        line.bypass = False
        on_time[cursor] = bool(run(line, 100)[0].any())
    assert list(on_time.values()) == [True, False]


@settings(max_examples=300, deadline=None)
@example(events=[(101, 0, 1, 0, False), (1, 0, 137, 0, False), (75, 0, 1, 2, True), (1, 0, 1, 0, True)])
@given(
    events=st.lists(
        st.tuples(st.integers(1, 700), st.integers(-400, 900), st.integers(1, 600), st.integers(0, 400), st.booleans()),
        min_size=1,
        max_size=60,
    )
)
def test_whatever_comes_the_gate_moves_in_fades_and_never_past_what_is_known(
    events: list[tuple[int, int, int, int, bool]],
) -> None:
    line = timeline()
    known = np.zeros(200_000, bool)
    last, cursor, frontier = 1.0, -LATENCY, 0
    for frames, ahead, final, tail, carries_on in events:
        first = frontier if carries_on else max(0, cursor + ahead)
        admission = line.admit(first, first + final, first + final + tail)
        frontier = max(frontier, first + final)
        if admission.start >= 0:
            assert admission.start >= max(first, cursor)
            known[admission.start : first + final + tail] = True
        levels, rungs = run(line, frames)
        heard = levels[rungs.before_start :]
        begin = max(cursor, 0)
        assert np.all((heard == 0.0) | known[begin : begin + len(heard)])
        if cursor > 0:
            assert np.abs(np.diff(levels, prepend=last)).max() <= 1 / JOIN_FRAMES + 1e-6
        assert rungs.final + rungs.late + rungs.provisional == int((heard == 1.0).sum())
        total = rungs.final + rungs.late + rungs.provisional + rungs.mixture + rungs.bypassed + rungs.before_start
        assert total == frames
        last, cursor = float(levels[-1]), cursor + frames
    assert line.cursor == cursor


def test_blocks_may_be_cut_anywhere() -> None:
    whole = started(known=1300)
    cut = started(known=1300)
    levels, _ = run(whole, 1500)
    parts = [run(cut, n)[0] for n in itertools.chain([1] * 100, [399, 1, 730], [1] * 270)]
    assert np.array_equal(np.concatenate(parts), levels)
