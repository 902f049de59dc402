"""A batch waits for another stream's window only where that helps and nobody is late for it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.batching import BatchCosts, pause_s, sizes_to_time
from engine.worker import Worker
from engine.worker_client import CATCHING_UP, WAITING, pause_for_others
from streamer.processor import StemProcessor
from streamer.testing import IdentitySeparator, ScriptedWorker, VirtualClock, play
from tests.engine.test_worker import LIMIT_S, Client, await_outcomes, noise_of
from tests.engine.told_models import Recording, WholeWindow

DEVICE = BatchCosts(((1, 0.010), (2, 0.012), (4, 0.016), (8, 0.024)))
"""A device for which further windows cost a fifth of the first."""
PROCESSOR = BatchCosts(((1, 0.010), (2, 0.0198), (4, 0.0398), (8, 0.08)))
"""One that runs them one by one."""


# The decision


def test_costs_lie_on_straight_lines_between_what_was_measured() -> None:
    assert [DEVICE.of(rows) for rows in (1, 2, 3, 4, 6)] == pytest.approx([0.010, 0.012, 0.014, 0.016, 0.020])
    assert DEVICE.most_rows == 8
    assert BatchCosts(((1, 0.5),)).of(1) == 0.5


def test_the_shortest_runs_tell_what_sizes_cost_and_the_longest_how_much_longer_they_may_be() -> None:
    # Beside other load single windows took up to three times as long, and rows run one by one look no better for it.
    costs = BatchCosts.of_runs({1: (0.031, 0.010, 0.012), 2: (0.020, 0.025), 4: (0.041,)})
    assert costs.measured == ((1, 0.010), (2, 0.020), (4, 0.041))
    assert costs.stretch == pytest.approx(3.1)
    assert pause_s([10.0], [0.001, 0.002], costs) == 0


def test_a_run_that_takes_longer_counts_at_once_and_is_forgotten_slowly() -> None:
    loaded = DEVICE.after(2, 3 * DEVICE.of(2))
    assert [loaded.of(rows) for rows in (1, 2, 4)] == pytest.approx([3 * DEVICE.of(rows) for rows in (1, 2, 4)])
    calmer = loaded.after(2, DEVICE.of(2))
    assert DEVICE.of(2) < calmer.of(2) < loaded.of(2)
    for _ in range(1000):
        calmer = calmer.after(2, 0.5 * DEVICE.of(2))
    assert calmer == DEVICE
    # What is in time in quiet is not beside that load.
    assert pause_s([0.050], [0.020], DEVICE) == 0.020
    assert pause_s([0.050], [0.020], loaded) == 0


@pytest.mark.parametrize(("batch_size", "sizes"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8))])
def test_powers_of_two_and_the_largest_are_measured(batch_size: int, sizes: tuple[int, ...]) -> None:
    assert sizes_to_time(batch_size) == sizes


@pytest.mark.parametrize(
    ("slacks", "coming", "pause"),
    [
        ([0.050], [0.020], 0.020),
        ([0.050], [], 0),
        # 20 ms until it is due, 12 ms for both, a quarter of that and 2 ms to be sure.
        ([0.0371], [0.020], 0.020),
        ([0.0369], [0.020], 0),
        # The most urgent decides, whoever else has time.
        ([0.500, 0.030, 0.500], [0.020], 0),
        # As many as there is time for, the soonest first.
        ([0.050], [0.030, 0.005, 0.020], 0.020),
        ([0.060], [0.030, 0.005, 0.020], 0.030),
        # No more than a run holds.
        ([1.0] * 7, [0.001, 0.002], 0.001),
        ([1.0] * 8, [0.001], 0),
        # Whoever is late already waits for nobody.
        ([-0.010], [0.0], 0),
    ],
)
def test_it_waits_as_long_as_all_are_in_time(slacks: list[float], coming: list[float], pause: float) -> None:
    assert pause_s(slacks, coming, DEVICE) == pause


def test_it_does_not_wait_where_rows_are_run_one_by_one() -> None:
    assert pause_s([10.0], [0.001, 0.002], PROCESSOR) == 0


@given(
    slacks=st.lists(st.floats(-1, 1), min_size=1, max_size=8),
    coming=st.lists(st.floats(0, 1), max_size=8),
    costs=st.lists(st.floats(1e-4, 0.2), min_size=4, max_size=4),
)
def test_nobody_is_late_for_the_sake_of_others(slacks: list[float], coming: list[float], costs: list[float]) -> None:
    measured = BatchCosts(tuple(zip((1, 2, 4, 8), costs, strict=True)))
    pause = pause_s(slacks, coming, measured)
    if pause:
        rows = min(8, len(slacks) + sum(due <= pause for due in coming))
        assert pause + measured.of(rows) < min(slacks)


# What the worker makes of it


class Live(Client):
    """A stream that tells when its next window falls due."""

    due_s: float | None = None

    def due_in_s(self) -> float | None:
        return self.due_s


def live(model: Any, *, slack: float | None = None, due_s: float | None = None) -> Live:
    client = Live(model)
    client.due_s = due_s
    if slack is not None:
        client.due.append(slack)
    return client


def test_a_window_of_another_model_or_one_that_is_waited_for_is_not_held_up() -> None:
    model, other = WholeWindow(), WholeWindow()
    urgent, coming = live(model, slack=1.0), live(model, due_s=0.01)
    for also, pause in ((None, 0.01), (live(other, slack=2.0), 0), (live(model, slack=WAITING), 0)):
        due = [urgent] if also is None else [urgent, also]
        assert pause_for_others(due, [*due, coming], DEVICE) == pause
    assert pause_for_others([live(model, slack=CATCHING_UP)], [urgent, coming], DEVICE) == 0
    assert pause_for_others([urgent], [urgent, live(other, due_s=0.01)], DEVICE) == 0
    assert pause_for_others([urgent], [urgent, live(model, due_s=None)], DEVICE) == 0
    assert pause_for_others([urgent], [urgent, coming], None) == 0
    assert pause_for_others([urgent], [urgent, Client(model)], DEVICE) == 0  # type: ignore[list-item]


def test_a_worker_waits_for_the_other_stream_and_runs_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BatchCosts, "of_runs", lambda _: DEVICE)
    model, worker = Recording(WholeWindow()), Worker(batch_size=4)
    first, second = live(model), live(model)
    waits = threading.Event()

    def due_in_s() -> float:
        waits.set()
        return 3000.0

    monkeypatch.setattr(second, "due_in_s", due_in_s)
    worker.attach(first)
    worker.attach(second)
    try:
        model.batches.clear()
        first.due.append(3600.0)
        worker.wake()
        assert waits.wait(LIMIT_S)
        second.due.append(3600.0)
        worker.wake()
        await_outcomes(worker, [first, second], 2)
        assert model.batch_sizes == [2]
        assert worker.runs_by_rows == {2: 1}
    finally:
        worker.detach(first)
        worker.detach(second)


def test_a_worker_waits_no_longer_than_the_others_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BatchCosts, "of_runs", lambda _: DEVICE)
    model, worker = Recording(WholeWindow()), Worker(batch_size=4)
    first, second = live(model), live(model)
    told = iter([0.001])
    monkeypatch.setattr(second, "due_in_s", lambda: next(told, None))
    worker.attach(first)
    worker.attach(second)
    try:
        first.due.append(3600.0)
        worker.wake()
        # The other one has nothing when the time is over, and no longer says when it will.
        await_outcomes(worker, [first], 1)
    finally:
        worker.detach(first)
        worker.detach(second)


# What a stream tells


def prepared(clock: VirtualClock) -> StemProcessor:
    processor = StemProcessor(IdentitySeparator(), realtime=True, worker=ScriptedWorker(clock), clock=clock)
    return processor.prepare(sample_rate=44_100, channels=2, max_block_frames=256)


def test_a_stream_tells_when_its_next_window_falls_due_and_how_urgent_it_is() -> None:
    clock = VirtualClock(44_100)
    with prepared(clock) as processor:
        feed = processor._pipeline._feed
        play(processor, clock, noise_of(2, 4096), blocks=256)
        # A hop of 1024 frames has just been heard, and run: the next one falls due within the fourth block from here.
        assert feed.slack_s() is None
        assert feed.due_in_s() == pytest.approx((1024 + 255) / 44_100)
        clock.advance(200)
        assert feed.due_in_s() == pytest.approx((1024 + 55) / 44_100)
        clock.advance(2000)
        assert feed.due_in_s() is None


def test_a_window_becomes_more_urgent_while_time_goes_by() -> None:
    clock = VirtualClock(44_100)
    with prepared(clock) as processor:
        feed, worker = processor._pipeline._feed, processor._worker
        play(processor, clock, noise_of(2, 4096), blocks=256)
        worker.wake = lambda: None  # type: ignore[method-assign]
        play(processor, clock, noise_of(2, 1024), blocks=256)
        slack = feed.slack_s()
        assert slack is not None
        # Due with the last frame of its hop: all of the budget is left.
        parts = processor.latency
        assert slack * 44_100 == pytest.approx(parts.dispatch_frames + parts.compute_frames)
        clock.advance(100)
        assert feed.slack_s() == pytest.approx(slack - 100 / 44_100)
