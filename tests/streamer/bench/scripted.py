"""Settings of a bench without processes: scripted figures, or the tasks themselves in this process."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from streamer.bench.process import RowFailure
from streamer.bench.row import TASKS

Task = Mapping[str, Any]
PEAKS = {"fp32_gflops": 100.0, "bf16_gflops": 400.0, "copy_gbytes": 10.0}
PROFILE = {
    "seconds": 0.1,
    "profiled_s": 0.2,
    "network_gflop": 5.0,
    "kinds": {"convolutions": {"seconds": 0.15, "gflop": 4.0, "gbytes": 1.0}, "norms": {"seconds": 0.05}},
}


class Script:
    """Starts settings whose runs take what ``cost`` says; keeps the order of all that was run.

    Parameters
    ----------
    cost : callable
        Gives the seconds for a second of audio by the task and the run; raises `RowFailure` for what does not run.
    """

    def __init__(self, cost: Callable[[Task, Task], float] = lambda task, run: 1.0) -> None:
        self.cost = cost
        self.ran: list[tuple[Task, Task]] = []
        self.open = 0

    def __call__(self, task: Task) -> _Scripted:
        return _Scripted(self, task)


class _Scripted:
    def __init__(self, script: Script, task: Task) -> None:
        self._script, self._task = script, task
        self.ready: Mapping[str, Any] = {"network_gflop": 5.0, "peak_mb": 50.0}
        script.open += 1

    def run(self, facts: Task) -> Mapping[str, Any]:
        self._script.ran.append((self._task, facts))
        seconds = self._script.cost(self._task, facts)
        if self._task["kind"] == "peaks":
            return PEAKS
        if self._task["kind"] == "profile":
            return PROFILE
        memory = {"peak_mb": 1000.0 if is_baseline(self._task) else 400.0}
        return {"cost": seconds, "seconds": seconds, "others": 0.0, **memory}

    def close(self) -> None:
        self._script.open -= 1


def is_baseline(task: Task) -> bool:
    return bool(task.get("model", {}).get("backend") == "baseline")


class InThisProcess:
    """Starts the tasks of `streamer.bench.row` where the tests run, which saves a process for each."""

    def __call__(self, task: Task) -> _Here:
        return _Here(task)


class _Here:
    def __init__(self, task: Task) -> None:
        facts = dict(task)
        module, _, name = TASKS[facts.pop("kind")].partition(":")
        try:
            self._task = getattr(importlib.import_module(module), name)(**facts)
        except Exception as error:
            raise RowFailure(str(error)) from error
        self.ready: Mapping[str, Any] = self._task.ready()

    def run(self, facts: Task) -> Mapping[str, Any]:
        figures: dict[str, Any] = self._task.run({**facts, "size": 64, "copied_bytes": 1 << 16})
        return figures

    def close(self) -> None:
        pass
