"""Whether a batch should wait for another stream's window: arithmetic on measured times, no thread and no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

__all__ = ["BatchCosts", "pause_s", "sizes_to_time"]

_LEAST_SAVING = 0.2
"""Share of the runs of their own that further windows must save; less is lost again in waiting and in noise."""
_KEPT = 0.99
"""Of what runs are stretched by, after each."""
_MARGIN_SHARE = 0.25
_MARGIN_S = 0.002
"""A run takes now and then longer than it ever did in the warm-up, and a thread wakes up late."""


@dataclass(frozen=True)
class BatchCosts:
    """What a run costs by its number of windows, as measured.

    Attributes
    ----------
    measured : tuple of (int, float)
        Windows, rising from 1, and seconds.
    stretch : float
        How many times as long runs take now, as beside other load.
    """

    measured: tuple[tuple[int, float], ...]
    stretch: float = 1.0

    @classmethod
    def of_runs(cls, seconds: Mapping[int, Sequence[float]]) -> BatchCosts:
        """Make them of the seconds of some runs of each size.

        What sizes cost beside one another is told by their shortest runs, which other load disturbs least, and by how
        much runs may be longer, by the longest.
        """
        shortest = {rows: min(times) for rows, times in sorted(seconds.items())}
        stretch = max(max(times) / shortest[rows] for rows, times in seconds.items())
        return cls(tuple(shortest.items()), stretch)

    @property
    def most_rows(self) -> int:
        """The largest run that was measured."""
        return self.measured[-1][0]

    def of(self, rows: int) -> float:
        """Give the seconds of a run of 1 to ``most_rows`` windows, along straight lines between what was measured."""
        for (few, shorter), (many, longer) in pairwise(self.measured):
            if few <= rows <= many:
                return self.stretch * (shorter + (longer - shorter) * (rows - few) / (many - few))
        return self.stretch * self.measured[0][1]

    def after(self, rows: int, seconds: float) -> BatchCosts:
        """Give what runs are likely to cost after one of so many windows that took so long.

        A run that takes longer counts at once, and is forgotten slowly.
        """
        usual = self.of(rows) / self.stretch
        return replace(self, stretch=max(1.0, seconds / usual, _KEPT * self.stretch))


def sizes_to_time(batch_size: int) -> tuple[int, ...]:
    """Give the numbers of windows to measure: powers of two, and the largest."""
    return tuple(sorted({1 << n for n in range(batch_size.bit_length())} | {batch_size}))


def pause_s(slacks: Iterable[float], coming: Sequence[float], costs: BatchCosts) -> float:
    """Give how long windows that could run now should wait for those that are about to fall due.

    As many are waited for as there is time for: until the last of them is due, the run of all and a margin must still
    end before the most urgent of those at hand has to be ready. So nobody is late for it, and where rows cost as much
    together as one by one, as on a processor, nothing is waited for at all.

    Parameters
    ----------
    slacks : iterable of float
        Seconds until each of the windows at hand must be ready.
    coming : sequence of float
        Seconds until each of the others falls due.
    costs : BatchCosts

    Returns
    -------
    float
        Seconds; 0 to run at once.
    """
    at_hand = list(slacks)
    rows, urgent = len(at_hand), min(at_hand)
    pause = 0.0
    for more, due_s in enumerate(sorted(coming), start=1):
        if rows + more > costs.most_rows:
            break
        together = costs.of(rows + more)
        saved = costs.of(rows) + more * costs.of(1) - together
        is_in_time = due_s + together * (1 + _MARGIN_SHARE) + _MARGIN_S <= urgent
        if is_in_time and saved >= _LEAST_SAVING * more * costs.of(1):
            pause = due_s
    return pause
