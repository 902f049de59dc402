"""Tells when the machine itself ran slowly, so that tests of real sound say nothing of those moments.

A virtual machine may be given a fraction of its processor for a while, without any sign but that all takes longer. A
program of its own does the same small work again and again and keeps what processor time it took: that grows when the
machine is slow, and not when other programs are in front.
"""

from __future__ import annotations

import json
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
_BEFORE_S, _AFTER_S = 0.1, 0.4
"""Around a spell: works that were not seen, and what a session needs to be on time again."""


class Pace:
    """The pace of the machine from when it is entered on."""

    def __enter__(self) -> Self:
        self._watch = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._watch.stdout is not None
        # It is at work from here on.
        self._watch.stdout.readline()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        said, _errors = self._watch.communicate()
        times = np.asarray(json.loads(said)).reshape(-1, 2)
        is_slow = times[:, 1] > _SLOW * np.median(times[:, 1])
        is_spell = is_slow.copy()
        for n in range(1, _ENOUGH):
            is_spell[n:] &= is_slow[:-n]
        self.slow_s: npt.NDArray[np.float64] = times[is_spell, 0]

    def steady(self, begin_s: float, pieces: int, piece_s: float) -> npt.NDArray[np.bool_]:
        """Tell of pieces of time, from a moment of ``time.monotonic`` on, whether the machine kept its pace there."""
        begins = begin_s + piece_s * np.arange(pieces)
        slow = self.slow_s[:, None]
        touched = (slow > begins - _AFTER_S) & (slow < begins + piece_s + _BEFORE_S)
        return ~touched.any(axis=0)


def main() -> None:
    """Work until the standard input is closed."""
    import selectors

    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    times = []
    print("at work", flush=True)
    while not selector.select(_EVERY_S):
        before = time.thread_time()
        value = 0
        for n in range(_ADDITIONS):
            value += n
        times.append((time.monotonic(), time.thread_time() - before))
    print(json.dumps(times))


if __name__ == "__main__":
    main()
