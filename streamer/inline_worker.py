"""A worker without a thread: models run where somebody waits for them, as in a server with threads of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.denormals import DenormalsAsZero
from engine.errors import LifecycleError
from engine.separator import Runner
from engine.worker_client import WorkerClient, by_urgency

__all__ = ["InlineWorker"]


class InlineWorker:
    """Runs due windows, the most urgent first, in the thread that calls ``wait``.

    Parameters
    ----------
    run_s : callable, optional
        Gives the seconds that a run counts for, by its number from 0: time in a script. Left out: as measured.

    Attributes
    ----------
    batch_size : int
        1: nothing is gained by more in one thread.
    runs : int
        Windows that were run.
    spent_s : float
        Time of all of them.
    """

    def __init__(self, run_s: Callable[[int], float] | None = None) -> None:
        self.batch_size = 1
        self.runs = 0
        self.spent_s = 0.0
        self._run_s = run_s
        self._clients: list[WorkerClient] = []
        self._runners: dict[tuple[int, int], Runner] = {}

    def attach(self, client: WorkerClient, *, warm_up: bool = True) -> tuple[float, ...]:
        """Take a client in; no time is measured."""
        key = (id(client.separator), client.window_frames)
        if key not in self._runners:
            self._runners[key] = client.separator.runner(1, client.window_frames)
        self._clients.append(client)
        return ()

    def time_runs(self, client: WorkerClient, *, runs: int, seconds: float) -> tuple[float, ...]:
        """Give nothing: no time is measured."""
        return ()

    def detach(self, client: WorkerClient) -> None:
        """Let a client go."""
        self._clients.remove(client)
        used = {(id(each.separator), each.window_frames) for each in self._clients}
        self._runners = {key: runner for key, runner in self._runners.items() if key in used}

    def wake(self) -> None:
        """Nothing: whoever waits looks by himself."""

    def nudge(self) -> None:
        """Nothing: nobody waits on another thread."""

    def wait(self, until: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Run windows until the condition holds.

        Raises
        ------
        LifecycleError
            If nothing is left to run.
        """
        while not until():
            client = next(iter(by_urgency(self._clients, self.runs)), None)
            runner = None if client is None else self._runners[id(client.separator), client.window_frames]
            if client is None or runner is None or not client.load(runner, 0):
                raise LifecycleError("nothing is left to run: a worker with a thread would be waited for in vain")
            self._run(client, runner)
        return True

    def _run(self, client: WorkerClient, runner: Runner) -> None:
        begin = time.perf_counter()
        error: Exception | None = None
        try:
            with DenormalsAsZero():
                runner.run(1)
        except Exception as raised:  # as on the worker's thread: the stream is told
            error = raised
        elapsed_s = time.perf_counter() - begin if self._run_s is None else self._run_s(self.runs)
        self.runs += 1
        self.spent_s += elapsed_s
        try:
            if error is not None:
                raise error
            client.store(runner, 0, elapsed_s)
        except Exception as raised:  # the same, or what the stream itself raises
            client.fail(raised, elapsed_s)
