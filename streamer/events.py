"""What happened in a session that its user should know of, in order."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Event", "EventKind", "EventLog"]

EventKind = Literal[
    "latency",
    "jump",
    "lost",
    "returned",
    "silent",
    "late",
    "track",
    "skipped",
    "behind",
    "caught up",
    "saved",
    "not saved",
    "cache",
    "fault",
    "ended",
]

_KEPT = 1000


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes
    ----------
    kind : str
        ``latency``: it changed with the model, its operating point or the device. ``jump``: a clock jumped and a new
        epoch began. ``lost``: the device was lost, or cannot be taken up again. ``returned``: it came back. ``silent``:
        nothing but digital silence was heard since the start. ``late``: most blocks come late since the start.

        Of a player: ``track``: one begins. ``skipped``: one cannot be played, or not to its end. ``behind``: its stems
        are not there in time, and the ladder takes over. ``caught up``: they are again. ``saved``, ``not saved``: its
        stem files are complete, or given up. ``cache``: something is the matter with what is kept. ``fault``: the model
        failed. ``ended``: nothing is left to play.
    frame : int
        Frames that the session had moved by then.
    text : str
        One line for the user, with its cause.
    """

    kind: EventKind
    frame: int
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        return asdict(self)


class EventLog:
    """Events on their way from the threads of a session to its user; the oldest of very many are dropped.

    Any thread may add and take.
    """

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque(maxlen=_KEPT)

    def add(self, event: Event) -> None:
        """Append an event. Never waits."""
        self._waiting.append(event)

    def take(self) -> tuple[Event, ...]:
        """Give the events since the last call, oldest first."""
        taken = []
        while self._waiting:
            try:
                taken.append(self._waiting.popleft())
            except IndexError:
                # Another thread took the last one in between.
                break
        return tuple(taken)
