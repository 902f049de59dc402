"""The promised latency is the smallest that works, and what is measured is what was promised."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from engine.errors import LatencyError
from engine.plan import WindowPlan, smallest_slack_frames
from engine.separator import Separator
from streamer import StemProcessor
from streamer.latency import JOIN_FRAMES, StreamTiming, plan_latency
from streamer.testing import DelaySeparator, IdentitySeparator, Outcome, ScriptedWorker, VirtualClock, play

RATES = (44_100, 48_000, 88_200, 96_000, 176_400, 192_000)


def smallest_latency_by_brute_force(
    hop: int, lookahead: int, fade: int, worker: int, blocks: Sequence[int], *, waits: bool
) -> int:
    """Follow every call, run and frame of a stream and give the smallest latency at which no frame is missed.

    Knows the windows' definition and nothing of the closed form: window k needs the input before (k + 1) * hop,
    leaves at the end of the call that brings it, runs after the one before it, and a frame is final when no later
    window weighs on it.
    """
    delivery = hop + fade
    frames = 4 * (delivery + lookahead) + 6 * max(hop, *blocks)
    calls = []
    position = 0
    for length in itertools.cycle(blocks):
        calls.append((position, position + length))
        position += length
        if position > 2 * frames:
            break
    ready: list[float] = []
    for k in range(2 * frames // hop - 1):
        end = (k + 1) * hop
        leaves = next((stop for _, stop in calls if stop >= end), None)
        if leaves is None:
            break
        ready.append(max(leaves, ready[-1] if ready else 0) + worker)
    needed = 0
    for frame in range(frames):
        # The first window that starts to deliver behind the frame is the one after the last that weighs on it.
        last = next(k for k in itertools.count() if (k + 2) * hop - lookahead - delivery > frame)
        for start, stop in calls:
            if ((last + 1) * hop <= stop) if waits else (ready[last] < stop):
                needed = max(needed, start - frame)
                break
    return needed


def block_patterns(longest: int, *, fixed: bool) -> Iterator[tuple[int, ...]]:
    if fixed:
        yield (longest,)
        return
    for length in range(1, 6):
        yield from itertools.product(range(1, longest + 1), repeat=length)


@pytest.mark.parametrize("fixed", [True, False], ids=["fixed blocks", "any blocks"])
@pytest.mark.parametrize("waits", [True, False], ids=["waits", "never waits"])
@pytest.mark.parametrize("longest", [1, 2, 3, 4])
def test_the_closed_form_is_the_smallest_latency_without_a_miss(longest: int, waits: bool, fixed: bool) -> None:
    hops = range(1, 7) if fixed else range(1, 5)
    for hop, lookahead, fade in itertools.product(hops, (0, 1, 3), (0, 1, 2)):
        if fade > hop:
            continue
        for worker in (0,) if waits else range(hop + 1):
            patterns = list(block_patterns(longest, fixed=fixed))
            if len(patterns) > 60:
                # The worst case is a long block followed by short ones; the rest of the patterns in steps.
                patterns = [p for p in patterns if len(p) <= 2 or p.count(1) >= len(p) - 1] + patterns[::29]
            found = max(
                smallest_latency_by_brute_force(hop, lookahead, fade, worker, pattern, waits=waits)
                for pattern in patterns
            )
            reach = WindowPlan(4 * hop + 8, hop, lookahead, fade, hop + fade).reach_frames
            slack = smallest_slack_frames(hop, worker, longest, fixed_blocks=fixed, waits=waits)
            assert found == max(0, reach + slack), (hop, lookahead, fade, worker)


def misses_with(separator: Separator, worker_frames: int, longest: int, fixed: bool, less: int) -> int:
    """Count the misses of a stream whose latency is the closed form's, less some frames."""
    timing = StreamTiming(plan_of(separator), 44_100, 44_100)
    report = plan_latency(
        timing,
        max_block_frames=longest,
        fixed_blocks=fixed,
        realtime=True,
        compute_frames=worker_frames,
        total_frames=None,
    )
    clock = VirtualClock(44_100)
    processor = StemProcessor(
        separator,
        latency_s=(report.total_frames - less) / 44_100,
        realtime=True,
        worker=ScriptedWorker(clock, lambda run: Outcome(worker_frames)),
        plan=timing.plan,
        clock=clock,
    )
    processor.prepare(sample_rate=44_100, channels=2, max_block_frames=longest, fixed_blocks=fixed)
    blocks = [longest] * (60 * timing.plan.hop_frames // longest + 1)
    if not fixed:
        blocks = worst_blocks(timing.plan.hop_frames, worker_frames, longest)
    play(processor, clock, np.ones((2, sum(blocks)), np.float32), blocks=blocks)
    return processor.stats().misses


def worst_blocks(hop: int, worker_frames: int, longest: int) -> list[int]:
    """End a block one frame before each window's end, and have the longest one follow, then blocks of one frame."""
    blocks: list[int] = []
    heard = 0
    for end in range(hop, 60 * hop, hop):
        while heard < end - 1:
            blocks.append(min(longest, end - 1 - heard))
            heard += blocks[-1]
        if heard == end - 1:
            blocks += [longest, *[1] * (worker_frames + 2)]
            heard += longest + worker_frames + 2
    return blocks


def plan_of(separator: Separator) -> WindowPlan:
    spec = separator.spec
    if spec.stateful:
        return WindowPlan(spec.hop_frames, spec.hop_frames, spec.lookahead_frames, 0, spec.hop_frames, stateful=True)
    return WindowPlan(
        spec.window_frames,
        spec.hop_frames,
        spec.lookahead_frames,
        spec.fade_frames,
        spec.hop_frames + spec.fade_frames,
    )


@pytest.mark.parametrize("fixed", [True, False], ids=["fixed blocks", "any blocks"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: IdentitySeparator(window_frames=400, hop_frames=96, lookahead_frames=0, fade_frames=0),
        lambda: IdentitySeparator(window_frames=400, hop_frames=96, lookahead_frames=20, fade_frames=7),
        lambda: IdentitySeparator(window_frames=600, hop_frames=90, lookahead_frames=100, fade_frames=64),
        lambda: DelaySeparator(hop_frames=96, lookahead_frames=30),
        lambda: DelaySeparator(hop_frames=130, lookahead_frames=300),
    ],
    ids=["no overlap", "short fade", "long look-ahead", "stateful", "stateful, long look-ahead"],
)
def test_one_frame_less_than_the_closed_form_misses(make: Callable[[], Separator], fixed: bool) -> None:
    separator = make()
    hop = separator.spec.hop_frames
    for longest, worker_frames in [(1, 1), (1, hop), (7, 11), (48, hop // 2), (hop, hop - 1), (3 * hop, 5)]:
        assert misses_with(separator, worker_frames, longest, fixed, less=0) == 0, (longest, worker_frames)
        if not fixed or worker_frames >= longest:
            assert misses_with(separator, worker_frames, longest, fixed, less=1) > 0, (longest, worker_frames)


@pytest.mark.parametrize("realtime", [False, True], ids=["waits", "never waits"])
@pytest.mark.parametrize("separator", [IdentitySeparator(poisons_lookahead=True), DelaySeparator()], ids=["w", "s"])
def test_an_impulse_comes_out_after_the_promised_latency_to_the_frame(separator: Separator, realtime: bool) -> None:
    for position, longest in itertools.product((0, 1, 777, 5000), (1, 64, 512, 3000)):
        audio = np.zeros((2, 12_000), np.float32)
        audio[:, position] = 1.0
        processor, out = played(separator, audio, 44_100, realtime, longest)
        expected = np.zeros_like(out[0])
        expected[:, position + processor.latency_frames] = 0.25
        assert np.array_equal(out[0], expected)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("realtime", [False, True], ids=["waits", "never waits"])
@pytest.mark.parametrize("separator", [IdentitySeparator(poisons_lookahead=True), DelaySeparator()], ids=["w", "s"])
def test_a_pulse_comes_out_after_the_promised_latency_at_every_rate(
    separator: Separator, realtime: bool, rate: int
) -> None:
    middle, width = 0.2 * rate + 0.37, rate / 4000
    pulse = np.exp(-0.5 * ((np.arange(rate // 2) - middle) / width) ** 2)
    processor, out = played(separator, np.stack([pulse, pulse]).astype(np.float32), rate, realtime, 512)
    weight = np.maximum(out[0, 0], 0.0).astype(np.float64)
    centre = float((weight * np.arange(len(weight))).sum() / weight.sum())
    assert centre - middle == pytest.approx(processor.latency_frames, abs=0.5)
    assert processor.stats().misses == 0


def played(
    separator: Separator, audio: np.ndarray, rate: int, realtime: bool, longest: int
) -> tuple[StemProcessor, np.ndarray]:
    """Stream audio in random blocks through a worker that uses its whole budget, and flush."""
    clock = VirtualClock(rate)
    worker = ScriptedWorker(clock)
    processor = StemProcessor(separator, realtime=realtime, worker=worker, clock=clock)
    processor.prepare(sample_rate=rate, channels=2, max_block_frames=longest)
    worker.script = lambda run: Outcome(processor.latency.compute_frames)
    rng = np.random.default_rng(longest)
    out = play(processor, clock, audio, blocks=(int(n) for n in iter(lambda: rng.integers(1, longest + 1), None)))
    return processor, np.concatenate([out, processor.flush()], axis=-1)


@pytest.mark.parametrize("rate", [*RATES, 8_000, 11_025, 22_050, 44_056, 47_999])
@pytest.mark.parametrize("realtime", [False, True], ids=["waits", "never waits"])
def test_the_parts_add_up_and_nothing_is_missed_at_any_rate(rate: int, realtime: bool) -> None:
    for separator in (IdentitySeparator(fade_frames=512, poisons_lookahead=True), DelaySeparator()):
        rng = np.random.default_rng(rate)
        audio = rng.uniform(-0.5, 0.5, (2, rate // 2)).astype(np.float32)
        processor, out = played(separator, audio, rate, realtime, 300)
        report = processor.latency
        assert sum(report.parts.values()) == report.total_frames == processor.latency_frames
        assert all(frames >= 0 for frames in report.parts.values())
        assert (report.bridge_frames > 0) == (rate != 44_100)
        assert processor.stats().misses == 0
        np.testing.assert_allclose(out[..., processor.latency_frames :].sum(axis=0), audio, atol=1e-6)


def test_without_a_fade_the_guard_is_a_whole_join() -> None:
    parts = {}
    for fade, lookahead in ((0, 0), (20, 10), (64, 0), (100, 500)):
        separator = IdentitySeparator(lookahead_frames=lookahead, fade_frames=fade)
        processor = StemProcessor(separator, worker=ScriptedWorker(VirtualClock(44_100)))
        processor.prepare(sample_rate=44_100, channels=2, max_block_frames=64)
        parts[fade + lookahead] = processor.latency.guard_frames
    assert parts == {0: JOIN_FRAMES, 30: JOIN_FRAMES - 30, 64: 0, 600: 0}


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize("realtime", [False, True], ids=["waits", "never waits"])
def test_too_small_a_latency_is_refused_with_the_smallest_that_works(realtime: bool, rate: int) -> None:
    def prepare(latency_s: float) -> StemProcessor:
        worker = ScriptedWorker(VirtualClock(rate))
        processor = StemProcessor(DelaySeparator(), latency_s=latency_s, realtime=realtime, worker=worker)
        return processor.prepare(sample_rate=rate, channels=2, max_block_frames=256)

    with pytest.raises(LatencyError, match=r"a latency of 1\.00 ms is too small") as refusal:
        prepare(0.001001)
    smallest = float(str(refusal.value).split("latency_s=")[1].split(",")[0])
    assert prepare(smallest).latency_frames <= math.floor(smallest * rate + 1)
    with pytest.raises(LatencyError):
        prepare(smallest - 2 / rate)


def test_a_surplus_of_latency_goes_to_compute() -> None:
    def report(latency_s: float) -> dict[str, int]:
        worker = ScriptedWorker(VirtualClock(44_100))
        processor = StemProcessor(DelaySeparator(), latency_s=latency_s, realtime=True, worker=worker)
        return processor.prepare(sample_rate=44_100, channels=2, max_block_frames=256).latency.parts

    small, large = report(0.1), report(0.2)
    assert large["compute"] - small["compute"] == 4410
    assert {**large, "compute": 0} == {**small, "compute": 0}


def test_a_windowed_model_gets_a_hop_that_fits_the_latency() -> None:
    separator = IdentitySeparator(window_frames=65_536, hop_frames=16_384, lookahead_frames=1024, fade_frames=512)
    worker = ScriptedWorker(VirtualClock(44_100))
    processor = StemProcessor(separator, latency_s=0.25, realtime=True, worker=worker)
    processor.prepare(sample_rate=44_100, channels=2, max_block_frames=256)
    assert processor.plan.hop_frames == 4096
    assert processor.latency.compute_frames >= processor.plan.hop_frames
    assert processor.latency_frames == 11_025


def test_plans_of_equal_latency_are_listed_and_keep_it() -> None:
    separator = IdentitySeparator(window_frames=8192, hop_frames=512, lookahead_frames=2048, fade_frames=128)

    def prepare(plan: WindowPlan | None, latency_s: float | None) -> StemProcessor:
        worker = ScriptedWorker(VirtualClock(44_100))
        processor = StemProcessor(separator, latency_s=latency_s, realtime=True, worker=worker, plan=plan)
        return processor.prepare(sample_rate=44_100, channels=2, max_block_frames=256)

    first = prepare(None, None)
    assert [plan.hop_frames for plan in first.equal_latency_plans] == [1024, 1536, 2048, 2560]
    for plan in first.equal_latency_plans:
        other = prepare(plan, first.latency.total_s)
        assert other.latency_frames == first.latency_frames
        assert other.latency.compute_frames == first.latency.compute_frames
    stateful = StemProcessor(DelaySeparator(), worker=ScriptedWorker(VirtualClock(44_100)))
    assert stateful.prepare(sample_rate=44_100, channels=2, max_block_frames=256).equal_latency_plans == ()
