"""A table of a report, and how its cells are written."""

from __future__ import annotations

import math
from dataclasses import dataclass

from streamer.bench.figures import Measured

__all__ = ["Table", "bars", "number", "percent", "times"]


@dataclass(frozen=True)
class Table:
    """What a table says.

    Attributes
    ----------
    title : str
    head : tuple of str
    lines : tuple of tuple of str
    notes : tuple of str
        Sentences below it.
    bars : tuple of (str, tuple of float)
        What a plot of it shows: a name, and the ratio of each pair.
    """

    title: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    bars: tuple[tuple[str, tuple[float, ...]], ...] = ()

    def markdown(self) -> str:
        """Write it."""
        rows = [self.head, *self.lines]
        first = "|" + "|".join("---" for _ in self.head) + "|"
        text = [f"| {' | '.join(row)} |" for row in rows]
        text.insert(1, first)
        notes = "".join(f"\n- {note}" for note in self.notes)
        return f"### {self.title}\n\n" + "\n".join(text) + "\n" + (f"{notes}\n" if notes else "")


def number(value: float, digits: int = 2) -> str:
    """Write a figure; a dash for one that there is not."""
    if math.isinf(value):
        return "exact" if value > 0 else "-"
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def times(measured: Measured) -> str:
    """Write how many times as fast as the baseline a row is."""
    return number(measured.ratio())


def percent(share: float, digits: int = 0) -> str:
    """Write a share in percent."""
    return "-" if math.isnan(share) else f"{100 * share:.{digits}f} %"


def bars(rows: list[Measured]) -> tuple[tuple[str, tuple[float, ...]], ...]:
    """Give what a plot shows of rows that ran."""
    return tuple((each.row.name, tuple(each.ratios())) for each in rows if each.ratios())
