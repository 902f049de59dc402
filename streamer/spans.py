"""Sets of frames as runs that do not touch: what of a track is there."""

from __future__ import annotations

from bisect import bisect_right

__all__ = ["Spans"]


class Spans:
    """Frames as half-open runs. One thread changes it; any other may ask, and sees it before or after a change."""

    def __init__(self) -> None:
        self._runs: tuple[tuple[int, int], ...] = ()

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """The runs ``(begin, end)`` in order; no two of them touch."""
        return self._runs

    @property
    def frames(self) -> int:
        """Frames in all runs together."""
        return sum(end - begin for begin, end in self._runs)

    def add(self, begin: int, end: int) -> None:
        """Take the frames ``[begin, end)`` in."""
        if begin >= end:
            return
        apart = [run for run in self._runs if run[1] < begin or run[0] > end]
        joined = [run for run in self._runs if not (run[1] < begin or run[0] > end)]
        low = min([begin, *(run[0] for run in joined)])
        high = max([end, *(run[1] for run in joined)])
        self._runs = tuple(sorted([*apart, (low, high)]))

    def remove(self, begin: int, end: int) -> None:
        """Take the frames ``[begin, end)`` out."""
        if begin >= end:
            return
        kept: list[tuple[int, int]] = []
        for low, high in self._runs:
            kept += [run for run in ((low, min(high, begin)), (max(low, end), high)) if run[0] < run[1]]
        self._runs = tuple(kept)

    def end_at(self, frame: int) -> int:
        """Give the end of the run that holds a frame; the frame itself where none does."""
        runs = self._runs
        place = bisect_right(runs, frame, key=lambda run: run[0]) - 1
        return max(frame, runs[place][1]) if place >= 0 else frame

    def next_at(self, frame: int) -> int | None:
        """Give the first frame from this one on that is there; None if there is none."""
        for begin, end in self._runs:
            if end > frame:
                return max(begin, frame)
        return None
