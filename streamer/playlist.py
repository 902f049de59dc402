"""Which track follows which: a queue in order, with what cannot be played left out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

__all__ = ["Playlist"]


class Playlist:
    """Paths in the order in which they are played, by their numbers from 0.

    Any thread may ask and add. A track that turned out not to be playable keeps its number and is passed over.
    """

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        self._paths: list[Path] = list(paths)
        self._unplayable: set[int] = set()

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, track: int) -> Path:
        return self._paths[track]

    def add(self, path: Path) -> int:
        """Append a path; gives its number."""
        self._paths.append(path)
        return len(self._paths) - 1

    def leave_out(self, track: int) -> None:
        """Pass over a track from now on."""
        self._unplayable.add(track)

    @property
    def playable(self) -> int:
        """How many tracks are not left out."""
        return len(self._paths) - len(self._unplayable)

    def first(self) -> int | None:
        """Give the first track that can be played; None if there is none."""
        return self.after(-1)

    def after(self, track: int) -> int | None:
        """Give the track that follows; None behind the last one."""
        return next((n for n in range(track + 1, len(self._paths)) if n not in self._unplayable), None)

    def before(self, track: int) -> int | None:
        """Give the track that comes before; None in front of the first one."""
        return next((n for n in range(track - 1, -1, -1) if n not in self._unplayable), None)
