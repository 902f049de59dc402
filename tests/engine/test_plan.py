"""The arithmetic of window plans: weights that sum to one, frames that are final, plans of equal latency."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConfigurationError, PlanError
from engine.overlap import OverlapAdd
from engine.plan import WindowPlan, equal_latency_plans, live_plan, offline_plan, stateful_plan
from engine.spec import ModelSpec, StateSpec
from tests.engine.plan_strategies import live_plans, plans, windowed_plans

WINDOWED = ModelSpec(
    name="windowed",
    sample_rate=44_100,
    channels=2,
    stems=("vocals", "other"),
    stateful=False,
    window_frames=1000,
    hop_frames=200,
    lookahead_frames=100,
    fade_frames=80,
)
GRANULAR = ModelSpec(
    name="granular",
    sample_rate=44_100,
    channels=2,
    stems=("vocals", "other"),
    stateful=False,
    window_frames=1024,
    hop_frames=256,
    window_granularity_frames=128,
)
STATEFUL = ModelSpec(
    name="stateful",
    sample_rate=44_100,
    channels=2,
    stems=("vocals", "other"),
    stateful=True,
    window_frames=480,
    hop_frames=480,
    lookahead_frames=96,
    states=(StateSpec("memory", (4,)),),
)


def covering_windows(plan: WindowPlan, frame: int) -> list[int]:
    """Windows whose output counts for a frame, by the definition."""
    newest = (frame + plan.reach_frames) // plan.hop_frames + 2
    ends = {k: (k + 1) * plan.hop_frames - plan.lookahead_frames for k in range(plan.first_index, newest)}
    return [k for k, end in ends.items() if end - plan.delivery_frames <= frame < end]


def constant(plan: WindowPlan, value: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.full((1, 1, plan.window_frames), value, np.float32)


def enough_windows(plan: WindowPlan) -> int:
    return plan.first_index + 2 * -(-plan.delivery_frames // plan.hop_frames) + 3


# Weights


@given(plan=plans(), restart_after=st.integers(1, 12))
def test_weights_sum_to_one_at_the_start_later_and_after_a_restart(plan: WindowPlan, restart_after: int) -> None:
    overlap = OverlapAdd(plan, 1, 1)
    for n in range(enough_windows(plan) + restart_after):
        if n == restart_after:
            overlap.restart()
        overlap.add(constant(plan, 1.0))
        np.testing.assert_allclose(overlap.final, 1.0, rtol=0, atol=1e-6)
        np.testing.assert_allclose(overlap.provisional, 1.0, rtol=0, atol=1e-6)


@given(plan=windowed_plans(), seed=st.integers(0, 2**32 - 1))
def test_a_frame_is_a_convex_combination_of_the_windows_over_it(plan: WindowPlan, seed: int) -> None:
    first, count = plan.first_index, enough_windows(plan)
    values = np.random.default_rng(seed).uniform(-1, 1, count + first + 1)
    overlap = OverlapAdd(plan, 1, 1)
    for index in range(first, first + count):
        overlap.add(constant(plan, float(values[index % len(values)])))
        begin = plan.final_before(index) - plan.hop_frames
        for n, heard in enumerate(overlap.final[0, 0]):
            if begin + n >= 0:
                over = [values[k % len(values)] for k in covering_windows(plan, begin + n)]
                assert min(over) - 1e-6 <= heard <= max(over) + 1e-6


@given(plan=windowed_plans())
def test_a_recording_that_ends_is_whole_up_to_its_last_frame(plan: WindowPlan) -> None:
    total = plan.window_frames + 1
    overlap = OverlapAdd(plan, 1, 1, keep_provisional=False)
    heard = []
    index = plan.first_index
    while plan.final_before(index) - plan.hop_frames < total:
        overlap.add(constant(plan, 1.0))
        heard.append(overlap.final[0, 0].copy())
        index += 1
    begin = plan.final_before(plan.first_index) - plan.hop_frames
    assert begin <= 0
    whole = np.concatenate(heard)[-begin:][:total]
    assert len(whole) == total
    np.testing.assert_allclose(whole, 1.0, rtol=0, atol=1e-6)


@given(plan=windowed_plans())
def test_ramps_rise_from_near_zero_and_mirror_each_other(plan: WindowPlan) -> None:
    weights = plan.weights()
    assert weights.dtype == np.float32
    assert weights.shape == (plan.delivery_frames,)
    np.testing.assert_array_equal(weights, weights[::-1])
    assert (weights > 0).all()
    assert (weights[plan.fade_frames : plan.delivery_frames - plan.fade_frames] == 1).all()
    assert (np.diff(weights[: plan.fade_frames]) > 0).all()
    if plan.fade_frames:
        assert weights[0] <= 1e-6


def test_the_fade_is_the_reference_separators_linear_one() -> None:
    np.testing.assert_allclose(WindowPlan(12, 4, 0, 5, 12).weights()[:6], [1e-6, 0.25, 0.5, 0.75, 1, 1])


# Refusals


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ((100, 0, 0, 0, 100), "hop 0 is too small"),
        ((100, 10, -1, 0, 50), "look-ahead -1 must not be negative"),
        ((100, 10, 0, -2, 50), "fade -2 and"),
        ((100, 30, 0, 21, 50), r"delivery 50 is too short: .* = 30 \+ 21"),
        ((100, 30, 51, 0, 50), "delivery 50 is too long: .* = 100 - 51"),
        ((100, 10, 0, 26, 51), "fade 26 is too long: .* 51"),
    ],
)
def test_lengths_that_do_not_fit_are_refused_by_name(lengths: tuple[int, ...], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        WindowPlan(*lengths)


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ({"window_frames": 11}, "window 11, delivery 10 and hop 10 must be equal"),
        ({"delivery_frames": 9}, "window 10, delivery 9 and hop 10"),
        ({"fade_frames": 1}, "fade 1 must be 0"),
        ({"fill": "reflect"}, "fill 'reflect' needs the future"),
    ],
)
def test_a_stateful_plan_delivers_exactly_its_hop(lengths: dict[str, Any], said: str) -> None:
    valid = {"window_frames": 10, "hop_frames": 10, "lookahead_frames": 5, "fade_frames": 0, "delivery_frames": 10}
    with pytest.raises(PlanError, match=said):
        WindowPlan(**{**valid, "stateful": True, **lengths})


def test_an_unknown_fill_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PlanError, match="fill 'mirror' is unknown: use one of zeros, reflect"):
        WindowPlan(10, 5, 0, 0, 10, fill="mirror")  # type: ignore[arg-type]


def test_a_plan_that_does_not_fit_is_a_usage_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        WindowPlan(10, 0, 0, 0, 10)
    assert caught.value.exit_code == 2


@given(
    window=st.integers(-2, 24),
    hop=st.integers(-2, 24),
    lookahead=st.integers(-2, 24),
    fade=st.integers(-2, 12),
    delivery=st.integers(-2, 24),
)
@settings(max_examples=500)
def test_exactly_the_plans_that_break_a_constraint_are_refused(
    window: int, hop: int, lookahead: int, fade: int, delivery: int
) -> None:
    fits = hop >= 1 and lookahead >= 0 and fade >= 0
    fits = fits and hop + fade <= delivery <= window - lookahead and 2 * fade <= delivery
    if fits:
        assert WindowPlan(window, hop, lookahead, fade, delivery).reach_frames == delivery + lookahead
        return
    with pytest.raises(PlanError) as caught:
        WindowPlan(window, hop, lookahead, fade, delivery)
    assert "\n" not in str(caught.value)
    assert any(str(value) in str(caught.value) for value in (hop, fade, delivery))


# Which frames are final


@given(plan=plans(), frame=st.integers(0, 500))
def test_a_frame_is_final_after_the_last_window_over_it(plan: WindowPlan, frame: int) -> None:
    index = plan.window_for(frame)
    assert index == covering_windows(plan, frame)[-1]
    assert plan.final_before(index - 1) <= frame < plan.final_before(index)


@given(plan=plans(), index=st.integers(0, 60))
def test_final_frames_move_on_by_one_hop_a_window(plan: WindowPlan, index: int) -> None:
    assert plan.final_before(index + 1) - plan.final_before(index) == plan.hop_frames
    assert plan.window_for(plan.final_before(index)) == index + 1
    assert plan.window_for(plan.final_before(index) - 1) == index
    assert plan.end_of(index) == (index + 1) * plan.hop_frames


@given(plan=plans())
def test_the_first_window_is_the_first_that_says_anything_about_frame_zero_or_later(plan: WindowPlan) -> None:
    first = plan.first_index
    delivered_end = plan.end_of(first) - plan.lookahead_frames
    if plan.stateful:
        assert first == 0
    else:
        assert delivered_end - plan.hop_frames <= 0 < delivered_end
    assert first <= plan.window_for(0)


@given(plan=plans())
def test_provisional_frames_fill_the_space_from_the_final_ones_to_what_was_heard(plan: WindowPlan) -> None:
    known = plan.final_before(7) + plan.provisional_frames
    assert known == (plan.final_before(7) if plan.stateful else plan.end_of(7))


# Plans made for a model


def test_a_live_plan_takes_what_the_model_recommends() -> None:
    assert live_plan(WINDOWED) == WindowPlan(1000, 200, 100, 80, 280)


def test_a_live_plan_shortens_the_recommended_fade_to_the_hop_and_to_the_window() -> None:
    assert live_plan(WINDOWED, hop_frames=50).fade_frames == 50
    assert live_plan(WINDOWED, hop_frames=880).fade_frames == 20
    assert live_plan(WINDOWED, hop_frames=900).fade_frames == 0


@given(hop=st.integers(1, 900), lookahead=st.integers(0, 900))
def test_a_live_plan_delivers_one_hop_and_one_fade(hop: int, lookahead: int) -> None:
    if hop + lookahead > WINDOWED.window_frames:
        with pytest.raises(PlanError, match=f"delivery {hop} is too long"):
            live_plan(WINDOWED, hop_frames=hop, lookahead_frames=lookahead)
        return
    plan = live_plan(WINDOWED, hop_frames=hop, lookahead_frames=lookahead)
    assert plan.fill == "zeros"
    assert plan.delivery_frames == plan.hop_frames + plan.fade_frames
    assert plan.fade_frames <= min(plan.hop_frames, WINDOWED.fade_frames)


def test_a_live_fade_longer_than_the_hop_is_refused() -> None:
    with pytest.raises(PlanError, match="fade 51 is longer than the hop of 50"):
        live_plan(WINDOWED, hop_frames=50, fade_frames=51)


@pytest.mark.parametrize("make", [live_plan, offline_plan])
def test_other_windows_are_for_models_that_take_them(make: Any) -> None:
    assert make(WINDOWED, window_frames=1000).window_frames == 1000
    assert make(GRANULAR, window_frames=640).window_frames == 640
    with pytest.raises(PlanError, match="window 640 cannot be used: model 'windowed' takes 1000 frames only"):
        make(WINDOWED, window_frames=640)
    for length in (0, -128, 650):
        with pytest.raises(PlanError, match=f"window {length} cannot be used: .* multiples of 128"):
            make(GRANULAR, window_frames=length)


@pytest.mark.parametrize("overlap", [1, 2, 3, 4, 7, 8, 1000])
def test_an_offline_plan_puts_every_frame_into_that_many_windows(overlap: int) -> None:
    plan = offline_plan(WINDOWED, overlap=overlap)
    assert plan.hop_frames == 1000 // overlap
    assert plan.delivery_frames == plan.window_frames
    assert plan.lookahead_frames == 0
    assert plan.fade_frames == min(100, 1000 - plan.hop_frames)
    counts = {len(covering_windows(plan, frame)) for frame in range(2000, 2000 + plan.hop_frames)}
    assert counts <= {overlap, overlap + 1}


def test_an_offline_plan_overlaps_four_times_and_reflects_unless_told() -> None:
    plan = offline_plan(WINDOWED)
    assert (plan.hop_frames, plan.fill) == (250, "reflect")
    assert offline_plan(WINDOWED, fill="zeros").fill == "zeros"


def test_a_model_may_recommend_another_overlap() -> None:
    eight = replace(WINDOWED, overlap=8)
    assert offline_plan(eight).hop_frames == 125
    assert offline_plan(eight, overlap=2).hop_frames == 500


@pytest.mark.parametrize("overlap", [0, -1, 1001])
def test_an_overlap_out_of_range_is_refused(overlap: int) -> None:
    with pytest.raises(PlanError, match=f"overlap {overlap} is out of range: it must be from 1 to the window's 1000"):
        offline_plan(WINDOWED, overlap=overlap)


@pytest.mark.parametrize("overlap", [2.5, 2.0, "2", True, [2]])
@pytest.mark.parametrize("spec", [WINDOWED, STATEFUL])
def test_an_overlap_that_is_no_whole_number_is_refused(spec: ModelSpec, overlap: Any) -> None:
    with pytest.raises(PlanError, match=r"overlap .* cannot be used: it must be a whole number from 1"):
        offline_plan(spec, overlap=overlap)


def test_an_overlap_may_be_a_number_of_numpys() -> None:
    assert offline_plan(WINDOWED, overlap=np.int64(2)) == offline_plan(WINDOWED, overlap=2)  # type: ignore[arg-type]


def test_a_stateful_model_has_one_plan() -> None:
    plan = WindowPlan(480, 480, 96, 0, 480, stateful=True)
    assert stateful_plan(STATEFUL) == live_plan(STATEFUL) == offline_plan(STATEFUL) == plan
    assert offline_plan(STATEFUL, overlap=1) == plan
    with pytest.raises(PlanError, match="overlap 2 makes no sense for 'stateful'"):
        offline_plan(STATEFUL, overlap=2)
    for name in ("hop_frames", "lookahead_frames", "fade_frames", "window_frames"):
        with pytest.raises(PlanError, match="'stateful' is stateful and has one plan"):
            live_plan(STATEFUL, **{name: 0})


# Plans of equal latency


@given(plan=live_plans(), slack=st.integers(0, 120), needed=st.integers(0, 120))
def test_plans_of_equal_latency_are_those_that_keep_the_sum_and_fit(plan: WindowPlan, slack: int, needed: int) -> None:
    found = equal_latency_plans(plan, slack, needed)
    for other in found:
        assert other.hop_frames > plan.hop_frames
        assert other.fade_frames == plan.fade_frames
        assert other.window_frames == plan.window_frames
        assert other.delivery_frames == other.hop_frames + other.fade_frames
        assert 0 <= other.lookahead_frames <= plan.lookahead_frames
        # What hop and look-ahead leave of the same sum is the slack that the other plan has.
        kept = plan.hop_frames + plan.lookahead_frames + slack - other.hop_frames - other.lookahead_frames
        assert kept >= needed
    expected = []
    for hop in range(2 * plan.hop_frames, plan.window_frames + 1, plan.hop_frames):
        lookahead = min(plan.lookahead_frames, plan.hop_frames + plan.lookahead_frames + slack - needed - hop)
        if lookahead >= 0 and hop + lookahead + plan.fade_frames <= plan.window_frames:
            expected.append((hop, lookahead))
    assert [(other.hop_frames, other.lookahead_frames) for other in found] == expected


def test_a_longer_hop_first_uses_spare_slack_and_then_look_ahead() -> None:
    plan = WindowPlan(1000, 100, 250, 50, 150)
    longer = equal_latency_plans(plan, slack_frames=260, needed_slack_frames=110)
    assert [(p.hop_frames, p.lookahead_frames) for p in longer] == [(200, 250), (300, 200), (400, 100), (500, 0)]


def test_slack_that_became_too_short_is_made_up_from_the_look_ahead() -> None:
    plan = WindowPlan(1000, 100, 250, 50, 150)
    longer = equal_latency_plans(plan, slack_frames=110, needed_slack_frames=150)
    assert [(p.hop_frames, p.lookahead_frames) for p in longer] == [(200, 110), (300, 10)]


def test_plans_of_equal_latency_are_for_live_windowed_plans() -> None:
    assert equal_latency_plans(stateful_plan(STATEFUL), 10_000, 0) == ()
    assert equal_latency_plans(offline_plan(WINDOWED), 10_000, 0) == ()
