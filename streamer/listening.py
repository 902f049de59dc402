"""Where somebody listens, or will."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Listening"]


@dataclass(frozen=True)
class Listening:
    """A head and what lies before it.

    Attributes
    ----------
    track : int
    head, end : int
        The frames ``[head, end)`` will be heard without a jump.
    moves : bool
        Time passes.
    waits : bool
        Whoever listens waits for the stems of each frame.
    """

    track: int
    head: int
    end: int
    moves: bool
    waits: bool = False
