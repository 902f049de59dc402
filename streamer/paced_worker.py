"""Windows with deadlines by the distance from the play head, for passes that are otherwise waited for."""

from __future__ import annotations

from collections.abc import Callable

from engine.separator import Runner, Separator
from engine.worker_client import WorkerClient, WorkerLike
from streamer.feed import FeedCounters

__all__ = ["PacedWorker"]


class PacedWorker:
    """Another worker, with the deadlines of one pass.

    Parameters
    ----------
    worker : Worker
        Shared with all passes.
    counters : FeedCounters
        Told of each window and its time.
    slack_s : callable, optional
        Gives the seconds until the pass's next frames are heard; left out, the pass is only waited for.
    """

    def __init__(self, worker: WorkerLike, counters: FeedCounters, slack_s: Callable[[], float] | None = None) -> None:
        self.batch_size = worker.batch_size
        self._worker = worker
        self._counters = counters
        self._slack_s = slack_s
        self._clients: dict[int, _Paced] = {}

    def attach(self, client: WorkerClient, *, warm_up: bool = True) -> tuple[float, ...]:
        """Take a client in, with its deadlines."""
        paced = self._clients[id(client)] = _Paced(client, self._counters, self._slack_s)
        return self._worker.attach(paced, warm_up=warm_up)

    def time_runs(self, client: WorkerClient, *, runs: int, seconds: float) -> tuple[float, ...]:
        """Give the seconds of so many runs."""
        return self._worker.time_runs(self._clients[id(client)], runs=runs, seconds=seconds)

    def detach(self, client: WorkerClient) -> None:
        """Let a client go."""
        self._worker.detach(self._clients.pop(id(client)))

    def wake(self) -> None:
        """Say that a client may have a due window."""
        self._worker.wake()

    def wait(self, until: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Block until a condition holds that only the worker can bring about."""
        return self._worker.wait(until, timeout_s)

    def nudge(self) -> None:
        """Have those who wait look again."""
        self._worker.nudge()


class _Paced:
    """A client with deadlines; see `engine.worker_client.WorkerClient`."""

    def __init__(self, client: WorkerClient, counters: FeedCounters, slack_s: Callable[[], float] | None) -> None:
        self._client = client
        self._counters = counters
        self._slack_s = slack_s
        self.raises_faults = getattr(client, "raises_faults", False)

    @property
    def separator(self) -> Separator:
        return self._client.separator

    @property
    def window_frames(self) -> int:
        return self._client.window_frames

    def slack_s(self) -> float | None:
        slack_s = self._client.slack_s()
        return slack_s if slack_s is None or self._slack_s is None else self._slack_s()

    def load(self, runner: Runner, row: int) -> bool:
        return self._client.load(runner, row)

    def store(self, runner: Runner, row: int, elapsed_s: float) -> None:
        counters = self._counters
        counters.compute_s[counters.windows % len(counters.compute_s)] = elapsed_s
        counters.windows += 1
        self._client.store(runner, row, elapsed_s)

    def fail(self, error: Exception, elapsed_s: float) -> None:
        if isinstance(error, FloatingPointError):
            self._counters.non_finite += 1
        else:
            self._counters.exceptions += 1
        self._client.fail(error, elapsed_s)
