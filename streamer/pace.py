"""Notices live audio that comes faster than time, for which no model can be on time."""

from __future__ import annotations

import math
import warnings
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
        self.is_too_fast = False
        """Whether a second once brought 1.5 seconds of audio."""
        self._has_told = False
        self.restart()

    def restart(self) -> None:
        """Begin a new second."""
        self._begin, self._frames = -math.inf, 0

    def hear(self, frames: int) -> None:
        """Take note of a block. Says nothing: whoever reads standard error must not be able to hold up the sound."""
        now = self._clock()
        if not 0.0 <= now - self._begin < 1.0:
            # The block that opens a second was heard before it.
            self._begin, self._frames = now, 0
        else:
            self._frames += frames
        if self._frames > self._limit:
            self.is_too_fast = True

    def tell(self) -> None:
        """Warn once if it was too fast; where nothing has to be on time."""
        if not self.is_too_fast or self._has_told:
            return
        self._has_told = True
        warnings.warn(
            f"live audio came more than {_TOO_FAST} times faster than the clock, so the model could not keep up: "
            "pace the blocks, or use realtime=False, which waits for the model",
            RuntimeWarning,
            stacklevel=3,
        )
