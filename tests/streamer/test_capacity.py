"""A model that cannot keep up is refused before it begins, with what would work; a slow one is warned of."""

from __future__ import annotations

import re

import numpy as np
import pytest

from engine.errors import CapacityError, LifecycleError
from engine.plan import live_plan
from engine.separator import StateArrays
from streamer import StemProcessor
from streamer.audio.devices import list_devices
from streamer.capacity import TIGHT_SHARE, Capacity, check_capacity
from streamer.testing import DelaySeparator, IdentitySeparator
from tests.streamer.scripted_device import RATE, ScriptedDevice
from tests.streamer.scripted_session import F32, Held, TimedWorker, processor_on, session_on

HOP_S = 1024 / RATE


def test_runs_are_summed_up_by_values_that_there_were() -> None:
    found = Capacity.of("a model", 0.02, [0.001] * 98 + [0.004, 0.010])
    assert (found.runs, found.p50_s, found.p99_s) == (100, 0.001, 0.010)
    assert found.share == pytest.approx(0.5)
    assert Capacity.of("a model", 0.02, [0.001, 0.003]).p99_s == 0.003
    assert found.as_dict() == {
        "model": "a model",
        "hop_s": 0.02,
        "runs": 100,
        "p50_s": 0.001,
        "p99_s": 0.010,
        "share": pytest.approx(0.5),
    }


@pytest.mark.parametrize(
    ("p99_ms", "said"),
    [
        (14.0, None),
        (14.1, "'a model' takes 14.1 ms (p99 of 200 runs) of the 20.0 ms between two windows, 70 % of it: expect"),
        (20.0, "100 % of it: expect misses when the machine has other work"),
    ],
)
def test_beyond_seven_tenths_of_the_hop_it_warns(p99_ms: float, said: str | None) -> None:
    warning = check_capacity(Capacity("a model", 0.02, 200, 0.001, p99_ms / 1000), longest_hop_s=0.05)
    assert warning is None if said is None else said in str(warning)


@pytest.mark.parametrize(
    ("model", "p50_ms", "longest_ms", "said"),
    [
        (
            "a model",
            25.0,
            36.0,
            "a hop of 36 ms (--hop-ms 36; it adds to the latency), a lighter model such as 'spatial'",
        ),
        ("a model", 25.0, 35.0, "what would work is a lighter model such as 'spatial' or a faster machine"),
        ("a model", 10.0, 35.0, "less other work (half of the runs took 10.0 ms or less), a lighter model"),
        ("spatial", 25.0, 35.0, "what would work is a faster machine"),
    ],
)
def test_beyond_the_hop_it_is_refused_with_what_would_work(
    model: str, p50_ms: float, longest_ms: float, said: str
) -> None:
    capacity = Capacity(model, 0.02, 200, p50_ms / 1000, 0.025)
    with pytest.raises(CapacityError, match=r"of the 20\.0 ms between two windows, so it cannot keep up") as caught:
        check_capacity(capacity, longest_hop_s=longest_ms / 1000)
    assert said in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_session_with_a_model_that_is_too_slow_does_not_begin(device: ScriptedDevice) -> None:
    processor = processor_on(device, run_s=[1.2 * HOP_S] * 200)
    session = session_on(device, processor)
    with pytest.raises(CapacityError, match=r"'identity' takes 25\.6 ms") as caught:
        session.start()
    with pytest.raises(LifecycleError, match="not prepared"):
        processor.stats()
    # This is refused while a stream is open.
    list_devices(refreshes=True)
    # What the message proposes is taken, without a warning.
    (hop_ms,) = re.findall(r"--hop-ms (\d+)", str(caught.value))
    separator = IdentitySeparator(sample_rate=RATE)
    plan = live_plan(separator.spec, hop_frames=round(int(hop_ms) * RATE / 1000))
    longer = processor_on(device, separator, run_s=[1.2 * HOP_S] * 200, plan=plan)
    with session_on(device, longer) as session:
        assert session.warning is None
        assert session.capacity is not None
        assert session.capacity.share <= TIGHT_SHARE


def test_a_session_tells_of_a_model_that_has_little_time_left(device: ScriptedDevice) -> None:
    with session_on(device, processor_on(device, run_s=[0.75 * HOP_S] * 200)) as session:
        assert session.warning is not None
        assert "75 % of it" in session.warning
        assert session.stats().as_dict()["capacity"]["share"] == pytest.approx(0.75)
        session.change(processor_on(device, run_s=[0.5 * HOP_S] * 200))
        assert session.warning is None
        assert session.stats().as_dict()["capacity"]["share"] == pytest.approx(0.5)


@pytest.mark.parametrize("is_fast_after_all", [True, False])
def test_a_model_that_is_fast_as_a_rule_is_looked_at_for_longer(
    device: ScriptedDevice, is_fast_after_all: bool
) -> None:
    held_up = [0.1 * HOP_S] * 190 + [2 * HOP_S] * 10
    worker = TimedWorker(device.clock, held_up, [0.1 * HOP_S] * 600 if is_fast_after_all else held_up)
    processor = Held(IdentitySeparator(sample_rate=RATE), realtime=True, worker=worker, clock=device.clock)
    session = session_on(device, processor)
    if is_fast_after_all:
        with session:
            assert session.capacity is not None
            assert session.capacity.share == pytest.approx(0.1)
    else:
        with pytest.raises(CapacityError, match="less other work"):
            session.start()
    assert worker.asked == [200, 600]


def test_nothing_is_measured_where_that_is_not_wanted(device: ScriptedDevice) -> None:
    processor = processor_on(device, run_s=[2 * HOP_S] * 200)
    with session_on(device, processor, checks_capacity=False) as session:
        assert (session.capacity, session.warning) == (None, None)


# On the worker's own thread


class Counted(IdentitySeparator):
    """Counts its runs, and fails in one of them."""

    runs = 0
    fails_in = -1

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        self.runs += 1
        if self.runs == self.fails_in:
            raise RuntimeError("a scripted fault")
        return super().process(windows, states)


def test_the_model_is_run_so_many_times_or_for_so_long() -> None:
    separator = Counted()
    with StemProcessor(separator, realtime=True) as processor:
        with pytest.raises(LifecycleError, match="not prepared"):
            processor.measure_capacity()
        processor.prepare(sample_rate=44_100, channels=2, max_block_frames=512)
        before = separator.runs
        found = processor.measure_capacity(runs=7, seconds=60.0)
        assert (found.runs, separator.runs - before) == (7, 7)
        assert found.hop_s == pytest.approx(processor.plan.hop_frames / 44_100)
        assert processor.measure_capacity(runs=1000, seconds=1e-9).runs == 1


def test_a_model_that_fails_while_it_is_measured_says_why_and_the_worker_goes_on() -> None:
    separator = Counted()
    with StemProcessor(separator, realtime=True).prepare(
        sample_rate=44_100, channels=2, max_block_frames=512
    ) as processor:
        separator.fails_in = separator.runs + 3
        with pytest.raises(RuntimeError, match="a scripted fault"):
            processor.measure_capacity(runs=7, seconds=60.0)
        assert processor.measure_capacity(runs=2, seconds=60.0).runs == 2


def test_a_measurement_leaves_no_trace_in_the_sound() -> None:
    sound = np.random.default_rng(1).standard_normal((2, 8192)).astype(np.float32)
    heard = []
    for measures in (False, True):
        with StemProcessor(DelaySeparator()).prepare(sample_rate=44_100, channels=2, max_block_frames=512) as processor:
            if measures:
                assert processor.measure_capacity(runs=5, seconds=60.0).runs == 5
            blocks = [processor.process(sound[:, n : n + 512]).copy() for n in range(0, 8192, 512)]
        heard.append(np.concatenate(blocks, axis=-1))
    np.testing.assert_array_equal(*heard)
