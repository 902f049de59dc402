"""Windows that are added up on a device give, bit for bit, what NumPy makes of them; the processor stands in for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.backends.torch_overlap import DeviceOverlapAdd
from engine.overlap import OverlapAdd
from engine.plan import WindowPlan
from tests.engine.plan_strategies import plans

CPU = torch.device("cpu")


def pair(plan: WindowPlan, *, keep: bool = True) -> tuple[OverlapAdd, DeviceOverlapAdd]:
    return OverlapAdd(plan, 2, 2, keep_provisional=keep), DeviceOverlapAdd(
        plan, 2, 2, device=CPU, keep_provisional=keep
    )


@given(plan=plans(), seed=st.integers(0, 2**32 - 1), keep=st.booleans())
def test_final_and_provisional_frames_are_the_same_bits(plan: WindowPlan, seed: int, keep: bool) -> None:
    plain, ours = pair(plan, keep=keep)
    rng = np.random.default_rng(seed)
    for index in range(8):
        if index == 5:
            plain.restart()
            ours.restart()
        output = rng.normal(size=(2, 2, plan.window_frames)).astype(np.float32)
        plain.add(output)
        ours.add(torch.from_numpy(output))
        np.testing.assert_array_equal(ours.final.view(np.uint32), plain.final.view(np.uint32))
        np.testing.assert_array_equal(ours.provisional.view(np.uint32), plain.provisional.view(np.uint32))


@given(plan=plans(), data=st.data(), value=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_both_see_the_same_values_that_are_not_finite(plan: WindowPlan, data: st.DataObject, value: float) -> None:
    plain, ours = pair(plan)
    output = np.ones((2, 2, plan.window_frames), np.float32)
    for place in data.draw(st.lists(st.integers(0, plan.window_frames - 1), max_size=2)):
        output[data.draw(st.integers(0, 1)), 1, place] = value
    assert ours.look(torch.from_numpy(output)) == plain.look(output)


def test_what_is_read_is_written_in_place_and_a_look_changes_nothing() -> None:
    _, ours = pair(WindowPlan(16, 4, 5, 2, 7))
    final, provisional = ours.final, ours.provisional
    ours.add(torch.ones(2, 2, 16))
    assert (ours.final is final, ours.provisional is provisional) == (True, True)
    assert ours.look(torch.full((2, 2, 16), np.nan)) == (False, False)
    np.testing.assert_array_equal(final, 1)


@pytest.mark.parametrize("stateful", [False, True])
def test_provisional_frames_that_nobody_plays_are_not_copied(stateful: bool) -> None:
    plan = WindowPlan(16, 16, 5, 0, 16, stateful=True) if stateful else WindowPlan(16, 4, 5, 2, 7)
    _, ours = pair(plan, keep=False)
    ours.add(torch.ones(2, 2, 16))
    assert not ours.provisional.any()
