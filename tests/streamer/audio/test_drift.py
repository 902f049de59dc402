"""The drift controller holds its place to a millisecond for hours, by counters alone, and bends the pitch unheard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from streamer.audio.device_clock import DeviceClock
from streamer.audio.drift import MAX_DRIFT, DriftController

F64 = npt.NDArray[np.float64]
HOUR_S, LOCK_S = 3600.0, 0.5
REACH_FRAMES = 48


@dataclass(frozen=True)
class Ride:
    """What became of a reader that a controller led: one entry a block."""

    moments_s: F64
    off_s: F64
    """By how much the reader was behind the place where it belongs by the true clocks."""
    cents: F64
    """By how much its speed was off that of the true clocks."""
    spare_frames: F64
    """Frames of the input that were there beyond what it needed."""
    jumps: int
    ppm: float


def steady(ppm: float) -> Callable[[F64], F64]:
    """Tell how far a clock that is off by so much has run ahead of true time."""
    return lambda moments_s: 1e-6 * ppm * moments_s


def wandering(ppm: float, period_s: float) -> Callable[[F64], F64]:
    """Tell the same of a clock that warms up and cools down."""
    turn = 2 * np.pi / period_s
    return lambda moments_s: 1e-6 * ppm * (1 - np.cos(turn * moments_s)) / turn


def counts(moments_s: F64, rate: int, period: int, ahead: Callable[[F64], F64], jitter_s: float, seed: int) -> F64:
    """Give what a device's count is at each moment."""
    random = np.random.default_rng(seed)
    total = int(moments_s[-1] * rate * 1.001) // period
    grid = np.arange(1, total + 1) * period / rate
    # The moment at which the device's own clock shows a time: its drift is small, so one step finds it.
    due = grid - ahead(grid)
    came = np.maximum.accumulate(due + jitter_s * random.random(total))
    return (period * np.searchsorted(came, moments_s, "right")).astype(np.float64)


def ride(
    *,
    seconds: float,
    rates: tuple[int, int] = (48_000, 48_000),
    periods: tuple[int, int],
    ahead: Callable[[F64], F64],
    jitter_s: float = 0.0,
    look_s: float = 0.002,
) -> Ride:
    """Lead a reader by what somebody sees who looks at two counts every now and then."""
    random = np.random.default_rng(3)
    looks = np.cumsum(random.uniform(0.2 * look_s, 1.8 * look_s, int(seconds / look_s)))
    captured = counts(looks, rates[0], periods[0], ahead, jitter_s, 1)
    played = counts(looks, rates[1], periods[1], steady(0.0), jitter_s, 2)
    moved = (np.diff(captured) > 0) | (np.diff(played) > 0)
    # Looks that see nothing move tell nothing but when the last one was.
    kept = np.flatnonzero(np.append(moved, False) | np.insert(moved, 0, False))
    period_s = periods[0] / rates[0]
    delay_s = period_s + REACH_FRAMES / rates[0] + jitter_s + 0.003
    controller = DriftController(*rates, delay_s=delay_s)
    block = periods[1]
    taken, place = -1, 0.0
    rows = []
    for k, now in zip(kept.tolist(), looks[kept].tolist(), strict=True):
        controller.look(now, int(captured[k]), int(played[k]))
        if now < LOCK_S:
            continue
        if taken < 0:
            taken = int(played[k])
            place = controller.place_of(taken)
        while taken + block <= played[k]:
            assert not controller.has_left(place, taken)
            step = controller.step(place, taken)
            rows.append((taken / rates[1], place, step, captured[k] - (place + block * step + REACH_FRAMES)))
            place += step * block
            taken += block
    moments_s, places, steps, spare = np.array(rows).T
    due_s = moments_s - delay_s
    true = rates[0] * (due_s + ahead(due_s))
    speed = rates[0] / rates[1] * (1 + np.gradient(ahead(moments_s), moments_s))
    return Ride(
        moments_s,
        (true - places) / rates[0],
        1200 * np.log2(steps / speed),
        spare,
        controller.stats.jumps + controller.input.jumps + controller.output.jumps,
        controller.stats.ppm,
    )


@pytest.mark.parametrize(
    ("ahead", "rates", "periods"),
    [
        (steady(200.0), (48_000, 48_000), (1024, 960)),
        (steady(-200.0), (44_100, 48_000), (882, 1024)),
        (steady(0.0), (48_000, 48_000), (1024, 1024)),
        (wandering(200.0, 1200.0), (48_000, 48_000), (960, 1024)),
    ],
    ids=["fast", "slow", "equal", "wandering"],
)
def test_an_hour_stays_within_a_millisecond_without_an_xrun(
    ahead: Callable[[F64], F64], rates: tuple[int, int], periods: tuple[int, int]
) -> None:
    done = ride(seconds=HOUR_S, rates=rates, periods=periods, ahead=ahead)
    assert done.moments_s[-1] > HOUR_S - 20
    assert np.abs(done.off_s).max() <= 0.001
    assert np.abs(done.off_s[done.moments_s > 30]).max() <= 0.0005
    assert np.abs(done.cents).max() < 1.0
    assert np.abs(done.cents[done.moments_s > 20]).max() < 0.25
    assert done.spare_frames.min() >= 0
    assert done.spare_frames.max() < 2 * periods[0] + 0.005 * rates[0]
    assert done.jumps == 0


@pytest.mark.parametrize("ppm", [200.0, -200.0])
@pytest.mark.parametrize(
    ("rates", "periods"),
    [
        ((48_000, 48_000), (256, 480)),
        ((48_000, 48_000), (128, 1024)),
        ((44_100, 48_000), (441, 512)),
        ((48_000, 48_000), (256, 256)),
    ],
)
@pytest.mark.parametrize("jitter_s", [0.0, 0.001])
def test_two_minutes_with_short_periods_stay_within_a_millisecond(
    rates: tuple[int, int], periods: tuple[int, int], ppm: float, jitter_s: float
) -> None:
    done = ride(seconds=120.0, rates=rates, periods=periods, ahead=steady(ppm), jitter_s=jitter_s, look_s=0.001)
    assert np.abs(done.off_s).max() <= 0.001
    assert np.abs(done.cents[done.moments_s > 2]).max() < 1.0
    assert np.abs(done.cents[done.moments_s > 20]).max() < 0.25
    assert done.spare_frames.min() >= 0
    assert done.ppm == pytest.approx(ppm, abs=15)
    assert done.jumps == 0


def test_a_wrong_place_is_corrected_at_a_bounded_pitch() -> None:
    controller = DriftController(48_000, 48_000)
    for k in range(1, 500):
        controller.look(k * 0.005, 240 * k, 240 * k)
    there = controller.place_of(100_000)
    assert controller.step(there, 100_000) == pytest.approx(1.0, abs=1e-6)
    assert controller.step(there - 10, 100_000) == pytest.approx(1 + 10 / 48_000, rel=1e-6)
    assert controller.step(there + 40, 100_000) == pytest.approx(1 - 400e-6, rel=1e-6)
    assert controller.stats.fill_error_frames == pytest.approx(-40, abs=0.01)
    assert controller.stats.max_cents == pytest.approx(0.69, abs=0.01)
    assert not controller.has_left(there + 47, 100_000)
    assert controller.stats.jumps == 0
    assert controller.has_left(there - 50, 100_000)
    controller.step(there, 100_000)
    assert controller.stats.jumps == 1


@pytest.mark.parametrize("share", [0.001, -0.001, 0.02, -0.02])
def test_a_device_far_off_its_rate_is_followed_to_the_bound_and_no_further(share: float) -> None:
    controller = DriftController(48_000, 48_000)
    for k in range(1, 20_000):
        controller.look(k * 0.005, int(240 * k * (1 + share)), 240 * k)
        step = controller.step(controller.place_of(240 * k), 240 * k)
        assert abs(step - 1) <= MAX_DRIFT + 410e-6
    if abs(share) < MAX_DRIFT:
        assert step == pytest.approx(1 + share, abs=20e-6)
        assert controller.input.jumps == 0
    else:
        assert controller.input.jumps > 10


def test_a_clock_that_jumps_is_followed_when_it_is_sure_and_a_late_callback_is_not() -> None:
    clock = DeviceClock(48_000)
    lost = 0
    for k in range(1, 4000):
        now = k * 0.005
        if k == 2000:
            # One callback that is held up for 30 ms.
            continue
        lost = 480 if k > 3000 else 0
        clock.look(now - 0.0001, 240 * (k - 1) - lost if k != 2001 else 240 * (k - 2))
        clock.look(now, 240 * k - lost)
        if k in (2500, 3020, 3100):
            off = clock.frames_at(now) - 240 * k
            # 20 callbacks are not enough, 100 are.
            assert off == pytest.approx(-480 if k == 3100 else 0, abs=10), k
            assert clock.jumps == (k == 3100)


def test_after_a_long_time_without_a_look_the_line_is_found_again_at_once() -> None:
    clock = DeviceClock(48_000)

    def watch(begin: int, end: int, shift_s: float) -> None:
        for k in range(begin, end):
            clock.look(k * 0.005 + shift_s - 0.0002, 240 * (k - 1))
            clock.look(k * 0.005 + shift_s + 0.0002, 240 * k)

    watch(1, 2000, 0.0)
    watch(6000, 6010, 0.0015)
    assert clock.moment_of(240 * 6009) == pytest.approx(6009 * 0.005 + 0.0015, abs=0.0003)
    assert clock.rate == pytest.approx(48_000, rel=50e-6)


def test_a_moment_that_was_not_seen_well_tells_only_what_it_contradicts() -> None:
    sharp, blunt = DeviceClock(48_000), DeviceClock(48_000)
    for k in range(1, 4000):
        # The callback comes 0.2 ms after the look before, and the next look comes after 4 ms.
        blunt.look(k * 0.005 - (0.0002 if k > 2000 else 0.00001), 240 * (k - 1))
        blunt.look(k * 0.005 + (0.0040 if k > 2000 else 0.00001), 240 * k)
        sharp.look(k * 0.005 - 0.00001, 240 * (k - 1))
        sharp.look(k * 0.005 + 0.00001, 240 * k)
    assert sharp.moment_of(240 * 3999) == pytest.approx(3999 * 0.005, abs=1e-5)
    # The middle of what is known would be 1.9 ms off.
    assert blunt.moment_of(240 * 3999) == pytest.approx(3999 * 0.005, abs=0.0004)
