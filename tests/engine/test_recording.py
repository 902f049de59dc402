"""What a recording holds between those who feed it, the worker, and those who drain it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.offline_model import OfflineModel
from engine.plan import offline_plan
from engine.recording import Recording
from engine.separator import F32, Runner
from tests.engine.told_models import WholeWindow

LONG = {"window_frames": 32_768, "hop_frames": 16_384}


class Idle:
    """A worker that does nothing: the test runs the windows."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size

    def wake(self) -> None:
        pass

    def nudge(self) -> None:
        pass

    def wait(self, until: Callable[[], bool], timeout_s: float | None = None) -> bool:
        return until()


def recording(batch_size: int, **lengths: int) -> tuple[Recording, Runner]:
    model: Any = OfflineModel(WholeWindow(**lengths))
    worker: Any = Idle(batch_size)
    return Recording(model, offline_plan(model.spec), 2, worker), model.runner(batch_size, model.spec.window_frames)


def feed_all_it_takes(track: Recording) -> int:
    audio, total = np.ones((2, 1000), np.float32), 0
    while n := track.feed(audio):
        total += n
    return total


def run_batch(track: Recording, runner: Runner) -> int:
    rows = 0
    while rows < runner.batch_size and track.load(runner, rows):
        rows += 1
    if rows:
        runner.run(rows)
    for row in range(rows):
        track.store(runner, row, 0.0)
    return rows


@pytest.mark.parametrize("batch_size", [1, 2, 4, 8])
@pytest.mark.parametrize("lengths", [{}, LONG])
def test_a_second_batch_is_full_although_nothing_of_the_first_was_taken(
    batch_size: int, lengths: dict[str, int]
) -> None:
    track, runner = recording(batch_size, **lengths)
    feed_all_it_takes(track)
    assert [run_batch(track, runner), run_batch(track, runner)] == [batch_size, batch_size]


@pytest.mark.parametrize("lengths", [{}, LONG])
def test_it_takes_a_bounded_number_of_frames_and_more_once_some_were_drained(lengths: dict[str, int]) -> None:
    track, runner = recording(2, **lengths)
    taken = feed_all_it_takes(track)
    assert track.feed(np.ones((2, 1), np.float32)) == 0
    while run_batch(track, runner):
        pass
    ready = track.ready_frames
    assert 0 < ready < taken
    track.drain(np.zeros((track.rows, 2, ready), np.float32))
    assert feed_all_it_takes(track) == ready


def test_short_hops_are_given_in_pieces_that_are_worth_a_turn() -> None:
    track, runner = recording(1)
    feed_all_it_takes(track)
    pieces: list[int] = []
    while run_batch(track, runner):
        if track.ready_frames:
            out: F32 = np.zeros((track.rows, 2, track.ready_frames), np.float32)
            pieces.append(out.shape[-1])
            track.drain(out)
    assert min(pieces) >= 8192
    track.end()
    while run_batch(track, runner):
        pass
    # The rest is given whatever it is.
    assert 0 < track.ready_frames < 8192


def test_whoever_is_in_a_hurry_gets_what_each_window_gives() -> None:
    model: Any = OfflineModel(WholeWindow())
    worker: Any = Idle(1)
    plan = offline_plan(model.spec)
    track = Recording(model, plan, 2, worker, is_prompt=True)
    runner = model.runner(1, model.spec.window_frames)
    feed_all_it_takes(track)
    pieces: list[int] = []
    while run_batch(track, runner):
        if track.ready_frames:
            out: F32 = np.zeros((track.rows, 2, track.ready_frames), np.float32)
            pieces.append(out.shape[-1])
            track.drain(out)
    assert plan.hop_frames < 8192
    assert set(pieces) == {plan.hop_frames}
