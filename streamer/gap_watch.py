"""Notices that stems are not there in time, and that they are again, and tells it once each."""

from __future__ import annotations

from collections.abc import Callable

from streamer.events import Event, EventLog
from streamer.timeline import BlockRungs

__all__ = ["GapWatch"]

_GAP_S = 0.25
_WHOLE_S = 2.0


class GapWatch:
    """Follows the rungs of the ladder that are heard. Used by one thread.

    Parameters
    ----------
    events : EventLog
    cause : callable
        Says why stems are late.
    """

    def __init__(self, events: EventLog, cause: Callable[[], str]) -> None:
        self._events, self._cause = events, cause
        self._is_behind = False
        self._gap, self._whole = 0, 0

    def restart(self) -> None:
        """Begin anew at another place."""
        self._gap, self._whole = 0, 0

    def look(self, rungs: BlockRungs, frames: int, sample_rate: int, heard_frames: int) -> None:
        """Take note of a block."""
        if rungs.mixture:
            self._gap += rungs.mixture
            self._whole = 0
        else:
            self._whole += frames
            self._gap = 0 if self._whole > _GAP_S * sample_rate else self._gap
        if not self._is_behind and self._gap > _GAP_S * sample_rate:
            self._is_behind = True
            self._events.add(Event("behind", heard_frames, f"the stems are not there in time: {self._cause()}"))
        elif self._is_behind and self._whole > _WHOLE_S * sample_rate:
            self._is_behind = False
            self._events.add(Event("caught up", heard_frames, "the stems are there in time again"))
