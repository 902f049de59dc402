"""What was measured of a row, and the arithmetic of it: ratios to the baseline within each pair, and their median."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

__all__ = ["Measured", "Row", "Run", "key_of"]

_CHANCE = 1.05
Run = Mapping[str, Any]
"""What one run told: ``cost``, seconds of work for a second of audio; ``seconds``; ``peak_mb``; and more."""


@dataclass(frozen=True)
class Row:
    """A setting to be measured.

    Attributes
    ----------
    name : str
        What the reports call it.
    task : Mapping
        What a process of its own is made for, see `streamer.bench.row`. Rows of the same task share it.
    run : Mapping
        What one run of it is.
    baseline, baseline_run : Mapping
        What it is compared with, in a process that stands beside it; None for rows without.
    rounds : int or None
        Runs; as many as the plan says if left out.
    why_not : str
        Why it is not measured here; empty otherwise.
    """

    name: str
    task: Mapping[str, Any]
    run: Mapping[str, Any] = field(default_factory=dict)
    baseline: Mapping[str, Any] | None = None
    baseline_run: Mapping[str, Any] = field(default_factory=dict)
    rounds: int | None = None
    why_not: str = ""

    @property
    def key(self) -> str:
        """The same for rows that need be measured only once."""
        return key_of({"task": self.task, "run": self.run, "baseline": self.baseline})


@dataclass
class Measured:
    """A row, and every run of it.

    Attributes
    ----------
    row : Row
    runs, baseline_runs : list of Run
        One each a round, side by side in time.
    ready : Mapping
        What its process told once it was ready.
    fault : str
        Why it does not run here; empty if it does.
    """

    row: Row
    runs: list[Run] = field(default_factory=list)
    baseline_runs: list[Run] = field(default_factory=list)
    ready: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""

    def value(self, name: str) -> float:
        """Give the median of a figure; NaN where there is none."""
        return _median([run[name] for run in self.runs if run.get(name) is not None])

    def highest(self, name: str) -> float:
        """Give the largest of a figure; NaN where there is none."""
        return max((run[name] for run in self.runs if run.get(name) is not None), default=math.nan)

    def ratios(self, name: str = "cost") -> list[float]:
        """Give the baseline's figure over the row's, for each pair."""
        pairs = zip(self.baseline_runs, self.runs, strict=False)
        return [base[name] / run[name] for base, run in pairs if base.get(name) and run.get(name)]

    def ratio(self, name: str = "cost") -> float:
        """Give the median of the pairs' ratios; NaN where there is none. Above 1 the row is better."""
        return _median(self.ratios(name))

    def baseline_value(self, name: str) -> float:
        """Give the median of a figure of the baseline; NaN where there is none."""
        return _median([run[name] for run in self.baseline_runs if run.get(name) is not None])

    @property
    def is_even(self) -> bool:
        """The ratio is 1 but for a twentieth: so it must be where a setting is measured beside itself."""
        return 1 / _CHANCE <= self.ratio() <= _CHANCE

    def as_dict(self) -> dict[str, Any]:
        """Everything for ``bench.json``."""
        return {
            "name": self.row.name,
            "task": dict(self.row.task),
            "run": dict(self.row.run),
            "fault": self.fault,
            "ready": dict(self.ready),
            "runs": [dict(run) for run in self.runs],
            "baseline": None if self.row.baseline is None else dict(self.row.baseline),
            "baseline_runs": [dict(run) for run in self.baseline_runs],
            "ratios": self.ratios(),
        }


def key_of(facts: Any) -> str:
    """Give a text that is the same for the same facts."""
    return json.dumps(facts, sort_keys=True, default=dict)


def _median(values: list[float]) -> float:
    return float(median(values)) if values else math.nan
