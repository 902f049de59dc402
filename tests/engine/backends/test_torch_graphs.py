"""A size is run plainly, captured once, and replayed; without graphs it goes on. A scripted recorder stands in."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from engine.backends import torch_graphs
from engine.backends.torch_graphs import GraphedRuns, cuda_settings


class Device:
    """Records what is captured, and says what is replayed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[str] = []
        self.pools: list[Any] = []
        self.error: Exception | None = None
        self.capturing: _Graph | None = None
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: _Graph(self))
        monkeypatch.setattr(torch.cuda, "graph", self.capture)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: "stream")

    @contextmanager
    def capture(self, graph: _Graph, *, pool: Any, stream: Any, capture_error_mode: str) -> Iterator[None]:
        assert (stream, capture_error_mode) == ("stream", "thread_local")
        self.pools.append(pool)
        self.capturing = graph
        try:
            yield
        finally:
            self.capturing = None

    def separate(self, n: int) -> None:
        if self.capturing is None:
            self.said.append(f"plain {n}")
            return
        if self.error is not None:
            raise self.error
        self.capturing.size = n
        self.said.append(f"captured {n}")


class _Graph:
    def __init__(self, device: Device) -> None:
        self.device, self.size = device, 0

    def replay(self) -> None:
        self.device.said.append(f"replayed {self.size}")


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    return Device(monkeypatch)


def runs_of(device: Device, *sizes: int) -> GraphedRuns:
    return GraphedRuns("m", device.separate, sizes, uses_tf32=True)


def test_each_size_is_warm_before_it_is_captured_and_then_replayed(device: Device) -> None:
    runs = runs_of(device, 1, 2)
    for n in (1, 1, 1, 1, 2, 1, 2, 2):
        runs(n)
    assert device.said == [
        *("plain 1", "plain 1", "captured 1", "replayed 1", "replayed 1"),
        *("plain 2", "replayed 1", "plain 2", "captured 2", "replayed 2"),
    ]
    assert len(set(map(id, device.pools))) == 1


def test_a_number_of_windows_is_run_as_the_next_size(device: Device) -> None:
    runs = runs_of(device, 1, 2, 4, 6)
    assert [runs.size_for(n) for n in range(1, 7)] == [1, 2, 4, 4, 6, 6]
    runs(3)
    runs(4)
    runs(3)
    assert device.said == ["plain 4", "plain 4", "captured 4", "replayed 4"]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no memory"), RuntimeError("not permitted: no memory")])
def test_where_no_graph_can_be_had_runs_stay_plain_and_the_log_says_why_once(
    device: Device, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    runs, device.error = runs_of(device, 1, 2), error
    with caplog.at_level(logging.WARNING, "stemstream.worker"):
        for n in (1, 1, 1, 2, 2, 2, 1):
            runs(n)
    assert device.said == ["plain 1"] * 3 + ["plain 2"] * 3 + ["plain 1"]
    assert [record.message for record in caplog.records] == [f"'m' runs without CUDA graphs, a little slower: {error}"]
    assert error.__traceback__ is None


def test_what_fails_in_a_plain_run_is_raised(device: Device) -> None:
    def fail(n: int) -> None:
        raise torch.OutOfMemoryError("no memory")

    runs = GraphedRuns("m", fail, (1,), uses_tf32=False)
    for _ in range(2):
        with pytest.raises(torch.OutOfMemoryError):
            runs(1)
    runs_of(device, 1)(1)
    assert device.said == ["plain 1"]


def test_while_one_captures_or_runs_plainly_no_other_thread_does(device: Device) -> None:
    locked: list[bool] = []

    def separate(n: int) -> None:
        locked.append(torch_graphs._taking_turns.locked())

    runs = GraphedRuns("m", separate, (1,), uses_tf32=False)
    for _ in range(5):
        runs(1)
    assert locked == [True] * 3
    assert not torch_graphs._taking_turns.locked()


def settings() -> tuple[bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return cudnn.benchmark, cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("uses_tf32", [True, False])
def test_settings_of_the_process_hold_within_a_run_and_are_put_back(uses_tf32: bool) -> None:
    before = settings()
    seen: list[tuple[bool, bool, bool]] = []

    def fail() -> None:
        with cuda_settings(uses_tf32=uses_tf32):
            seen.append(settings())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [(True, uses_tf32, uses_tf32)]
    assert settings() == before


def test_a_choice_that_was_made_operator_by_operator_is_kept() -> None:
    convolutions = torch.backends.cudnn.conv
    before = convolutions.fp32_precision
    convolutions.fp32_precision = "ieee"
    try:
        with cuda_settings(uses_tf32=True):
            assert convolutions.fp32_precision == "ieee"
            assert torch.backends.cudnn.benchmark
        assert not torch.backends.cudnn.benchmark
    finally:
        convolutions.fp32_precision = before
