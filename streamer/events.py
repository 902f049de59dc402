"""What happened in a session that its user should know of, in order."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Event", "EventKind", "EventLog"]

EventKind = Literal["latency", "jump", "lost", "returned", "silent", "late"]

_KEPT = 1000


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes
    ----------
    kind : {"latency", "jump", "lost", "returned", "silent", "late"}
        The latency changed with the model, its operating point or the device; a clock jumped and a new epoch began;
        the device was lost, or cannot be taken up again; it came back; nothing but digital silence was heard since
        the start; most blocks come late since the start.
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
