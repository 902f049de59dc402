"""Every fault once through the real worker's thread, synchronised by events: nothing here waits for time to pass."""

import itertools
import threading

import numpy as np
import pytest

from engine.separator import Separator, StateArrays
from engine.worker import Worker
from streamer import StemProcessor
from streamer.testing import DelaySeparator, IdentitySeparator, Outcome, ScriptedWorker, VirtualClock

RATE = 44_100
BLOCK = 512
ONES = np.ones((2, BLOCK), np.float32)


class Gate:
    """Lets a model run only while it is open, says when the model is inside, and asks for a fault once."""

    def __init__(self) -> None:
        self.open, self.inside = threading.Event(), threading.Event()
        self.open.set()
        self.fault: str | None = None

    def pass_through(self, stems: np.ndarray) -> np.ndarray:
        self.inside.set()
        assert self.open.wait(30.0)
        fault, self.fault = self.fault, None
        if fault == "raise":
            raise RuntimeError("on demand")
        return stems * np.float32(np.nan) if fault == "nan" else stems


class GatedWindows(IdentitySeparator):
    def __init__(self) -> None:
        super().__init__(hop_frames=BLOCK, lookahead_frames=2048, fade_frames=128, window_frames=8192)
        self.gate = Gate()

    def process(self, windows: np.ndarray, states: StateArrays) -> tuple[np.ndarray, StateArrays]:
        stems, states = super().process(windows, states)
        return self.gate.pass_through(stems), states


class GatedHops(DelaySeparator):
    def __init__(self) -> None:
        super().__init__(hop_frames=BLOCK)
        self.gate = Gate()

    def process(self, windows: np.ndarray, states: StateArrays) -> tuple[np.ndarray, StateArrays]:
        stems, states = super().process(windows, states)
        return self.gate.pass_through(stems), states


class Live:
    """A real-time processor on a worker of its own, fed with ones."""

    def __init__(self, separator: Separator) -> None:
        self.worker = Worker()
        # A clock that runs a second a call: the pace of a test is not that of audio.
        self.processor = StemProcessor(
            separator, realtime=True, worker=self.worker, clock=itertools.count().__next__, latency_s=0.15
        )
        self.processor.prepare(sample_rate=RATE, channels=2, max_block_frames=BLOCK)

    def block(self) -> np.ndarray:
        """Process a block without waiting for anything."""
        return self.processor.process(ONES).copy()

    def settle(self) -> None:
        """Let the worker finish everything that is due."""
        assert self.worker.wait(self.has_caught_up, 30.0)

    def settled_block(self) -> np.ndarray:
        """Process a block and let the worker finish what it brought."""
        out = self.block()
        self.settle()
        return out

    def has_caught_up(self) -> bool:
        stats = self.processor.stats()
        due = stats.frames // BLOCK - self.processor.plan.first_index
        return stats.windows - stats.primed_windows + stats.skipped_windows >= due


@pytest.fixture(params=[GatedWindows, GatedHops], ids=["windowed", "stateful"])
def separator(request: pytest.FixtureRequest) -> GatedWindows | GatedHops:
    return request.param()


def warmed_up(separator: GatedWindows | GatedHops) -> Live:
    live = Live(separator)
    for _ in range(30):
        out = live.settled_block()
    assert np.all(out[0] == 0.25)
    assert live.processor.stats().misses == 0
    separator.gate.inside.clear()
    return live


def stall(live: Live, separator: GatedWindows | GatedHops, blocks: int) -> np.ndarray:
    """Hold the worker inside the model while some blocks go by, and give what was heard."""
    separator.gate.open.clear()
    heard = [live.block()]
    assert separator.gate.inside.wait(30.0)
    heard += [live.block() for _ in range(blocks - 1)]
    separator.gate.open.set()
    return np.concatenate(heard, axis=-1)


def test_a_worker_that_stops_never_holds_up_process_and_separation_comes_back(
    separator: GatedWindows | GatedHops,
) -> None:
    live = warmed_up(separator)
    heard = stall(live, separator, 60)
    assert not heard[0, :, -BLOCK:].any()
    np.testing.assert_allclose(heard.sum(axis=0), 1.0, atol=1e-6)
    after = [live.settled_block() for _ in range(40)]
    assert np.all(after[-1][0] == 0.25)
    stats = live.processor.stats()
    assert stats.skipped_windows > 0
    assert stats.mixture_frames > 0
    live.processor.release()
    assert not live.worker.is_running


def test_a_result_that_comes_late_is_dropped_and_the_latency_stays(separator: GatedWindows | GatedHops) -> None:
    live = warmed_up(separator)
    latency = live.processor.latency_frames
    stall(live, separator, latency // BLOCK + 8)
    for _ in range(5):
        np.testing.assert_allclose(live.settled_block().sum(axis=0), 1.0, atol=1e-6)
    assert live.processor.stats().late_results >= 1
    assert live.processor.latency_frames == latency
    live.processor.release()


def test_a_result_that_comes_partly_late_is_joined_from_the_provisional_tail() -> None:
    separator = GatedWindows()
    live = warmed_up(separator)
    slack = live.processor.latency.slack_frames
    heard = stall(live, separator, slack // BLOCK + 2)
    live.settle()
    after = np.concatenate([live.settled_block() for _ in range(20)], axis=-1)
    assert np.all(heard[0] == 0.25)
    np.testing.assert_allclose(after[0, :, :BLOCK], 0.25, atol=1e-6)
    np.testing.assert_allclose(after.sum(axis=0), 1.0, atol=1e-6)
    assert np.all(after[0, :, -BLOCK:] == 0.25)
    stats = live.processor.stats()
    assert stats.provisional_frames > 0
    assert stats.late_frames > 0
    live.processor.release()


@pytest.mark.parametrize("fault", ["raise", "nan"])
def test_a_fault_is_counted_and_the_sound_goes_on(separator: GatedWindows | GatedHops, fault: str) -> None:
    live = warmed_up(separator)
    separator.gate.fault = fault
    for _ in range(30):
        out = live.settled_block()
        np.testing.assert_allclose(out.sum(axis=0), 1.0, atol=1e-6)
    stats = live.processor.stats()
    assert (stats.model_exceptions, stats.non_finite_outputs) == ((1, 0) if fault == "raise" else (0, 1))
    assert np.all(out[0] == 0.25)
    live.processor.release()


def test_a_render_goes_on_past_faults_that_meet_its_priming_too() -> None:
    class Allergic(DelaySeparator):
        def process(self, windows: np.ndarray, states: StateArrays) -> tuple[np.ndarray, StateArrays]:
            if (windows == 2.0).any():
                raise RuntimeError("never that")
            return super().process(windows, states)

    processor = StemProcessor(Allergic(hop_frames=BLOCK, priming_frames=4 * BLOCK))
    processor.prepare(sample_rate=RATE, channels=2, max_block_frames=BLOCK)
    for block in range(60):
        out = processor.process(2 * ONES if block in (20, 22) else ONES)
    assert np.all(out[0] == 0.25)
    assert processor.flush().shape[-1] == processor.latency_frames
    assert processor.stats().model_exceptions >= 3
    processor.release()


def test_a_fault_of_one_live_stream_costs_another_on_its_worker_nothing() -> None:
    clock = VirtualClock(RATE)
    separators = [DelaySeparator(hop_frames=BLOCK, lookahead_frames=512, priming_frames=80 * BLOCK) for _ in range(2)]
    worker = ScriptedWorker(clock, lambda run: Outcome(60, "raise" if run.number == 101 else None))
    pair = [StemProcessor(s, realtime=True, worker=worker, clock=clock, latency_s=0.08) for s in separators]
    for processor in pair:
        processor.prepare(sample_rate=RATE, channels=2, max_block_frames=BLOCK)
    for _ in range(400):
        clock.advance(BLOCK)
        for processor in pair:
            processor.process(ONES)
    stats = [processor.stats() for processor in pair]
    assert sorted(s.model_exceptions for s in stats) == [0, 1]
    assert sorted(s.misses > 0 for s in stats) == [False, True]
    assert all(np.all(processor.process(ONES)[0] == 0.25) for processor in pair)


def test_a_reset_while_the_model_runs_lets_nothing_of_the_old_stream_through(
    separator: GatedWindows | GatedHops,
) -> None:
    live = warmed_up(separator)
    stall_blocks = 3
    separator.gate.open.clear()
    for _ in range(stall_blocks):
        live.block()
    assert separator.gate.inside.wait(30.0)
    live.processor.reset()
    separator.gate.open.set()
    silence = np.zeros((2, BLOCK), np.float32)
    for _ in range(40):
        assert not live.processor.process(silence).any()
    live.processor.release()
    assert not live.worker.is_running
