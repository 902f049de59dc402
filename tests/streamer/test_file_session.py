"""Sessions on recordings: when blocks go in, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from engine.errors import LifecycleError
from engine.offline import Progress
from engine.separator import F32, Separator, StateArrays
from engine.spec import ModelSpec
from streamer.file_session import run_file_session
from streamer.processor import StemProcessor

RATE, BLOCK = 8000, 80
BLOCK_S = BLOCK / RATE


class Halves(Separator):
    """Gives a quarter of the input and the rest."""

    spec = ModelSpec("halves", RATE, 2, ("quarter", "other"), False, window_frames=256, hop_frames=64, fade_frames=16)

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        return np.stack([0.25 * windows, 0.75 * windows], axis=1), ()


class ScriptedClock:
    """Time passes only in sleep, and where a test says so."""

    def __init__(self) -> None:
        self.time = 100.0
        self.sleeps = 0

    def now(self) -> float:
        return self.time

    def sleep_until(self, moment_s: float) -> None:
        self.sleeps += 1
        self.time = max(self.time, moment_s)


class Watched(StemProcessor):
    """Notes when blocks come, and takes scripted time for each."""

    def __init__(self, clock: ScriptedClock, spent_blocks: list[float]) -> None:
        super().__init__(Halves(), realtime=True, clock=clock.now)
        self.scripted = clock
        self.spent_blocks = iter(spent_blocks)
        self.moments: list[float] = []

    def process(self, block: Any, out: F32 | None = None) -> F32:
        self.moments.append((self.scripted.time - 100.0) / BLOCK_S)
        self.scripted.time += next(self.spent_blocks, 0.0) * BLOCK_S
        return super().process(block, out)


def noise(frames: int) -> F32:
    return (0.1 * np.random.default_rng(1).standard_normal((2, frames))).astype(np.float32)


def blocks(audio: F32) -> Iterator[F32]:
    return (audio[:, n : n + BLOCK] for n in range(0, audio.shape[1], BLOCK))


def play(processor: StemProcessor, audio: F32, **options: Any) -> Any:
    return run_file_session(processor, blocks(audio), sample_rate=RATE, channels=2, block_frames=BLOCK, **options)


def test_a_realtime_block_goes_in_when_its_last_frame_is_due() -> None:
    clock = ScriptedClock()
    processor = Watched(clock, [])
    play(processor, noise(4 * BLOCK), clock=clock)
    assert processor.moments == pytest.approx([1, 2, 3, 4])


def test_time_spent_on_blocks_does_not_add_up() -> None:
    clock = ScriptedClock()
    processor = Watched(clock, [0.4] * 50)
    report = play(processor, noise(50 * BLOCK), clock=clock)
    assert processor.moments == pytest.approx(np.arange(1, 51))
    assert report.longest_lag_s == pytest.approx(0.0, abs=1e-9)


def test_after_a_stall_blocks_come_at_once_until_the_schedule_is_met() -> None:
    clock = ScriptedClock()
    processor = Watched(clock, [0.0, 2.5])
    report = play(processor, noise(6 * BLOCK), clock=clock)
    assert processor.moments == pytest.approx([1, 2, 4.5, 4.5, 5, 6])
    assert report.longest_lag_s == pytest.approx(1.5 * BLOCK_S)


def test_a_processor_that_waits_is_never_paced() -> None:
    clock = ScriptedClock()
    report = play(StemProcessor(Halves()), noise(20 * BLOCK), clock=clock)
    assert clock.sleeps == 0
    assert not report.is_realtime
    assert (report.stats.misses, report.stats.coverage) == (0, 1.0)


@pytest.mark.parametrize("frames", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 1003])
def test_the_sink_gets_the_stems_aligned_and_at_the_exact_length(frames: int) -> None:
    audio, parts = noise(frames), [np.zeros((2, 2, 0), np.float32)]
    report = play(StemProcessor(Halves()), audio, sink=lambda part: parts.append(part.copy()))
    stems = np.concatenate(parts, axis=-1)
    assert stems.shape == (2, 2, frames)
    assert report.frames == frames
    np.testing.assert_allclose(stems[0], 0.25 * audio, atol=1e-6)
    np.testing.assert_allclose(stems.sum(axis=0), audio, atol=1e-6)


def test_a_last_block_that_is_filled_up_for_a_live_processor_is_cut_again() -> None:
    clock, lengths = ScriptedClock(), []
    audio = noise(3 * BLOCK + 7)
    report = play(Watched(clock, []), audio, clock=clock, sink=lambda part: lengths.append(part.shape[-1]))
    assert sum(lengths) == report.frames == 3 * BLOCK + 7
    assert report.stats.blocks == 4


def test_blocks_longer_than_the_latency_come_out_aligned_too() -> None:
    audio, parts = noise(1500), []
    run_file_session(
        StemProcessor(Halves()),
        iter([audio[:, :1024], audio[:, 1024:]]),
        sample_rate=RATE,
        channels=2,
        block_frames=1024,
        sink=lambda part: parts.append(part.copy()),
    )
    np.testing.assert_allclose(np.concatenate(parts, axis=-1).sum(axis=0), audio, atol=1e-6)


def test_the_time_of_every_block_is_reported() -> None:
    clock = ScriptedClock()
    report = play(Watched(clock, [0.5, 0.1, 0.3]), noise(3 * BLOCK), clock=clock)
    assert report.process_s == pytest.approx([0.5 * BLOCK_S, 0.1 * BLOCK_S, 0.3 * BLOCK_S])
    assert report.process_percentile_s(50) == pytest.approx(0.3 * BLOCK_S)
    assert report.process_percentile_s(100) == pytest.approx(0.5 * BLOCK_S)
    assert report.as_dict()["process_ms"]["max"] == pytest.approx(1000 * 0.5 * BLOCK_S)


def test_missed_blocks_are_named() -> None:
    class Counting(Watched):
        misses = property(lambda self: sum(block in (1, 2, 5) for block in range(len(self.moments))))

    report = play(Counting(clock := ScriptedClock(), []), noise(7 * BLOCK), clock=clock)
    assert report.missed_blocks == (1, 2, 5)
    assert report.block_s == pytest.approx(BLOCK_S)


def test_a_model_that_stands_still_misses_the_blocks_that_are_counted() -> None:
    class Stuck(Halves):
        def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
            if windows.any():
                raise RuntimeError("stuck")
            return super().process(windows, states)

    report = play(StemProcessor(Stuck(), realtime=True), noise(40 * BLOCK), clock=ScriptedClock())
    assert 0 < len(report.missed_blocks) == report.stats.misses
    assert max(report.missed_blocks) == 39


def test_progress_says_how_far_and_how_long_yet() -> None:
    clock = ScriptedClock()
    told: list[Progress] = []
    play(Watched(clock, []), noise(4 * BLOCK), clock=clock, frames=4 * BLOCK, progress=told.append)
    assert [step.fraction for step in told] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert [step.eta_s for step in told] == pytest.approx([3 * BLOCK_S, 2 * BLOCK_S, BLOCK_S, 0.0])


def test_an_exception_from_the_progress_ends_the_session_and_releases_the_processor() -> None:
    def cancel(step: Progress) -> None:
        raise KeyboardInterrupt

    processor = StemProcessor(Halves())
    with pytest.raises(KeyboardInterrupt):
        play(processor, noise(4 * BLOCK), progress=cancel)
    with pytest.raises(LifecycleError):
        processor.stats()
