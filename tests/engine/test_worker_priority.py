"""The worker's thread asks for real-time priority when it is told to, and a processor passes that on."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from engine.errors import ConfigurationError
from engine.priority import WORKER_LEVEL, PriorityReport
from engine.worker import Worker
from streamer.processor import StemProcessor
from streamer.testing import IdentitySeparator


def prepared(processor: StemProcessor) -> StemProcessor:
    return processor.prepare(sample_rate=48_000, channels=2, max_block_frames=256)


def test_a_worker_asks_on_its_own_thread_and_only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int, str]] = []

    def note(name: str, level: int) -> PriorityReport:
        asked.append((name, level, threading.current_thread().name))
        return PriorityReport(name, "SCHED_FIFO 3", True, "SCHED_FIFO 3")

    monkeypatch.setattr("engine.worker.raise_priority", note)
    for worker in (Worker(), Worker(priority=3)):
        assert worker.priority is None
        with prepared(StemProcessor(IdentitySeparator(), worker=worker)) as processor:
            assert processor.priority is worker.priority
    assert asked == [("worker", 3, "stemstream-worker")]
    assert worker.priority == PriorityReport("worker", "SCHED_FIFO 3", True, "SCHED_FIFO 3")


@pytest.mark.parametrize("level", [0, 100, 3.0, "high"])
def test_a_priority_that_linux_does_not_know_is_refused(level: Any) -> None:
    with pytest.raises(ConfigurationError, match="from 1 to 99"):
        Worker(priority=level)


@pytest.mark.parametrize("wanted", [False, True])
def test_a_processor_tells_what_became_of_its_workers_priority(wanted: bool) -> None:
    with prepared(StemProcessor(IdentitySeparator(), priority=wanted)) as processor:
        report = processor.priority
    assert (report is not None) == wanted
    assert report is None or (report.thread, report.wanted) == ("worker", f"SCHED_FIFO {WORKER_LEVEL}")


def test_priority_is_not_asked_of_a_worker_that_was_made_by_somebody_else() -> None:
    with pytest.raises(ConfigurationError, match="give it to that Worker"):
        StemProcessor(IdentitySeparator(), priority=True, worker=Worker())
