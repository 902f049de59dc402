"""What is heard when the worker is stopped, slow, late, partly late, failing: sample for sample, in virtual time."""

from collections.abc import Callable

import numpy as np
import pytest

from engine.plan import WindowPlan, live_plan
from engine.separator import Separator, StateArrays
from engine.spec import ModelSpec
from streamer import StemProcessor
from streamer.latency import JOIN_FRAMES
from streamer.testing import (
    NEVER,
    DelaySeparator,
    IdentitySeparator,
    Outcome,
    Run,
    ScriptedWorker,
    VirtualClock,
    play,
)

RATE = 44_100
BLOCK = 128
HOP, LOOKAHEAD, FADE = 1024, 256, 128


class NumberedWindows(Separator):
    """A windowed model whose first stem says in which window it was made: window k gives the value k + 1."""

    def __init__(self) -> None:
        self.spec = ModelSpec(
            name="numbered",
            sample_rate=RATE,
            channels=1,
            stems=("number", "other"),
            stateful=False,
            window_frames=4096,
            hop_frames=HOP,
            lookahead_frames=LOOKAHEAD,
            fade_frames=FADE,
        )

    def process(self, windows: np.ndarray, states: StateArrays) -> tuple[np.ndarray, StateArrays]:
        # The input counts frames, so a window's last frame says where it ends.
        number = np.round(windows[:, :, -1:] / HOP).astype(np.float32)
        stems = np.repeat(number[:, None], 2, axis=1) * np.ones((1, 2, 1, windows.shape[-1]), np.float32)
        return stems, ()


class Stream:
    """A real-time stream of ones (or of frame numbers) under a script, and what came out at input frame n."""

    def __init__(
        self,
        separator: Separator,
        script: Callable[[Run], Outcome],
        *,
        frames: int = 40 * HOP,
        numbers: bool = False,
        block: int = BLOCK,
        rate: int = RATE,
        latency_s: float | None = None,
        plan: WindowPlan | None = None,
    ) -> None:
        self.clock = VirtualClock(rate)
        self.worker = ScriptedWorker(self.clock, script)
        self.processor = StemProcessor(
            separator, realtime=True, worker=self.worker, clock=self.clock, latency_s=latency_s, plan=plan
        )
        channels = separator.spec.channels
        self.processor.prepare(sample_rate=rate, channels=channels, max_block_frames=block)
        self.latency = self.processor.latency_frames
        line = np.arange(1, frames + 1, dtype=np.float32) if numbers else np.ones(frames, np.float32)
        self.input = np.tile(line, (channels, 1))
        out = play(self.processor, self.clock, self.input, blocks=block)
        self.early = out[..., : self.latency]
        self.stems = out[..., self.latency :]
        self.stats = self.processor.stats()

    @property
    def levels(self) -> np.ndarray:
        """Share of the separated stems at each input frame, as the first stem's gain tells it."""
        return self.stems[0, 0] / np.float32(0.25)


def ramp_down(to_zero_at: int) -> np.ndarray:
    """Levels of the last frames before ``to_zero_at`` + 1."""
    return np.arange(JOIN_FRAMES - 1, -1, -1) / JOIN_FRAMES


def known_after(windows: int) -> int:
    """Frames that windows 0 to n - 1 say something about: their ends."""
    return windows * HOP


def test_a_worker_that_keeps_up_gives_every_frame_from_its_final_result() -> None:
    stream = Stream(IdentitySeparator(), lambda run: Outcome(500))
    assert np.array_equal(stream.levels, np.ones_like(stream.levels))
    stats = stream.stats
    assert (stats.misses, stats.coverage, stats.late_results) == (0, 1.0, 0)
    assert stats.final_frames == stream.stems.shape[-1]


def test_before_the_first_frame_all_is_silent() -> None:
    stream = Stream(IdentitySeparator(), lambda run: Outcome(500))
    assert not stream.early.any()


def test_a_stopped_worker_leads_over_the_provisional_tail_to_the_mixture() -> None:
    stream = Stream(IdentitySeparator(), lambda run: NEVER if run.number == 10 else Outcome(500))
    known, final = known_after(10), known_after(10) - LOOKAHEAD - FADE
    levels = stream.levels
    assert np.array_equal(levels[: known - JOIN_FRAMES], np.ones(known - JOIN_FRAMES))
    np.testing.assert_allclose(levels[known - JOIN_FRAMES : known], ramp_down(known), atol=1e-6)
    assert not levels[known:].any()
    stats, given = stream.stats, len(levels)
    assert stats.final_frames == final
    assert stats.provisional_frames == known - JOIN_FRAMES - final
    assert stats.mixture_frames == given - (known - JOIN_FRAMES)
    assert stats.coverage == (known - JOIN_FRAMES) / given
    # Every block from the one that holds the first provisional frame on.
    assert stats.misses == len(stream.input[0]) // BLOCK - (final + stream.latency) // BLOCK


def test_a_stateful_model_has_no_tail_so_the_guard_fades_before_its_end() -> None:
    stream = Stream(DelaySeparator(hop_frames=512), lambda run: NEVER if run.number == 20 else Outcome(100))
    end = 20 * 512 - 256
    levels = stream.levels
    assert np.array_equal(levels[: end - JOIN_FRAMES], np.ones(end - JOIN_FRAMES))
    np.testing.assert_allclose(levels[end - JOIN_FRAMES : end], ramp_down(end), atol=1e-6)
    assert not levels[end:].any()
    assert stream.stats.final_frames == end - JOIN_FRAMES


def test_while_nothing_is_separated_the_residual_is_the_delayed_input_bit_for_bit() -> None:
    stream = Stream(IdentitySeparator(), lambda run: NEVER)
    assert np.array_equal(stream.stems[-1], stream.input[:, : stream.stems.shape[-1]])
    assert not stream.stems[:-1].any()
    assert stream.stats.coverage == 0.0


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_separation_is_back_within_the_running_job_three_hops_and_the_slack(rate: int) -> None:
    for separator, hop_model in (
        (IdentitySeparator(), HOP),
        (IdentitySeparator(hop_frames=512, lookahead_frames=0, fade_frames=0), 512),
        (DelaySeparator(hop_frames=512), 512),
    ):
        for stall in (3_000, 20_000, 31_234):
            stalled = {8: stall}
            stream = Stream(
                separator,
                lambda run, stalled=stalled: Outcome(stalled.get(run.number, 200)),
                frames=60 * HOP,
                rate=rate,
            )
            hop = -(-hop_model * rate // RATE)
            report = stream.processor.latency
            lost = int(np.flatnonzero(stream.levels < 1e-3)[JOIN_FRAMES])
            back = lost + int(np.flatnonzero(stream.levels[lost:] > 1e-3)[0])
            # The run that stalls is that of window 8, which leaves at the latest one block after its end.
            freed = 9 * hop + BLOCK + stall
            assert back + stream.latency <= freed + 3 * hop + report.slack_frames + 2 * report.bridge_frames
            np.testing.assert_allclose(
                stream.levels[back : back + JOIN_FRAMES], np.arange(1, JOIN_FRAMES + 1) / JOIN_FRAMES, atol=2e-3
            )
            np.testing.assert_allclose(stream.levels[back + JOIN_FRAMES :], 1.0, atol=2e-3)


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_a_stateful_model_is_back_when_it_has_caught_up_with_its_priming(share: float) -> None:
    hop, priming = 512, 87
    run = int(share * hop)
    stream = Stream(
        DelaySeparator(hop_frames=hop, priming_frames=priming * hop),
        lambda run_, run=run: Outcome(run, "raise" if run_.number == 100 else None),
        frames=400 * hop,
    )
    lost = int(np.flatnonzero(stream.levels < 1e-3)[0])
    back = lost + int(np.flatnonzero(stream.levels[lost:] > 1e-3)[0])
    # Run 100 is that of window 100, which ends at 101 hops and leaves within a block.
    failed = 101 * hop + BLOCK + run
    catching_up = priming * run / (1 - share)
    assert back + stream.latency <= failed + catching_up + 3 * hop + stream.processor.latency.slack_frames
    assert np.all(stream.levels[back + JOIN_FRAMES :] == 1.0)


def test_one_result_on_time_between_late_ones_does_not_bring_separation_back() -> None:
    # After run 10 every third result is on time; two in a row never are.
    stream = Stream(
        DelaySeparator(hop_frames=512, priming_frames=0),
        lambda run: Outcome(200 if run.number < 10 or run.number % 3 == 0 else 2500),
        frames=100 * 512,
    )
    lost = int(np.flatnonzero(stream.levels == 0)[0])
    assert not stream.levels[lost:].any()
    assert stream.stats.late_results + stream.stats.skipped_windows > 10


def test_a_result_that_is_partly_late_is_trimmed_and_joined_from_the_provisional_tail() -> None:
    slack = 300
    latency = (HOP + FADE + LOOKAHEAD + BLOCK - 1 + slack) / RATE
    stream = Stream(
        NumberedWindows(),
        lambda run: Outcome(2 * slack + BLOCK if run.number == 10 else 0),
        numbers=True,
        latency_s=latency,
        plan=live_plan(NumberedWindows().spec),
    )
    numbers = stream.stems[0, 0]
    # Window 10 is the first that weighs on this frame; until it came the tail of window 9 (number 10) is heard.
    first = 11 * HOP - (HOP + FADE + LOOKAHEAD)
    joined = int(np.flatnonzero(numbers > 10.0)[0])
    assert first + FADE < joined <= first + slack + 2 * BLOCK
    assert np.all(numbers[first:joined] == 10.0)
    fade = 10.0 + np.arange(1, JOIN_FRAMES + 1) / JOIN_FRAMES
    np.testing.assert_allclose(numbers[joined : joined + JOIN_FRAMES], fade, atol=1e-4)
    final = first + HOP
    assert np.all(numbers[joined + JOIN_FRAMES : final] == 11.0)
    stats = stream.stats
    assert stats.provisional_frames == joined - first
    assert stats.late_frames == final - joined
    assert (stats.late_results, stats.dropped_results, stats.mixture_frames) == (1, 0, 0)


def test_a_result_that_is_wholly_late_is_dropped_and_never_heard_later() -> None:
    stream = Stream(NumberedWindows(), lambda run: Outcome(6_000 if run.number == 10 else 0), numbers=True)
    numbers = stream.stems[0, 0]
    steady = np.flatnonzero(
        (numbers[:-1] == numbers[1:]) & (numbers[:-1] == np.round(numbers[:-1])) & (numbers[:-1] > 0)
    )
    ends = numbers[steady] * HOP
    assert np.all(ends - (HOP + FADE + LOOKAHEAD) <= steady)
    assert np.all(steady < ends)
    assert 11.0 not in numbers[steady]
    assert {9.0, 10.0, 17.0} <= set(numbers[steady])
    assert stream.stats.dropped_results == 1


@pytest.mark.parametrize("fault", ["raise", "nan"])
@pytest.mark.parametrize("separator", [IdentitySeparator(), DelaySeparator(hop_frames=512)], ids=["w", "s"])
def test_a_fault_of_the_model_costs_its_window_and_the_sound_goes_on(separator: Separator, fault: str) -> None:
    stream = Stream(separator, lambda run: Outcome(100, fault if run.number == 15 else None))  # type: ignore[arg-type]
    stats = stream.stats
    assert (stats.model_exceptions, stats.non_finite_outputs) == ((1, 0) if fault == "raise" else (0, 1))
    assert 0 < stats.mixture_frames < 5 * separator.spec.hop_frames
    np.testing.assert_allclose(stream.stems.sum(axis=0), stream.input[:, : stream.stems.shape[-1]], atol=1e-6)
    assert stream.levels[-1] == 1.0
    assert np.isfinite(stream.stems).all()


def test_a_model_that_always_fails_at_one_place_does_not_stop_the_stream() -> None:
    class Allergic(DelaySeparator):
        def process(self, windows: np.ndarray, states: StateArrays) -> tuple[np.ndarray, StateArrays]:
            if (windows == 2.0).any():
                raise RuntimeError("never that")
            return super().process(windows, states)

    clock = VirtualClock(RATE)
    separator = Allergic(hop_frames=512, priming_frames=2048)
    processor = StemProcessor(separator, realtime=False, worker=ScriptedWorker(clock))
    processor.prepare(sample_rate=RATE, channels=2, max_block_frames=BLOCK)
    audio = np.ones((2, 300 * BLOCK), np.float32)
    audio[:, 9_000] = 2.0
    out = play(processor, clock, audio, blocks=BLOCK)[..., processor.latency_frames :]
    np.testing.assert_allclose(out.sum(axis=0), audio[:, : out.shape[-1]], atol=1e-6)
    np.testing.assert_allclose(out[0, :, -512:], 0.25)
    assert processor.stats().model_exceptions >= 1


SCRIPTS: dict[str, Callable[[Run], Outcome]] = {
    "stopped": lambda run: NEVER if run.number >= 20 else Outcome(50),
    "slow": lambda run: Outcome(1_400),
    "late": lambda run: Outcome(4_000 if run.number % 9 == 5 else 200),
    "partly late": lambda run: Outcome(1_200 if run.number % 5 == 4 else 200),
    "raising": lambda run: Outcome(100, "raise" if run.number % 7 == 3 else None),
    "not finite": lambda run: Outcome(100, "nan" if run.number % 7 == 3 else None),
}
SEPARATORS: dict[str, Callable[[], Separator]] = {
    "windowed": IdentitySeparator,
    "windowed without overlap": lambda: IdentitySeparator(lookahead_frames=0, fade_frames=0),
    "windowed with small hops": lambda: IdentitySeparator(hop_frames=200, lookahead_frames=40, fade_frames=10),
    "stateful": lambda: DelaySeparator(hop_frames=512),
    "target only": lambda: IdentitySeparator({"vocals": 0.25}),
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize("make", SEPARATORS.values(), ids=SEPARATORS)
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_in_every_state_stems_add_up_and_no_step_is_larger_than_a_fade_allows(
    make: Callable[[], Separator], script: Callable[[Run], Outcome], rate: int
) -> None:
    clock = VirtualClock(rate)
    worker = ScriptedWorker(clock, script)
    processor = StemProcessor(make(), realtime=True, worker=worker, clock=clock)
    processor.prepare(sample_rate=rate, channels=2, max_block_frames=512)
    time = np.arange(rate)
    audio = np.stack([np.sin(0.013 * time), np.cos(0.0071 * time)]).astype(np.float32)
    rng = np.random.default_rng(len(SCRIPTS))
    out = play(processor, clock, audio, blocks=(int(n) for n in iter(lambda: rng.integers(1, 513), None)))
    latency = processor.latency_frames
    delayed = np.concatenate([np.zeros((2, latency), np.float32), audio], axis=-1)[:, : out.shape[-1]]
    np.testing.assert_allclose(out.sum(axis=0), delayed, atol=1e-6)
    largest = np.abs(np.diff(delayed, axis=-1, prepend=0.0)).max() + 2 * np.abs(audio).max() / JOIN_FRAMES
    assert np.abs(np.diff(out, axis=-1, prepend=0.0)).max() <= largest + 1e-5
    assert processor.latency_frames == latency
    stats = processor.stats()
    heard = stats.final_frames + stats.late_frames + stats.provisional_frames + stats.mixture_frames
    assert heard == out.shape[-1] - latency


def test_bypass_fades_to_the_delayed_input_and_back_and_keeps_the_delay() -> None:
    clock = VirtualClock(RATE)
    worker = ScriptedWorker(clock, lambda run: Outcome(100))
    processor = StemProcessor(IdentitySeparator(), realtime=True, worker=worker, clock=clock)
    processor.prepare(sample_rate=RATE, channels=2, max_block_frames=BLOCK)
    ones = np.ones((2, 10 * HOP), np.float32)
    before = play(processor, clock, ones, blocks=BLOCK)
    latency = processor.latency_frames
    processor.bypass = True
    bypassed = play(processor, clock, ones, blocks=BLOCK)
    processor.bypass = False
    after = play(processor, clock, ones, blocks=BLOCK)
    assert np.all(before[0, :, latency:] == 0.25)
    np.testing.assert_allclose(bypassed[0, 0, :JOIN_FRAMES] / 0.25, ramp_down(JOIN_FRAMES), atol=1e-6)
    assert not bypassed[:-1, :, JOIN_FRAMES:].any()
    np.testing.assert_allclose(after[0, 0, :JOIN_FRAMES] / 0.25, np.arange(1, 65) / 64, atol=1e-6)
    assert np.all(after[0, :, JOIN_FRAMES:] == 0.25)
    for part in (bypassed, after):
        np.testing.assert_allclose(part.sum(axis=0), 1.0, atol=1e-6)
    stats = processor.stats()
    assert stats.bypassed_frames == bypassed.shape[-1]
    assert stats.coverage > 0.99
    assert processor.latency_frames == latency


def test_the_models_own_residual_is_heard_when_mixture_consistency_is_off() -> None:
    separator = IdentitySeparator({"vocals": 0.25, "other": 0.5})
    clock = VirtualClock(RATE)
    worker = ScriptedWorker(clock, lambda run: NEVER if run.number == 10 else Outcome(100))
    processor = StemProcessor(separator, realtime=True, worker=worker, clock=clock, mixture_consistent=False)
    processor.prepare(sample_rate=RATE, channels=2, max_block_frames=BLOCK)
    out = play(processor, clock, np.ones((2, 40 * HOP), np.float32), blocks=BLOCK)[..., processor.latency_frames :]
    known = known_after(10)
    assert np.all(out[1, :, : known - JOIN_FRAMES] == 0.5)
    assert np.all(out[1, :, known:] == 1.0)
    share = ramp_down(known)
    np.testing.assert_allclose(out[1, 0, known - JOIN_FRAMES : known], 0.5 * share + (1 - share), atol=1e-6)
