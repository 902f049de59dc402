"""The one thread that runs models: it gathers due windows, of one stream and across streams, into batches."""

from __future__ import annotations

import atexit
import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from engine.denormals import DenormalsAsZero
from engine.errors import ConfigurationError, LifecycleError
from engine.priority import PriorityReport, raise_priority
from engine.runner_pool import RunnerPool, RunOutcome
from engine.worker_client import WAITING, RunnerKey, WorkerClient, by_urgency, pause_for_others, runner_key

__all__ = ["Worker"]

_Answer = TypeVar("_Answer")

_LOGGER = logging.getLogger("stemstream.worker")
_CHECK_SECONDS = 1.0
_EXIT_SECONDS = 5.0
_MAX_BATCH = 1024
_MAX_PRIORITY = 99


class Worker:
    """Runs the models of any number of streams on one thread, which starts with the first and ends with the last.

    Windows leave in the order of their deadlines. A batch takes what is due: one window of each stream with the same
    separator, and several of a stream that waits for them, up to ``batch_size``. It waits for the window of another
    live stream only where that saves time and all are in time nevertheless, see `engine.batching.pause_s`.

    Parameters
    ----------
    batch_size : int
        Most windows a run. Memory for the model's activations grows with it.
    priority : int, optional
        Real-time priority that the thread asks for when it starts, see `engine.priority.raise_priority`; 1 to 99,
        where `engine.priority.WORKER_LEVEL` is meant for this. Left out: none is asked for.

    Notes
    -----
    ``attach`` and ``detach`` may be called from any thread and wait for the worker; ``wake`` never waits.
    """

    def __init__(self, batch_size: int = 1, *, priority: int | None = None) -> None:
        if not isinstance(batch_size, int) or not 1 <= batch_size <= _MAX_BATCH:
            raise ConfigurationError(
                f"batch size {batch_size!r} cannot be used: give a whole number from 1 to {_MAX_BATCH}"
            )
        if priority is not None and (not isinstance(priority, int) or not 1 <= priority <= _MAX_PRIORITY):
            raise ConfigurationError(
                f"priority {priority!r} cannot be used: give a whole number from 1 to {_MAX_PRIORITY}, or leave it out"
            )
        self.batch_size = batch_size
        self._wanted_priority = priority
        self._priority: PriorityReport | None = None
        self._clients: tuple[WorkerClient, ...] = ()
        self._stays = 0
        self._pool = RunnerPool(batch_size)
        self._requests: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._awake = False
        self._progress = threading.Condition()
        self._lifecycle = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_serving = False
        self._has_due = False
        self._pause_s = 0.0
        self._last_fault = ""
        self._turn = 0

    @property
    def stream_count(self) -> int:
        """Streams that are attached."""
        return len(self._clients)

    @property
    def is_running(self) -> bool:
        """Whether the thread is alive and at work."""
        return self._thread is not None and self._is_serving

    @property
    def runs_by_rows(self) -> dict[int, int]:
        """Runs so far by the windows in each, without those of warm-ups."""
        return dict(self._pool.runs_by_rows)

    @property
    def priority(self) -> PriorityReport | None:
        """What became of the priority that was asked for, once a stream is attached; None where none was."""
        return self._priority

    def attach(self, client: WorkerClient, *, warm_up: bool = True) -> tuple[float, ...]:
        """Take a client in, allocate for its model, and warm it up at the exact shapes on the worker's thread.

        Parameters
        ----------
        client : WorkerClient
        warm_up : bool
            False where no window has a deadline: some models take a minute a run.

        Returns
        -------
        tuple of float
            Seconds of each timed run of one window, after three untimed ones; none without a warm-up.

        Raises
        ------
        Exception
            Whatever the model raises in its first runs.
        """
        with self._lifecycle:
            if self._thread is None:
                self._is_serving = True
                self._thread = threading.Thread(target=self._loop, name="stemstream-worker", daemon=True)
                self._thread.start()
                atexit.register(self._stop_at_exit)
            try:
                return self._ask(lambda: self._admit(client, warm_up))
            except BaseException:
                # An interruption may have come while the client was being admitted.
                with contextlib.suppress(LifecycleError):
                    self._ask(lambda: self._dismiss(client))
                self._stop_if_unused()
                raise

    def time_runs(self, client: WorkerClient, *, runs: int, seconds: float) -> tuple[float, ...]:
        """Run an attached client's model on silence, so many times or for so long, and give the seconds of each run.

        For before a stream begins: the streams of this worker wait meanwhile.
        """
        return self._ask(lambda: self._pool.time_runs(runner_key(client), runs, seconds))

    def detach(self, client: WorkerClient) -> None:
        """Let a client go; the thread ends with the last one."""
        if threading.current_thread() is self._thread:
            # A stream that was dropped may be collected on any thread; this one cannot wait for itself.
            self._requests.put(lambda: self._dismiss(client))
            self._tokens.put(None)
            return
        with self._lifecycle:
            if client not in self._clients:
                raise LifecycleError("this stream is not attached to the worker: detach it once")
            if self.is_running:
                self._ask(lambda: self._dismiss(client))
            else:
                self._dismiss(client)
            self._stop_if_unused()

    @contextlib.contextmanager
    def staying(self) -> Iterator[None]:
        """Within the block keep thread and runners also while no stream is attached: the next one finds them warm."""
        with self._lifecycle:
            self._stays += 1
        try:
            yield
        finally:
            with self._lifecycle:
                self._stays -= 1
                if self.is_running:
                    self._ask(self._tidy)
                self._stop_if_unused()

    def wake(self) -> None:
        """Say that a client may have a due window. Never blocks; any thread."""
        if not self._awake:
            self._awake = True
            self._tokens.put(None)

    def wait(self, until: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Block until ``until()`` holds, as checked after every run and nudge. Any thread but the worker's.

        Returns
        -------
        bool
            False on time-out, or if the worker's thread ended.
        """
        with self._progress:
            self._progress.wait_for(lambda: until() or not self.is_running, timeout_s)
            return until()

    def nudge(self) -> None:
        """Have those who wait look again: something has changed that is not the worker's doing. Any thread."""
        with self._progress:
            self._progress.notify_all()

    def _ask(self, action: Callable[[], _Answer]) -> _Answer:
        """Have the worker's thread do something and hand its outcome, or its error, to this one."""
        answer: Future[_Answer] = Future()

        def perform() -> None:
            try:
                answer.set_result(action())
            except BaseException as error:
                answer.set_exception(error)

        self._requests.put(perform)
        self._tokens.put(None)
        while not answer.done():
            with contextlib.suppress(TimeoutError):
                answer.exception(_CHECK_SECONDS)
            if not answer.done() and not self.is_running:
                raise LifecycleError("the worker's thread has ended on an error: use a new Worker")
        return answer.result()

    def _stop_if_unused(self) -> None:
        if not self._clients and not self._stays:
            self._stop()

    def _stop(self, timeout_s: float | None = None) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            atexit.unregister(self._stop_at_exit)
            self._requests.put(_leave)
            self._tokens.put(None)
            thread.join(timeout_s)
            if thread.is_alive():
                _LOGGER.warning("a model did not return within %g s: its thread is left behind", timeout_s)

    def _stop_at_exit(self) -> None:
        self._stop(_EXIT_SECONDS)

    def _loop(self) -> None:
        try:
            if self._wanted_priority is not None:
                self._priority = raise_priority("worker", self._wanted_priority)
            with DenormalsAsZero():
                self._serve()
        except BaseException:
            _LOGGER.exception("the worker's thread ended on an error in the program; its streams get no more results")
            raise
        finally:
            with self._progress:
                self._is_serving = False
                self._progress.notify_all()

    def _serve(self) -> None:
        while True:
            # Calls that came during a run are answered by the look that follows; kept, they would pile up.
            while not self._tokens.empty():
                self._tokens.get()
            self._awake = False
            try:
                while not self._requests.empty():
                    self._requests.get()()
                batch = self._gather()
            except _Leave:
                return
            if batch:
                self._run(*batch)
            elif self._pause_s > 0:
                with contextlib.suppress(queue.Empty):
                    self._tokens.get(timeout=self._pause_s)
            elif not self._has_due:
                # Where a window was due and could not be loaded, as when a stream was reset meanwhile, look again.
                self._tokens.get()

    def _admit(self, client: WorkerClient, warm_up: bool) -> tuple[float, ...]:
        timings = self._pool.admit(client, warm_up=warm_up)
        self._clients = (*self._clients, client)
        return timings

    def _dismiss(self, client: WorkerClient) -> None:
        self._clients = tuple(c for c in self._clients if c is not client)
        self._tidy()

    def _tidy(self) -> None:
        if not self._stays:
            self._pool.keep_those_of(self._clients)

    def _gather(self) -> tuple[RunnerKey, list[WorkerClient]] | None:
        """Load the most urgent window, and with it all others that the same model can run now."""
        self._turn += 1
        self._pause_s = 0.0
        order = by_urgency(self._clients, self._turn)
        self._has_due = bool(order)
        if order and self.batch_size > 1:
            self._pause_s = pause_for_others(order, self._clients, self._pool.costs(runner_key(order[0])))
            if self._pause_s:
                return None
        for key in dict.fromkeys(runner_key(client) for client in order):
            if rows := self._load(key, order):
                return key, rows
        return None

    def _load(self, key: RunnerKey, order: list[WorkerClient]) -> list[WorkerClient]:
        """Fill the rows of a runner: a window of each client first, then more of those that are waited for."""
        runner = self._pool[key]
        rows: list[WorkerClient] = []
        for client in order:
            if runner_key(client) == key and len(rows) < runner.batch_size and client.load(runner, len(rows)):
                rows.append(client)
        for client in order:
            while (
                rows
                and client in rows
                and client.slack_s() == WAITING
                and len(rows) < runner.batch_size
                and client.load(runner, len(rows))
            ):
                rows.append(client)
        return rows

    def _tell(self, fault: Exception) -> None:
        """Log a fault, but not the same one for every window."""
        if str(fault) != self._last_fault:
            self._last_fault = str(fault)
            _LOGGER.warning("a window failed, the stream goes on without it: %s", fault)

    def _run(self, key: RunnerKey, rows: list[WorkerClient]) -> None:
        for outcome in self._pool.run(key, len(rows)):
            self._hand_out(outcome, rows[: outcome.rows])
            del rows[: outcome.rows], outcome

    def _hand_out(self, outcome: RunOutcome, rows: list[WorkerClient]) -> None:
        for row, client in enumerate(rows):
            try:
                if outcome.error is not None:
                    raise outcome.error
                client.store(outcome.runner, row, outcome.elapsed_s)
            except Exception as raised:
                if not getattr(client, "raises_faults", False):
                    self._tell(raised)
                client.fail(raised, outcome.elapsed_s)
        # The traceback of a fault holds this frame, which must not hold the fault, nor any stream.
        rows.clear()
        outcome.error = None
        del client
        self.nudge()


class _Leave(Exception):
    """Ends the worker's loop."""


def _leave() -> None:
    raise _Leave
