"""Notices live audio that comes faster than time, for which no model can be on time."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["PaceWatch"]

_TOO_FAST = 1.5


class PaceWatch:
    """Compares the audio of a live stream with the clock.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    clock : callable
        Gives seconds that never run backwards.
    """

    def __init__(self, sample_rate: int, clock: Callable[[], float]) -> None:
        self._limit = _TOO_FAST * sample_rate
        self._clock = clock
        self._has_spoken = False
        self.restart()

    def restart(self) -> None:
        """Begin a new second."""
        self._begin, self._frames = -math.inf, 0

    def hear(self, frames: int) -> str | None:
        """Take note of a block; gives a warning, once, when a second brought 1.5 seconds of audio."""
        now = self._clock()
        if not 0.0 <= now - self._begin < 1.0:
            # The block that opens a second was heard before it.
            self._begin, self._frames = now, 0
        else:
            self._frames += frames
        if self._has_spoken or self._frames <= self._limit:
            return None
        self._has_spoken = True
        return (
            f"live audio comes more than {_TOO_FAST} times faster than the clock, so the model cannot keep up: "
            "pace the blocks, or use realtime=False, which waits for the model"
        )
