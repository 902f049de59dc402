"""What the listener wants of the play head; set by any thread, heeded by those who load and read."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from streamer.play_head import Cue, Loop

__all__ = ["Order", "Orders"]


@dataclass(frozen=True)
class Order:
    """To go to a place.

    Attributes
    ----------
    number : int
        A later order has a greater one.
    cue : Cue
    step : int
        1 or -1: where another track is looked for if this one cannot be played.
    """

    number: int
    cue: Cue
    step: int = 1


class Orders:
    """The newest wishes; what was wanted before and not yet done is forgotten.

    Attributes
    ----------
    is_paused : bool
        To be silent at one place.
    loop : tuple of int and Loop, or None
        The loop and its track.
    """

    def __init__(self) -> None:
        self.is_paused = False
        self.loop: tuple[int, Loop] | None = None
        self._newest: Order | None = None
        self._done = 0
        self._lock = threading.Lock()

    def go_to(self, cue: Cue, *, step: int = 1) -> None:
        """Play from a place as soon as it can be read."""
        with self._lock:
            number = 1 if self._newest is None else self._newest.number + 1
            self._newest = Order(number, cue, step)

    @property
    def newest(self) -> Order | None:
        """Where to go; None once it was done."""
        order = self._newest
        return None if order is None or order.number <= self._done else order

    def done(self, number: int) -> None:
        """Say that an order was done, or cannot be; one thread at a time. Orders after it stay."""
        self._done = max(self._done, number)

    def redirect(self, order: Order, cue: Cue) -> None:
        """Let an order lead elsewhere, unless there is a newer one."""
        with self._lock:
            if self._newest is order:
                self._newest = replace(order, cue=cue)

    def loop_of(self, track: int) -> Loop | None:
        """Give the loop of a track, if it has one."""
        loop = self.loop
        return loop[1] if loop is not None and loop[0] == track else None
