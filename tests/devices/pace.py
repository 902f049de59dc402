"""Tells when the machine itself ran slowly, so that tests of real sound say nothing of those moments.

A virtual machine may be given a fraction of its processors for a while, or none, without any sign but that all takes
longer. On each processor a program of its own does the same small work again and again and keeps what processor time it
took: that grows when the machine is slow, and not when other programs are in front. Where it may be in front of all
others itself, it also keeps how late it came to its work: only a processor that stood still makes it late.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

_EVERY_S, _ADDITIONS = 0.002, 500
_SLOW, _ENOUGH = 3.0, 2
"""So many times as long as usual is slow, and so many slow works in a row are a spell."""
_LATE_S = 0.002
"""So late is a processor that stood still: more than a third of the periods that the servers here have."""
_BEFORE_S, _AFTER_S = 0.1, 0.4
"""Around a spell: works that were not seen, and what a session needs to be on time again."""


class Pace:
    """The pace of the machine from when it is entered on."""

    def __enter__(self) -> Self:
        self._watches = [
            subprocess.Popen([sys.executable, __file__, str(cpu)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for cpu in sorted(os.sched_getaffinity(0))
        ]
        for watch in self._watches:
            assert watch.stdout is not None
            # It is at work from here on.
            watch.stdout.readline()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        said = [json.loads(watch.communicate()[0]) for watch in self._watches]
        self.slow_s: npt.NDArray[np.float64] = np.concatenate([_slow_moments(np.asarray(works)) for works in said])

    def steady(self, begin_s: float, pieces: int, piece_s: float) -> npt.NDArray[np.bool_]:
        """Tell of pieces of time, from a moment of ``time.monotonic`` on, whether the machine kept its pace there."""
        begins = begin_s + piece_s * np.arange(pieces)
        slow = self.slow_s[:, None]
        touched = (slow > begins - _AFTER_S) & (slow < begins + piece_s + _BEFORE_S)
        return ~touched.any(axis=0)


def _slow_moments(works: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    at_s, took_s, late_s = works.reshape(-1, 3).T
    is_slow = took_s > _SLOW * np.median(took_s)
    is_spell = is_slow.copy()
    for n in range(1, _ENOUGH):
        is_spell[n:] &= is_slow[:-n]
    return at_s[is_spell | (late_s > _LATE_S)]


def main() -> None:
    """Work on one processor until the standard input is closed."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(os.sched_get_priority_max(os.SCHED_FIFO)))
        is_in_front = True
    except PermissionError:
        is_in_front = False
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    works = []
    print("at work", flush=True)
    due_s = time.monotonic() + _EVERY_S
    while not selector.select(_EVERY_S):
        came_s, before = time.monotonic(), time.thread_time()
        value = 0
        for n in range(_ADDITIONS):
            value += n
        works.append((came_s, time.thread_time() - before, came_s - due_s if is_in_front else 0.0))
        due_s = time.monotonic() + _EVERY_S
    print(json.dumps(works))


if __name__ == "__main__":
    main()
