"""Whether this machine can keep what is promised: refusals, warnings, and silence where all is well."""

import numpy as np
import pytest

from engine.errors import LatencyError
from streamer.operating_point import Host, OperatingPoint, check_compute, settle
from streamer.testing import DelaySeparator

SPEC = DelaySeparator(hop_frames=512).spec


def point(latency_s: float | None, *, fixed: bool = False, realtime: bool = True) -> tuple[OperatingPoint, Host]:
    host = Host(44_100, 2, 512, fixed, realtime)
    return settle(SPEC, host, latency_s=latency_s, plan=None), host


def check(latency_s: float | None, runs_s: list[float], *, fixed: bool = False, realtime: bool = True) -> str | None:
    settled, host = point(latency_s, fixed=fixed, realtime=realtime)
    return check_compute(settled, host, "model", runs_s, is_budget_fixed=latency_s is not None)


def test_a_model_that_fits_says_nothing() -> None:
    assert check(None, [0.005] * 10) is None
    assert check(0.1, [0.005] * 10) is None


def test_scripted_time_and_waiting_processors_are_not_judged() -> None:
    assert check(0.1, []) is None
    assert check(0.1, [9.0], realtime=False) is None


def test_a_given_latency_below_the_typical_run_is_refused_with_one_that_works() -> None:
    with pytest.raises(LatencyError, match=r"takes up to 11\.0 ms") as refusal:
        check(0.035, [0.009] * 9 + [0.011])
    enough = float(str(refusal.value).split("latency_s=")[1])
    assert check(enough, [0.009] * 9 + [0.011]) is None


def test_fixed_blocks_give_the_time_to_the_next_block_for_nothing() -> None:
    smallest, _ = point(None, fixed=True)
    least = smallest.latency.total_frames - smallest.latency.compute_frames
    assert check(least / 44_100, [0.011] * 10, fixed=True) is None
    with pytest.raises(LatencyError):
        check(least / 44_100, [0.0117] * 10, fixed=True)


def test_a_model_slower_than_its_hop_is_warned_of_whatever_the_latency() -> None:
    assert "most of the sound will not be separated" in str(check(None, [0.02] * 10))


def test_one_long_run_in_the_warm_up_is_a_warning() -> None:
    assert "expect misses" in str(check(0.04, [*np.full(9, 0.002), 0.02]))
