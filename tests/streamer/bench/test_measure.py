"""Pairs: each run directly beside one of the baseline, and what is made of them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from streamer.bench.figures import Measured, Row
from streamer.bench.measure import measure
from streamer.bench.process import RowFailure
from tests.streamer.bench.scripted import Script, Task, is_baseline

BASELINE = {"kind": "windows", "model": {"backend": "baseline"}}


def row(name: str, **options: Any) -> Row:
    return Row(name, {"kind": "windows", "name": name}, baseline=BASELINE, **options)


def who(script: Script) -> list[str]:
    return ["baseline" if is_baseline(task) else task["name"] for task, _ in script.ran]


def test_every_run_is_directly_beside_one_of_the_baseline_that_it_shares_with_no_other() -> None:
    script = Script()
    measure([row("a"), row("b")], script, rounds=3)
    ran = who(script)
    pairs = [set(ran[n : n + 2]) for n in range(0, len(ran), 2)]
    assert pairs == 3 * [{"baseline", "a"}] + 3 * [{"baseline", "b"}]


def test_either_is_first_in_turn() -> None:
    script = Script()
    measure([row("a")], script, rounds=4)
    assert who(script) == ["baseline", "a", "a", "baseline", "baseline", "a", "a", "baseline"]


def test_the_ratio_is_the_median_of_those_within_the_pairs() -> None:
    taken = {"baseline": iter([2.0, 20.0, 3.0]), "a": iter([1.0, 5.0, 3.0])}
    script = Script(lambda task, run: next(taken["baseline" if is_baseline(task) else "a"]))
    measured = measure([row("a")], script, rounds=3)[row("a").key]
    assert measured.ratios() == [2.0, 4.0, 1.0]
    assert measured.ratio() == 2.0
    # Not that of the medians, 3 by 3: pairs are what other load meets alike.
    assert measured.baseline_value("cost") / measured.value("cost") == 1.0


def test_the_baseline_beside_itself_is_two_processes_of_one_task() -> None:
    script = Script()
    control = Row("control", BASELINE, baseline=BASELINE)
    assert measure([control], script, rounds=3)[control.key].ratio() == 1.0
    assert len(script.ran) == 6


def test_what_is_asked_for_twice_is_measured_once() -> None:
    script = Script()
    assert list(measure([row("a"), row("a")], script, rounds=1)) == [row("a").key]
    assert len(script.ran) == 2


def test_a_row_says_how_often_it_runs_and_what_a_run_is() -> None:
    script = Script()
    measure([row("a", rounds=1, run={"batch": 4}, baseline_run={"batch": 2})], script, rounds=5)
    assert [run for _, run in script.ran] == [{"batch": 2}, {"batch": 4}]


def test_only_one_row_and_its_baseline_are_in_memory() -> None:
    script = Script()
    most = []
    script.cost = lambda task, run: most.append(script.open) or 1.0
    measure([row("a"), row("b"), row("c")], script, rounds=1)
    assert max(most) == 2
    assert script.open == 0


def test_a_row_that_is_ruled_out_or_fails_has_its_reason_and_the_others_go_on() -> None:
    def cost(task: Task, run: Task) -> float:
        if task.get("name") == "b":
            raise RowFailure("no such device")
        return 1.0

    told: list[str] = []
    rows = [row("a", why_not="no time"), row("b"), row("c")]
    measured = measure(rows, Script(cost), rounds=2, tell=told.append)
    assert [measured[each.key].fault for each in rows] == ["no time", "no such device", ""]
    assert math.isnan(measured[rows[1].key].ratio())
    assert measured[rows[2].key].ratio() == 1.0
    assert "b does not run: no such device" in told


def test_without_a_baseline_its_rows_have_no_figures() -> None:
    def cost(task: Task, run: Task) -> float:
        if is_baseline(task):
            raise RowFailure("too large")
        return 1.0

    (measured,) = measure([row("a")], Script(cost), rounds=2).values()
    assert (measured.fault, measured.runs) == ("the baseline does not run: too large", [])


def test_interrupted_it_keeps_what_was_measured_and_ends_every_process() -> None:
    def cost(task: Task, run: Task) -> float:
        if task.get("name") == "b":
            raise KeyboardInterrupt
        return 1.0

    script, done = Script(cost), dict[str, Measured]()
    with pytest.raises(KeyboardInterrupt):
        measure([row("a"), row("b"), row("c")], script, rounds=1, done=done)
    assert [each.fault for each in done.values()] == ["", *2 * ["not reached: interrupted"]]
    assert (len(done[row("a").key].runs), script.open) == (1, 0)
