"""The rate bridge keeps two absolute axes: nothing comes later than promised, nothing lands in the wrong place."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.resample import RateBridge, grid_step, hold_back_frames

F32 = npt.NDArray[np.float32]
RATES = (8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
SOME_PAIRS = [(48_000, 44_100), (44_100, 48_000), (16_000, 44_100), (96_000, 44_100), (44_100, 8000)]


def sine(frames: int, rate: int, hz: float, start: int = 0) -> F32:
    time = (start + np.arange(frames)) / rate
    return np.sin(2 * np.pi * hz * time + np.array([[0.0], [0.7]])).astype(np.float32)


def feed_all(bridge: RateBridge, audio: F32, lengths: Any) -> None:
    done, lengths = 0, itertools.cycle(lengths)
    while done < audio.shape[1]:
        block = audio[:, done : done + next(lengths)]
        bridge.feed(block)
        done += block.shape[1]


def take_all(bridge: RateBridge, channels: int = 2) -> F32:
    out = np.full((channels, bridge.available - bridge.taken), np.nan, np.float32)
    bridge.take(out)
    return out


# What is held back


@pytest.mark.parametrize(("from_rate", "to_rate"), list(itertools.permutations(RATES, 2)))
def test_no_output_is_held_back_for_longer_than_promised(from_rate: int, to_rate: int) -> None:
    rng = np.random.default_rng(from_rate + to_rate)
    hold = hold_back_frames(from_rate, to_rate)
    bridge = RateBridge(from_rate, to_rate, 1, 4096)
    restarts = (0, int(rng.integers(1, 1 << 30)))
    for restart in restarts:
        begin = bridge.restart(restart)
        while bridge.fed < begin + 3 * hold + 3000:
            longest = int(rng.choice([1, 7, 64, 700]))
            bridge.feed(np.zeros((1, int(rng.integers(1, longest + 1))), np.float32))
            assert bridge.available >= (bridge.fed - hold) * to_rate // from_rate
            # What came early stays within the room that was allocated for it.
            assert bridge.available <= -(-bridge.fed * to_rate // from_rate) + 1
            take_all(bridge, 1)


@pytest.mark.parametrize(("from_rate", "to_rate"), SOME_PAIRS)
def test_the_axes_stay_together_over_a_long_stream(from_rate: int, to_rate: int) -> None:
    hold = hold_back_frames(from_rate, to_rate)
    bridge = RateBridge(from_rate, to_rate, 1, 8192)
    block = np.zeros((1, 8191), np.float32)
    for _ in range(150):
        bridge.feed(block)
        assert bridge.available >= (bridge.fed - hold) * to_rate // from_rate
        assert bridge.available <= -(-bridge.fed * to_rate // from_rate) + 1
        take_all(bridge, 1)


@pytest.mark.parametrize(("from_rate", "to_rate"), SOME_PAIRS)
def test_no_more_is_promised_to_be_held_back_than_it_takes(from_rate: int, to_rate: int) -> None:
    bridge, longest = RateBridge(from_rate, to_rate, 1, 64), 0
    for n in [*range(1, 65)] * 4:
        bridge.feed(np.zeros((1, n), np.float32))
        whole = ((bridge.available + 1) * from_rate - 1) // to_rate
        longest = max(longest, bridge.fed - whole)
        bridge.skip(1 << 20)
    assert longest <= hold_back_frames(from_rate, to_rate) <= 1.06 * longest + 1


# Where the output lies


@pytest.mark.parametrize(("from_rate", "to_rate"), [*SOME_PAIRS, (192_000, 8000), (8000, 192_000)])
def test_an_impulse_lands_at_its_own_time_and_is_symmetric(from_rate: int, to_rate: int) -> None:
    from_step, to_step = grid_step(from_rate, to_rate)
    hold = hold_back_frames(from_rate, to_rate)
    periods = -(-2 * hold // from_step)
    audio = np.zeros((2, 2 * periods * from_step + 2 * hold), np.float32)
    audio[:, periods * from_step] = 1.0
    bridge = RateBridge(from_rate, to_rate, 2, 512)
    feed_all(bridge, audio, [512])
    out = take_all(bridge)
    peak = periods * to_step
    assert np.argmax(out[0]) == peak
    side = min(peak, 40)
    before, after = out[:, peak - side : peak], out[:, peak + 1 : peak + 1 + side]
    np.testing.assert_allclose(before, after[:, ::-1], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("from_rate", "to_rate"), [*SOME_PAIRS, (44_101, 44_099), (192_000, 11_025)])
def test_a_sine_comes_out_at_its_own_time(from_rate: int, to_rate: int) -> None:
    hz = 0.2 * min(from_rate, to_rate)
    bridge = RateBridge(from_rate, to_rate, 2, 1000)
    feed_all(bridge, sine(from_rate // 4, from_rate, hz), [999, 1, 37, 480])
    out = take_all(bridge)
    edge = int(2 * hold_back_frames(from_rate, to_rate) * max(1, to_rate / from_rate))
    np.testing.assert_allclose(out[:, edge:], sine(out.shape[1], to_rate, hz)[:, edge:], rtol=0, atol=3e-4)


@given(
    pair=st.sampled_from(SOME_PAIRS),
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=12),
    takes=st.lists(st.integers(0, 200), min_size=1, max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_it_does_not_matter_how_input_and_output_are_cut(
    pair: tuple[int, int], lengths: list[int], takes: list[int]
) -> None:
    audio = np.random.default_rng(1).uniform(-1, 1, (2, 3000)).astype(np.float32)
    whole = RateBridge(*pair, 2, 3000)
    whole.feed(audio)
    expected = take_all(whole)
    bridge, parts, done, wanted = RateBridge(*pair, 2, 300), [], 0, itertools.cycle(takes)
    cuts = itertools.cycle(lengths)
    while done < audio.shape[1]:
        block = audio[:, done : done + next(cuts)]
        bridge.feed(block)
        done += block.shape[1]
        part = np.full((2, min(next(wanted), bridge.available - bridge.taken)), np.nan, np.float32)
        bridge.take(part)
        parts.append(part)
    parts.append(take_all(bridge))
    out = np.concatenate(parts, axis=1)
    n = min(out.shape[1], expected.shape[1])
    assert n >= (audio.shape[1] - hold_back_frames(*pair)) * pair[1] // pair[0]
    np.testing.assert_allclose(out[:, :n], expected[:, :n], rtol=0, atol=2e-5)


# Arithmetic


def test_positions_are_counted_on_both_axes() -> None:
    bridge = RateBridge(48_000, 44_100, 2, 1000)
    assert (bridge.fed, bridge.taken, bridge.available) == (0, 0, 0)
    bridge.feed(np.ones((2, 1000), np.float32))
    assert (bridge.fed, bridge.taken) == (1000, 0)
    available = bridge.available
    bridge.take(np.zeros((2, 100), np.float32))
    assert (bridge.taken, bridge.available) == (100, available)
    bridge.skip(50)
    assert (bridge.taken, bridge.available) == (150, available)
    bridge.skip(1 << 20)
    assert (bridge.taken, bridge.available) == (available, available)
    bridge.feed_zeros(2500)
    assert bridge.fed == 3500
    assert bridge.available > available


def test_frames_are_taken_in_order_and_once() -> None:
    audio = np.random.default_rng(1).uniform(-1, 1, (2, 1000)).astype(np.float32)
    bridges = [RateBridge(16_000, 44_100, 2, 1000) for _ in range(2)]
    for bridge in bridges:
        bridge.feed(audio)
    whole = take_all(bridges[0])
    first = np.zeros((2, 300), np.float32)
    bridges[1].take(first)
    bridges[1].skip(200)
    np.testing.assert_array_equal(first, whole[:, :300])
    np.testing.assert_array_equal(take_all(bridges[1]), whole[:, 500:])


def test_zeros_fed_by_number_are_the_zeros_fed_as_frames() -> None:
    bridges = [RateBridge(48_000, 44_100, 2, 600) for _ in range(2)]
    for bridge in bridges:
        bridge.feed(np.ones((2, 600), np.float32))
    bridges[0].feed_zeros(1500)
    for n in (600, 600, 300):
        bridges[1].feed(np.zeros((2, n), np.float32))
    assert bridges[0].fed == bridges[1].fed
    np.testing.assert_array_equal(take_all(bridges[0]), take_all(bridges[1]))


@pytest.mark.parametrize(
    ("from_rate", "to_rate", "step"),
    [(48_000, 44_100, (160, 147)), (44_100, 48_000, (147, 160)), (16_000, 48_000, (1, 3)), (44_101, 44_100, None)],
)
def test_both_axes_have_a_frame_every_common_step(from_rate: int, to_rate: int, step: Any) -> None:
    found = grid_step(from_rate, to_rate)
    assert found == (step or (from_rate, to_rate))
    assert found[0] * to_rate == found[1] * from_rate


# Restarts


@given(pair=st.sampled_from(SOME_PAIRS), frame=st.integers(0, 1 << 40), before=st.integers(0, 700))
@settings(max_examples=60, deadline=None)
def test_a_restart_lands_on_the_common_grid_shortly_before(pair: tuple[int, int], frame: int, before: int) -> None:
    bridge = RateBridge(*pair, 2, 700)
    bridge.feed(np.ones((2, before), np.float32))
    fed = bridge.restart(frame)
    assert fed == bridge.fed
    assert frame - grid_step(*pair)[0] < fed <= frame
    assert bridge.taken * pair[0] == fed * pair[1]
    assert bridge.available == bridge.taken


@pytest.mark.parametrize(("from_rate", "to_rate"), SOME_PAIRS)
@pytest.mark.parametrize("restart_at", [5000, 7321])
def test_a_restarted_stream_goes_on_in_time(from_rate: int, to_rate: int, restart_at: int) -> None:
    audio = sine(20_000, from_rate, 0.2 * min(from_rate, to_rate))
    through, restarted = (RateBridge(from_rate, to_rate, 2, 256) for _ in range(2))
    feed_all(through, audio, [256])
    expected = take_all(through)
    feed_all(restarted, audio[:, :4000], [256])
    fed = restarted.restart(restart_at)
    first = restarted.taken
    feed_all(restarted, audio[:, fed:], [100])
    out = take_all(restarted)
    # The filter heard silence before the seam, so it is right from the hold-back past it.
    seam = -(-(fed + hold_back_frames(from_rate, to_rate)) * to_rate // from_rate) - first
    n = min(first + out.shape[1], expected.shape[1])
    assert n > first + seam + 300
    np.testing.assert_allclose(out[:, seam : n - first], expected[:, first + seam : n], rtol=0, atol=2e-5)


def test_nothing_from_before_a_restart_is_heard_after_it() -> None:
    used, fresh = (RateBridge(48_000, 44_100, 2, 512) for _ in range(2))
    used.feed(np.full((2, 512), 100, np.float32))
    audio = np.random.default_rng(1).uniform(-1, 1, (2, 512)).astype(np.float32)
    for bridge in (used, fresh):
        bridge.restart(0)
        bridge.feed(audio)
    np.testing.assert_array_equal(take_all(used), take_all(fresh))


# Previews


@pytest.mark.parametrize(("from_rate", "to_rate"), SOME_PAIRS)
def test_a_preview_gives_what_would_come_and_leaves_the_stream_as_it_was(from_rate: int, to_rate: int) -> None:
    rng = np.random.default_rng(1)
    audio = rng.uniform(-1, 1, (2, 4000)).astype(np.float32)
    disturbed, quiet, ahead = (RateBridge(from_rate, to_rate, 2, 800) for _ in range(3))
    for done in range(0, 3200, 400):
        block = audio[:, done : done + 400]
        for bridge in (disturbed, quiet):
            bridge.feed(block)
        positions = disturbed.fed, disturbed.taken, disturbed.available
        next_frames = rng.uniform(-1, 1, (2, 700)).astype(np.float32)
        out = np.full((2, 9000), np.nan, np.float32)
        given = disturbed.preview(next_frames, out)
        assert (disturbed.fed, disturbed.taken, disturbed.available) == positions
        certain = (disturbed.fed + 700 - hold_back_frames(from_rate, to_rate)) * to_rate // from_rate
        assert given >= certain - disturbed.taken
        assert np.isnan(out[:, given:]).all()
        # Another bridge that really takes the same frames gives the same.
        ahead.restart(0)
        feed_all(ahead, np.concatenate([audio[:, : done + 400], next_frames], axis=1), [400])
        ahead.skip(positions[1])
        np.testing.assert_allclose(out[:, :given], take_all(ahead)[:, :given], rtol=0, atol=2e-5)
        if done % 800:
            np.testing.assert_array_equal(take_all(disturbed), take_all(quiet))


def test_a_preview_fills_no_more_than_it_is_given() -> None:
    bridge = RateBridge(44_100, 48_000, 2, 1000)
    bridge.feed(np.ones((2, 1000), np.float32))
    ready = bridge.available
    for n in (0, 10, ready, ready + 5):
        out = np.full((2, n), np.nan, np.float32)
        assert bridge.preview(np.ones((2, 500), np.float32), out) == n
        assert not np.isnan(out).any()
    assert bridge.available == ready
