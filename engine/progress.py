"""How far a separation is, and how it is told to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Cancel", "Meter", "Progress", "ProgressCallback"]


@dataclass(frozen=True)
class Progress:
    """How far a separation is.

    Attributes
    ----------
    fraction : float
        Share of the model's windows that are done, 0 to 1; NaN where the length is not known.
    eta_s : float
        Seconds left at the pace so far; NaN where that is not known.
    """

    fraction: float
    eta_s: float


ProgressCallback = Callable[[Progress], None]
"""Called from the thread that separates; an exception from it cancels the separation."""


class Cancel(Protocol):
    """What tells a separation to stop: a `threading.Event`, or anything with its ``is_set``."""

    def is_set(self) -> bool:
        """Whether it shall stop. Any thread may have said so."""
        ...


class Meter:
    """Tells how far a separation is, and stops it where that is wanted. Used by the thread that separates."""

    def __init__(self, callback: ProgressCallback | None, cancel: Cancel | None) -> None:
        self._callback = callback
        self._cancel = cancel
        self._begin = time.monotonic()

    def is_cancelled(self) -> bool:
        """Whether it shall stop; any thread may ask."""
        return self._cancel is not None and self._cancel.is_set()

    def show(self, fraction: float) -> None:
        """Call back.

        Raises
        ------
        concurrent.futures.CancelledError
            If the separation is cancelled.
        """
        if self.is_cancelled():
            raise CancelledError("the separation was cancelled")
        if self._callback is not None:
            spent = time.monotonic() - self._begin
            self._callback(Progress(fraction, spent * (1 - fraction) / fraction if fraction > 0 else math.nan))

    def finish(self) -> None:
        """Call back for the last time."""
        if self._callback is not None:
            self._callback(Progress(1.0, 0.0))
