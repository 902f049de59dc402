"""Noticing that a count of faults, which another thread keeps, has risen."""

from __future__ import annotations

__all__ = ["Rise"]


class Rise:
    """Compares a count with what it was; what was there at the first look is no news. Used by one thread."""

    def __init__(self) -> None:
        self._seen: int | None = None

    def look(self, count: int) -> bool:
        """Tell whether the count has risen since the last look; one that began anew has not."""
        before, self._seen = self._seen, count
        return before is not None and count > before
