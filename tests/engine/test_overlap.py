"""Overlap-add gives what a plain sum of weighted windows gives, one hop at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.overlap import OverlapAdd
from engine.plan import WindowPlan
from tests.engine.plan_strategies import plans, windowed_plans

F64 = np.ndarray[Any, np.dtype[np.float64]]


def dense(plan: WindowPlan, outputs: dict[int, Any], frames: range) -> F64:
    """Sum whole windows, weighted by the definition, in double precision; frames nobody covers are NaN."""
    shape = next(iter(outputs.values())).shape[:-1]
    sums = np.zeros((*shape, len(frames)))
    weight_sums = np.zeros(len(frames))
    for index, output in outputs.items():
        end = (index + 1) * plan.hop_frames - plan.lookahead_frames
        begin = end - plan.delivery_frames
        for n, weight in enumerate(plan.weights().astype(np.float64)):
            if begin + n in frames:
                place = frames.index(begin + n)
                from_end = end - (begin + n) + (0 if plan.stateful else plan.lookahead_frames)
                sums[..., place] += weight * output[..., -from_end]
                weight_sums[place] += weight
    with np.errstate(invalid="ignore"):
        return sums / weight_sums


def random_outputs(plan: WindowPlan, seed: int, count: int) -> dict[int, Any]:
    rng = np.random.default_rng(seed)
    return {k: rng.normal(size=(2, 2, plan.window_frames)).astype(np.float32) for k in range(count)}


@given(plan=plans(), seed=st.integers(0, 2**32 - 1), keep=st.booleans())
def test_final_frames_are_the_normalised_sum_of_the_windows(plan: WindowPlan, seed: int, keep: bool) -> None:
    outputs = random_outputs(plan, seed, 8)
    overlap = OverlapAdd(plan, 2, 2, keep_provisional=keep)
    for index, output in outputs.items():
        overlap.add(output)
        end = plan.final_before(index)
        so_far = {k: outputs[k] for k in range(index + 1)}
        expected = dense(plan, so_far, range(end - plan.hop_frames, end))
        np.testing.assert_allclose(overlap.final, expected, rtol=0, atol=1e-5)


@given(plan=windowed_plans(), seed=st.integers(0, 2**32 - 1))
def test_provisional_frames_are_the_sum_so_far_and_then_the_look_ahead(plan: WindowPlan, seed: int) -> None:
    outputs = random_outputs(plan, seed, 6)
    overlap = OverlapAdd(plan, 2, 2)
    for index, output in outputs.items():
        overlap.add(output)
        begin, delivered = plan.final_before(index), plan.end_of(index) - plan.lookahead_frames
        so_far = {k: outputs[k] for k in range(index + 1)}
        expected = dense(plan, so_far, range(begin, delivered))
        faded = delivered - begin
        np.testing.assert_allclose(overlap.provisional[..., :faded], expected, rtol=0, atol=1e-5)
        lookahead = output[..., plan.window_frames - plan.lookahead_frames :]
        np.testing.assert_array_equal(overlap.provisional[..., faded:], lookahead)


@given(plan=plans(), seed=st.integers(0, 2**32 - 1))
def test_nothing_from_before_a_restart_is_heard_after_it(plan: WindowPlan, seed: int) -> None:
    outputs = random_outputs(plan, seed, 8)
    restarted, fresh = OverlapAdd(plan, 2, 2), OverlapAdd(plan, 2, 2)
    for index, output in outputs.items():
        if index == 4:
            restarted.restart()
        restarted.add(output)
        if index >= 4:
            fresh.add(output)
            np.testing.assert_array_equal(restarted.final, fresh.final)
            np.testing.assert_array_equal(restarted.provisional, fresh.provisional)


def test_what_is_not_finite_inside_the_look_ahead_never_becomes_final() -> None:
    plan = WindowPlan(16, 4, 5, 2, 7)
    overlap = OverlapAdd(plan, 1, 1)
    output = np.ones((1, 1, 16), np.float32)
    output[..., -5:] = np.nan
    output[..., : 16 - 5 - 7] = np.inf
    for _ in range(6):
        overlap.add(output)
        np.testing.assert_array_equal(overlap.final, 1)


def test_sums_do_not_drift_over_many_windows() -> None:
    plan = WindowPlan(40, 3, 0, 4, 40)
    overlap = OverlapAdd(plan, 1, 1)
    for _ in range(20_000):
        overlap.add(np.full((1, 1, 40), 0.1, np.float32))
    np.testing.assert_allclose(overlap.final, 0.1, rtol=1e-6)


def test_what_is_read_is_written_in_place() -> None:
    overlap = OverlapAdd(WindowPlan(16, 4, 5, 2, 7), 1, 1)
    final, provisional = overlap.final, overlap.provisional
    overlap.add(np.ones((1, 1, 16), np.float32))
    assert overlap.final is final
    assert overlap.provisional is provisional
    with pytest.raises(ValueError, match="broadcast"):
        overlap.add(np.ones((1, 1, 3), np.float32))
