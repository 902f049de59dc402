"""What a worker and the streams on it expect of each other, and whose window leaves first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from engine.batching import BatchCosts, pause_s
from engine.separator import Runner, Separator

__all__ = [
    "CATCHING_UP",
    "WAITING",
    "RunnerKey",
    "WorkerClient",
    "WorkerLike",
    "by_urgency",
    "pause_for_others",
    "runner_key",
]

RunnerKey = tuple[int, int]
"""Identity of a model, and frames of its windows: what clients that can share a run have in common."""

WAITING = float("inf")
"""Slack of a window that somebody waits for: it leaves after every window with a deadline."""

CATCHING_UP = 1e9
"""Slack of a window that is late or only primes a state: it leaves after every window that can be on time."""


class WorkerClient(Protocol):
    """A stream as the worker sees it. Every method is called on the worker's thread.

    One that raises what it hears in ``fail``, instead of going on, says so with an attribute ``raises_faults`` that is
    true: the worker leaves its faults out of the log then. One whose windows fall due as time goes by may tell with a
    method ``due_in_s()`` in how many seconds the next will, or None where it does not know: others may wait for it.
    """

    @property
    def separator(self) -> Separator:
        """The model; clients with the same one and the same window length share batches."""

    @property
    def window_frames(self) -> int:
        """Length of the client's windows."""

    def slack_s(self) -> float | None:
        """Seconds until the next due window must be ready; None if no window can run now.

        ``CATCHING_UP`` if it is late or only primes, ``WAITING`` if somebody waits for it.
        """

    def load(self, runner: Runner, row: int) -> bool:
        """Put the next due window into a row; False if there is none after all."""

    def store(self, runner: Runner, row: int, elapsed_s: float) -> None:
        """Take the outcome of the window loaded longest ago. An exception from here is passed to ``fail``."""

    def fail(self, error: Exception, elapsed_s: float) -> None:
        """Hear that the window loaded longest ago has no outcome."""


class WorkerLike(Protocol):
    """What a stream needs of a worker; ``streamer.testing`` has one whose time is scripted."""

    batch_size: int

    def attach(self, client: WorkerClient, *, warm_up: bool = True) -> tuple[float, ...]:
        """Take a client in and warm its model up unless told; returns the seconds of the timed runs of one window."""

    def time_runs(self, client: WorkerClient, *, runs: int, seconds: float) -> tuple[float, ...]:
        """Give the seconds of so many runs of a client's model, or of those that fit; none where time is scripted."""

    def detach(self, client: WorkerClient) -> None:
        """Let a client go; returns when none of its windows is under way."""

    def wake(self) -> None:
        """Say that a client may have a due window. Never blocks."""

    def wait(self, until: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Block until a condition holds that the worker, or whoever nudges, can bring about; False on time-out."""

    def nudge(self) -> None:
        """Have those who wait look again: something has changed that is not the worker's doing."""


def by_urgency(clients: Sequence[WorkerClient], turn: int) -> list[WorkerClient]:
    """Give the clients with a window to run, the most urgent first; turns break ties, so that each gets its share."""
    count = len(clients)
    urgent = [
        (slack, (n + turn) % count, client)
        for n, client in enumerate(clients)
        if (slack := client.slack_s()) is not None
    ]
    return [client for _, _, client in sorted(urgent, key=lambda entry: entry[:2])]


def runner_key(client: WorkerClient) -> RunnerKey:
    """Give what clients that can share a run have in common."""
    return id(client.separator), client.window_frames


def pause_for_others(due: Sequence[WorkerClient], clients: Sequence[WorkerClient], costs: BatchCosts | None) -> float:
    """Give the seconds that windows of one model should wait for those of other live streams; see `pause_s`.

    Nobody waits where a window of another model is due, or one that is late already or that somebody waits for.

    Parameters
    ----------
    due : sequence of WorkerClient
        Those with a window to run, at least one.
    clients : sequence of WorkerClient
        All.
    costs : BatchCosts or None
        Of the first one's model.
    """
    key = runner_key(due[0])
    slacks = [slack for client in due if (slack := client.slack_s()) is not None]
    if costs is None or not slacks or max(slacks) >= CATCHING_UP or any(runner_key(client) != key for client in due):
        return 0.0
    others = (client for client in clients if client not in due and runner_key(client) == key)
    coming = [client.due_in_s() for client in others if hasattr(client, "due_in_s")]
    return pause_s(slacks, [seconds for seconds in coming if seconds is not None], costs)
