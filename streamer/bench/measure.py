"""Measure rows against the baseline, pair by pair in turn, so that what else a machine does hits both alike."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from streamer.bench.figures import Measured, Row, key_of
from streamer.bench.process import RowFailure, Start, Started

__all__ = ["measure"]


def measure(
    rows: Sequence[Row],
    start: Start,
    *,
    rounds: int,
    done: dict[str, Measured] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Measured]:
    """Run every row that there is, once for each key.

    A round is a pair: the row and its baseline, one directly after the other, each alone on the machine meanwhile. The
    baseline is first in one round and second in the next. Rows with the same baseline are measured beside one process
    of it, which runs anew for every pair; rows of the same task share theirs.

    Parameters
    ----------
    rows : sequence of Row
    start : callable
        Makes a task ready, see `streamer.bench.process.RowProcess`.
    rounds : int
        Of each row that does not say for itself.
    done : dict, optional
        Where the result is put as it comes. After a KeyboardInterrupt it holds every row, those that were not reached
        with that as their fault.
    tell : callable, optional
        Hears the name of each row, and why one does not run.

    Returns
    -------
    dict of str to Measured
        By the rows' keys. A row that fails is there with its fault, and so are those whose baseline fails.
    """
    done = {} if done is None else done
    for each in rows:
        done.setdefault(each.key, Measured(each, fault=each.why_not))
    pending = [each for each in done.values() if not each.fault]
    try:
        for group in _by(pending, lambda each: key_of(each.row.baseline)):
            _measure_group(group, start, rounds, tell)
    except KeyboardInterrupt:
        for unreached in (each for each in pending if not each.runs):
            unreached.fault = unreached.fault or "not reached: interrupted"
        raise
    return done


def _measure_group(group: list[Measured], start: Start, rounds: int, tell: Callable[[str], None]) -> None:
    with contextlib.ExitStack() as stack:
        baseline: Started | None = None
        task = group[0].row.baseline
        if task is not None:
            try:
                baseline = start(task)
            except RowFailure as failure:
                for each in group:
                    each.fault = f"the baseline does not run: {failure}"
                return
            stack.callback(baseline.close)
        opened = stack.enter_context(_Opened(start, tell))
        for same_task in _by(group, lambda each: key_of(each.row.task)):
            opened.keep_only({key_of(same_task[0].row.task)})
            for each in same_task:
                tell(each.row.name)
                process = opened.get(each)
                if process is not None:
                    _measure_pairs(each, process, baseline, rounds, tell)


class _Opened:
    """Processes that are ready, by what they were made for."""

    def __init__(self, start: Start, tell: Callable[[str], None]) -> None:
        self._start = start
        self._tell = tell
        self._open: dict[str, Started | RowFailure] = {}

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.keep_only(set())

    def get(self, measured: Measured) -> Started | None:
        """Give the process of a row; None if it cannot be made ready, which is noted."""
        key = key_of(measured.row.task)
        if key not in self._open:
            try:
                self._open[key] = self._start(measured.row.task)
            except RowFailure as failure:
                self._open[key] = failure
                self._tell(f"{measured.row.name} does not run: {failure}")
        found = self._open[key]
        if isinstance(found, RowFailure):
            measured.fault = str(found)
            return None
        measured.ready = found.ready
        return found

    def keep_only(self, keys: set[str]) -> None:
        """End the others."""
        for key in self._open.keys() - keys:
            gone = self._open.pop(key)
            if not isinstance(gone, RowFailure):
                gone.close()


def _measure_pairs(
    each: Measured, process: Started, baseline: Started | None, rounds: int, tell: Callable[[str], None]
) -> None:
    for round_ in range(each.row.rounds or rounds):
        beside: Mapping[str, Any] | None = None
        figures: Mapping[str, Any] | None = None
        # What goes by in time, as a machine that gets warm, meets either in turn.
        for is_baseline in (True, False) if round_ % 2 == 0 else (False, True):
            if is_baseline and baseline is None:
                continue
            try:
                if is_baseline and baseline is not None:
                    beside = baseline.run(each.row.baseline_run)
                else:
                    figures = process.run(each.row.run)
            except RowFailure as failure:
                each.fault = f"the baseline does not run: {failure}" if is_baseline else str(failure)
                tell(f"{each.row.name} does not run: {each.fault}")
                return
        if figures is not None:
            each.runs.append(figures)
        if beside is not None:
            each.baseline_runs.append(beside)


def _by(rows: Iterable[Measured], key: Callable[[Measured], str]) -> list[list[Measured]]:
    """Group, in the order of the first of each."""
    groups: dict[str, list[Measured]] = {}
    for each in rows:
        groups.setdefault(key(each), []).append(each)
    return list(groups.values())
