"""One stream's windows: their order, their state, and what is left of them after a fault."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.plan import WindowPlan, live_plan
from engine.separator import F32, Runner, Separator
from engine.stream import WindowStream
from tests.engine.told_models import Echo, WholeWindow

AUDIO = np.random.default_rng(5).normal(size=(2, 4000)).astype(np.float32)


def read(start: int, out: F32) -> bool:
    """Give the test's audio, silence before it."""
    for n in range(out.shape[-1]):
        out[:, n] = AUDIO[:, start + n] if start + n >= 0 else 0
    return True


def open_stream(model: Separator, **lengths: Any) -> WindowStream:
    return WindowStream(model, live_plan(model.spec, **lengths), keep_provisional=True)


def step(stream: WindowStream, runner: Runner) -> tuple[int, bool]:
    """Run the next window alone."""
    assert stream.load(read, runner, 0)
    runner.run(1)
    return stream.store(runner, 0)


def heard(stream: WindowStream, runner: Runner, count: int) -> list[F32]:
    """Run windows one by one and give the final frames of each that is delivered."""
    return [stream.overlap.final.copy() for _ in range(count) if step(stream, runner)[1]]


# Windowed


def test_a_window_is_read_where_the_plan_says() -> None:
    model = WholeWindow()
    stream, runner = open_stream(model), Runner(model, 1, 64)
    for index in range(6):
        assert stream.next_index == index
        stream.load(read, runner, 0)
        expected = np.zeros((2, 64), np.float32)
        read((index + 1) * 16 - 64, expected)
        np.testing.assert_array_equal(runner.windows[0], expected)


def test_windows_start_with_the_first_that_counts() -> None:
    model = WholeWindow(lookahead_frames=40)
    assert open_stream(model).next_index == 2


def test_several_windows_are_stored_in_the_order_they_were_loaded() -> None:
    model = WholeWindow()
    together, alone = open_stream(model), open_stream(model)
    batch, single = Runner(model, 3, 64), Runner(model, 1, 64)
    for first in (0, 3):
        for row in range(3):
            assert together.can_load()
            assert together.load(read, batch, row)
        assert together.windows_under_way == 3
        batch.run(3)
        for row in range(3):
            assert together.store(batch, row) == (first + row, True)
            assert step(alone, single) == (first + row, True)
            np.testing.assert_array_equal(together.overlap.final, alone.overlap.final)
            np.testing.assert_array_equal(together.overlap.provisional, alone.overlap.provisional)
    assert together.windows_under_way == 0


def test_input_that_is_gone_leaves_the_stream_where_it_was() -> None:
    model = WholeWindow()
    stream, runner = open_stream(model), Runner(model, 1, 64)
    assert not stream.load(lambda start, out: False, runner, 0)
    assert stream.next_index == 0
    assert stream.windows_under_way == 0
    assert step(stream, runner) == (0, True)


def test_a_window_that_failed_leaves_a_gap_and_no_trace_in_the_next_one() -> None:
    model = WholeWindow()
    stream, runner = open_stream(model), Runner(model, 1, 64)
    heard(stream, runner, 4)
    stream.load(read, runner, 0)
    assert stream.fail() == 4
    assert stream.next_index == 5
    fresh = open_stream(model)
    fresh.start(5)
    for _ in range(4):
        assert step(stream, runner) == step(fresh, runner)
        np.testing.assert_array_equal(stream.overlap.final, fresh.overlap.final)


def test_a_failed_window_among_several_leaves_the_others_under_way() -> None:
    model = WholeWindow()
    stream, runner = open_stream(model), Runner(model, 3, 64)
    for row in range(3):
        stream.load(read, runner, row)
    runner.run(3)
    runner.stems[1] = np.inf
    assert stream.store(runner, 0) == (0, True)
    with pytest.raises(FloatingPointError):
        stream.store(runner, 1)
    assert stream.fail() == 1
    assert stream.windows_under_way == 1
    assert stream.store(runner, 2) == (2, True)
    assert stream.next_index == 3
    fresh = open_stream(model)
    fresh.start(2)
    step(fresh, Runner(model, 1, 64))
    np.testing.assert_array_equal(stream.overlap.final, fresh.overlap.final)


# Values that are not finite


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [64 - 8 - 1, 64 - 8 - 22])
def test_a_value_that_is_not_finite_where_it_counts_is_a_fault_and_nothing_is_kept(value: float, place: int) -> None:
    model = WholeWindow()
    stream, runner = open_stream(model), Runner(model, 1, 64)
    heard(stream, runner, 3)
    before = stream.overlap.final.copy(), stream.overlap.provisional.copy()
    stream.load(read, runner, 0)
    runner.run(1)
    runner.stems[0, 1, 0, place] = value
    with pytest.raises(FloatingPointError, match="window 3: the model gave values that are not finite"):
        stream.store(runner, 0)
    assert stream.windows_under_way == 1
    np.testing.assert_array_equal(stream.overlap.final, before[0])
    np.testing.assert_array_equal(stream.overlap.provisional, before[1])
    assert stream.fail() == 3


def test_a_value_that_is_not_finite_inside_the_look_ahead_only_spoils_that() -> None:
    model = WholeWindow()
    stream, clean, runner = open_stream(model), open_stream(model), Runner(model, 1, 64)
    for _ in range(4):
        stream.load(read, runner, 0)
        runner.run(1)
        runner.stems[0, 2, 1, 64 - 8] = np.nan
        assert stream.store(runner, 0)[1]
        assert not stream.lookahead_is_finite
        assert np.isfinite(stream.overlap.provisional[..., :-8]).all()
        step(clean, runner)
        assert clean.lookahead_is_finite
        np.testing.assert_array_equal(stream.overlap.final, clean.overlap.final)
    step(stream, runner)
    assert stream.lookahead_is_finite


def test_a_value_that_is_not_finite_behind_what_is_delivered_does_not_matter() -> None:
    model = WholeWindow()
    stream, runner = open_stream(model), Runner(model, 1, 64)
    stream.load(read, runner, 0)
    runner.run(1)
    runner.stems[0, ..., : 64 - 8 - 22] = np.nan
    assert stream.store(runner, 0) == (0, True)
    assert np.isfinite(stream.overlap.final).all()


@pytest.mark.parametrize("state", [0, 1])
def test_a_state_that_is_not_finite_is_a_fault(state: int) -> None:
    model = Echo(priming_frames=0)
    stream, runner = open_stream(model), Runner(model, 1, 16)
    step(stream, runner)
    stream.load(read, runner, 0)
    runner.run(1)
    runner.states[state][0, 1, 3] = np.nan
    with pytest.raises(FloatingPointError, match="window 1: the model's state is not finite"):
        stream.store(runner, 0)
    assert stream.fail() == 1
    stream.load(read, runner, 0)
    for found, initial in zip(runner.states, model.spec.initial_states(1), strict=True):
        np.testing.assert_array_equal(found, initial)


# Stateful


def test_a_stateful_stream_waits_for_the_hop_before() -> None:
    model = Echo()
    stream, runner = open_stream(model), Runner(model, 2, 16)
    assert stream.can_load()
    stream.load(read, runner, 0)
    assert not stream.can_load()
    runner.run(1)
    stream.store(runner, 0)
    assert stream.can_load()


def test_a_stateful_stream_gives_what_one_run_over_everything_gives() -> None:
    model = Echo()
    stream, runner = open_stream(model), Runner(model, 1, 16)
    states = model.spec.initial_states(1)
    for index in range(12):
        assert step(stream, runner) == (index, True)
        expected, states = model.process(AUDIO[None, :, index * 16 : (index + 1) * 16], states)
        np.testing.assert_allclose(stream.overlap.final, expected[0], rtol=1e-6)


def test_streams_that_share_a_batch_keep_their_states_apart_in_any_row() -> None:
    model = Echo()
    batch, single = Runner(model, 3, 16), Runner(model, 1, 16)
    shifts = (0, 1000, 2000)
    together = [open_stream(model) for _ in shifts]
    alone = [open_stream(model) for _ in shifts]

    def shifted(shift: int) -> Any:
        return lambda start, out: read(start + shift, out)

    orders = [(0, 1, 2), (2, 0, 1), (1, 0), (2,), (0, 2, 1), (1, 2, 0), (0, 1)]
    for order in orders * 3:
        for row, stream in enumerate(order):
            assert together[stream].load(shifted(shifts[stream]), batch, row)
        batch.run(len(order))
        for row, stream in enumerate(order):
            together[stream].store(batch, row)
            alone[stream].load(shifted(shifts[stream]), single, 0)
            single.run(1)
            alone[stream].store(single, 0)
            np.testing.assert_array_equal(together[stream].overlap.final, alone[stream].overlap.final)


@pytest.mark.parametrize(("priming_frames", "hops"), [(0, 0), (1, 1), (16, 1), (17, 2), (40, 3)])
def test_after_a_gap_a_fresh_state_hears_enough_before_it_is_delivered(priming_frames: int, hops: int) -> None:
    model = Echo(priming_frames=priming_frames)
    stream, runner = open_stream(model), Runner(model, 1, 16)
    assert stream.priming_hops == hops
    heard(stream, runner, 3)
    stream.start(10)
    assert stream.next_index == 10 - hops
    before = stream.overlap.final.copy()
    for index in range(10 - hops, 10):
        assert step(stream, runner) == (index, False)
        np.testing.assert_array_equal(stream.overlap.final, before)
    assert step(stream, runner) == (10, True)
    expected, states = None, model.spec.initial_states(1)
    for index in range(10 - hops, 11):
        expected, states = model.process(AUDIO[None, :, index * 16 : (index + 1) * 16], states)
    np.testing.assert_allclose(stream.overlap.final, expected[0], rtol=1e-6)


def test_priming_reaches_no_further_back_than_the_start() -> None:
    stream = open_stream(Echo())
    stream.start(2)
    assert stream.next_index == 0
    stream.start(10)
    assert stream.next_index == 7


def test_a_windowed_stream_needs_no_priming() -> None:
    stream = open_stream(WholeWindow())
    assert stream.priming_hops == 0
    stream.start(10)
    assert stream.next_index == 10


def test_a_stateful_stream_primes_a_fresh_state_after_a_fault() -> None:
    model = Echo()
    stream, runner = open_stream(model), Runner(model, 1, 16)
    heard(stream, runner, 8)
    stream.load(read, runner, 0)
    assert stream.fail() == 8
    assert stream.next_index == 9 - stream.priming_hops
    assert [step(stream, runner) for _ in range(4)] == [(6, False), (7, False), (8, False), (9, True)]


def test_a_fault_that_priming_meets_again_is_left_behind_and_priming_begins_anew() -> None:
    model = Echo()
    stream, runner = open_stream(model), Runner(model, 1, 16)
    heard(stream, runner, 8)
    delivered = []
    for _ in range(12):
        stream.load(read, runner, 0)
        runner.run(1)
        if stream.next_index == 9:
            runner.stems[:] = np.nan
        try:
            index, is_delivered = stream.store(runner, 0)
        except FloatingPointError:
            assert stream.fail() == 8
        else:
            delivered += [index] * is_delivered
    assert stream.priming_hops == 3
    assert delivered == list(range(9 + 3, 17))


def test_starting_over_forgets_state_and_windows_under_way() -> None:
    model = Echo()
    used, fresh, runner = open_stream(model), open_stream(model), Runner(model, 1, 16)
    heard(used, runner, 5)
    used.load(read, runner, 0)
    used.start(0)
    assert used.windows_under_way == 0
    for _ in range(3):
        step(used, runner)
        final = used.overlap.final.copy()
        step(fresh, runner)
        np.testing.assert_array_equal(final, fresh.overlap.final)


def test_frames_between_windows_are_crossfaded_as_the_plan_says() -> None:
    model = WholeWindow()
    plan = live_plan(model.spec)
    assert plan == WindowPlan(64, 16, 8, 6, 22)
    stream, runner = open_stream(model), Runner(model, 1, 64)
    windows = []
    for _ in range(4):
        step(stream, runner)
        windows.append(runner.stems[0].copy())
    # Frame i of window k is frame k * 16 - 48 + i: the last 16 final ones are those from 34 on of the newest.
    fade = np.maximum(np.linspace(0, 1, 6, dtype=np.float32), np.float32(1e-6))
    older, newer = windows[2][..., 50:66], windows[3][..., 34:50]
    expected = newer.copy()
    expected[..., :6] = (older[..., :6] * fade[::-1] + newer[..., :6] * fade) / (fade + fade[::-1])
    np.testing.assert_allclose(stream.overlap.final, expected, atol=1e-6)
