"""Streams side by side are counted together."""

from __future__ import annotations

import math

import pytest

from benchmarks.streams import _measure


@pytest.mark.parametrize("workers", ["shared", "own"])
def test_the_windows_of_all_streams_are_counted(workers: str) -> None:
    figures = _measure(path="spatial", streams=2, workers=workers, threads=1, latency_s=0.1, seconds=0.2)
    rows = dict(each.split(": ") for each in figures["batches"].split(", "))
    assert sum(int(size) * int(runs) for size, runs in rows.items()) >= 2
    assert set(rows) <= ({"1", "2"} if workers == "shared" else {"1"})
    assert 0 <= figures["coverage"] <= 1
    assert 0 < figures["busy"] < 1 if workers == "shared" else math.isnan(figures["busy"])
