"""One thing on its way from one thread to another, which either may take back: whoever takes it has it alone."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["Slot"]

Item = TypeVar("Item")


class Slot(Generic[Item]):
    """Holds one thing or none. Nobody waits."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque(maxlen=1)

    def peek(self) -> Item | None:
        """Give what is there, and leave it."""
        try:
            return self._items[0]
        except IndexError:
            return None

    def put(self, item: Item) -> None:
        """Put something in; the slot is empty."""
        self._items.append(item)

    def take(self) -> Item | None:
        """Take out what is there; None where another thread was faster."""
        try:
            return self._items.popleft()
        except IndexError:
            return None
