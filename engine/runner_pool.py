"""The runners of a worker: one for each model and length of window, warmed up, timed, and smaller where memory ends."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from engine.batching import BatchCosts, sizes_to_time
from engine.errors import ModelError, OutOfMemory, forget_frames
from engine.separator import F32, Runner, Separator, StateArrays
from engine.worker_client import RunnerKey, WorkerClient, runner_key

__all__ = ["RunOutcome", "RunnerPool"]

_LOGGER = logging.getLogger("stemstream.worker")
_WARM_UP_RUNS = 3
_TIMED_RUNS = 10
_TIMED_SECONDS = 0.5
_BATCH_ROUNDS = 3


@dataclass
class _Entry:
    separator: Separator
    """Held, so that no other model can get its identity."""
    runner: Runner
    timings: tuple[float, ...] = ()
    costs: BatchCosts | None = None


@dataclass
class RunOutcome:
    """How a run went.

    Attributes
    ----------
    runner : Runner
        Its first ``rows`` rows hold the outcome; whoever keeps it keeps its memory.
    rows : int
    elapsed_s : float
    error : Exception or None
    """

    runner: Runner
    rows: int
    elapsed_s: float
    error: Exception | None


class RunnerPool:
    """Allocates, warms up and runs what the clients of a worker need. Used by the worker's thread alone.

    Where memory runs out, the runner of that model is replaced by one of half the batch size, whose buffers are smaller
    too, and the same rows are run again; the model stays at that size as long as it has clients. Only what does not
    even run window by window is a fault.

    Parameters
    ----------
    batch_size : int
        Most rows a run.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._entries: dict[RunnerKey, _Entry] = {}
        self.runs_by_rows: Counter[int] = Counter()
        """Runs so far by the windows in each, without those of warm-ups."""

    def __getitem__(self, key: RunnerKey) -> Runner:
        return self._entries[key].runner

    def admit(self, client: WorkerClient, *, warm_up: bool) -> tuple[float, ...]:
        """See to it that there is a runner for a client; gives the seconds of its timed runs where it is warmed up."""
        key = runner_key(client)
        if key not in self._entries:
            separator = client.separator
            self._entries[key] = _Entry(separator, _allocated(separator, client.window_frames, self._batch_size))
        if not warm_up:
            return ()
        while not self._entries[key].timings:
            try:
                self._warm_up(self._entries[key])
            except (OutOfMemory, MemoryError) as error:
                if self._entries[key].runner.batch_size == 1:
                    raise
                forget_frames(error)
                self._halve(key)
        return self._entries[key].timings

    def _warm_up(self, entry: _Entry) -> None:
        """Run at the exact shapes until the first-run costs are paid, then time runs."""
        runner = entry.runner
        _silence(runner)
        for _ in range(_WARM_UP_RUNS):
            runner.run(runner.batch_size)
        timings = _time_runs(runner, _TIMED_RUNS, _TIMED_SECONDS)
        by_rows: dict[int, list[float]] = {rows: [] for rows in sizes_to_time(runner.batch_size)}
        if runner.batch_size > 1:
            # In turns, so that other load that comes and goes does not favour one of the sizes.
            for rows in _BATCH_ROUNDS * tuple(by_rows):
                by_rows[rows] += _time_runs(runner, 1, math.inf, rows=rows)
            entry.costs = BatchCosts.of_runs(by_rows)
        entry.timings = timings

    def costs(self, key: RunnerKey) -> BatchCosts | None:
        """Give what runs cost, where that was measured in a warm-up."""
        return self._entries[key].costs

    def keep_those_of(self, clients: Iterable[WorkerClient]) -> None:
        """Free what none of these clients needs."""
        used = {runner_key(client) for client in clients}
        self._entries = {key: entry for key, entry in self._entries.items() if key in used}

    def time_runs(self, key: RunnerKey, runs: int, seconds: float) -> tuple[float, ...]:
        """Give the seconds of so many runs of one window of silence, or of those that fit."""
        return _time_runs(self._entries[key].runner, runs, seconds)

    def run(self, key: RunnerKey, rows: int) -> Iterator[RunOutcome]:
        """Run the first rows of a runner, in one go or, where memory does not suffice for that, in several.

        Yields
        ------
        RunOutcome
            Those of all rows in order. It must be let go of before the next.
        """
        entry = self._entries[key]
        runner = entry.runner
        self.runs_by_rows[rows] += 1
        outcome = _attempt(runner, rows)
        if entry.costs is not None:
            entry.costs = entry.costs.after(rows, outcome.elapsed_s)
        del entry
        if not _is_too_large(outcome):
            yield outcome
            return
        # These two arrays are all that is kept of the buffers that were too large.
        windows, states = runner.windows, runner.states
        del runner, outcome
        self._halve(key)
        done = 0
        while done < rows:
            runner = self._entries[key].runner
            n = min(runner.batch_size, rows - done)
            _fill(runner, windows[done : done + n], tuple(state[done : done + n] for state in states))
            outcome = _attempt(runner, n)
            del runner
            if _is_too_large(outcome):
                del outcome
                self._halve(key)
                continue
            done += n
            yield outcome
            del outcome

    def _halve(self, key: RunnerKey) -> None:
        """Put a smaller runner in the place of one that is too large; nobody else may hold that one."""
        entry = self._entries.pop(key)
        separator, size = entry.separator, entry.runner.batch_size // 2
        del entry
        _, window_frames = key
        runner = _allocated(separator, window_frames, size)
        self._entries[key] = _Entry(separator, runner)
        _LOGGER.warning(
            "memory ran out: %r goes on with %d %s a run",
            separator.spec.name,
            runner.batch_size,
            "window" if runner.batch_size == 1 else "windows",
        )


def _allocated(separator: Separator, window_frames: int, batch_size: int) -> Runner:
    """Allocate the largest runner that there is memory for."""
    while True:
        try:
            return separator.runner(batch_size, window_frames)
        except (OutOfMemory, MemoryError) as error:
            if batch_size == 1:
                raise
            forget_frames(error)
            batch_size //= 2


def _attempt(runner: Runner, rows: int) -> RunOutcome:
    begin = time.perf_counter()
    error: Exception | None = None
    try:
        runner.run(rows)
    except OutOfMemory as raised:
        error = raised
    except MemoryError as raised:
        error = OutOfMemory(
            f"model {runner.separator.spec.name!r} ran out of memory ({raised or 'no more is told'}): close other "
            "programs, or take a smaller model"
        )
    except Exception as raised:  # whatever a model raises is a fault of its window, and the stream is told
        error = raised
    except BaseException as raised:
        # A model that calls for the end of the program ends its window, not the thread of all streams.
        error = ModelError(f"the model ended with {type(raised).__name__}: {raised}")
    if isinstance(error, OutOfMemory):
        # What the model had computed until then lives in the frames of the traceback.
        forget_frames(error)
    return RunOutcome(runner, rows, time.perf_counter() - begin, error)


def _is_too_large(outcome: RunOutcome) -> bool:
    return isinstance(outcome.error, OutOfMemory) and outcome.runner.batch_size > 1


def _fill(runner: Runner, windows: F32, states: StateArrays) -> None:
    np.copyto(runner.windows[: len(windows)], windows)
    for rows, given in zip(runner.states, states, strict=True):
        np.copyto(rows[: len(given)], given)


def _silence(runner: Runner) -> None:
    runner.windows[...] = 0.0


def _time_runs(runner: Runner, runs: int, seconds: float, *, rows: int = 1) -> tuple[float, ...]:
    _silence(runner)
    timings: list[float] = []
    while len(timings) < runs and sum(timings) < seconds:
        begin = time.perf_counter()
        runner.run(rows)
        timings.append(time.perf_counter() - begin)
    return tuple(timings)
