"""Whether a model is fast enough for live sound on this machine, before it begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine.errors import CapacityError

__all__ = ["LIGHT_MODEL", "TIGHT_SHARE", "Capacity", "check_capacity"]

TIGHT_SHARE = 0.7
"""Of the hop: beyond it, what else the machine does is soon heard."""

LIGHT_MODEL = "spatial"
"""Of the embedded ones, the one that takes the least of its hop."""


@dataclass(frozen=True)
class Capacity:
    """What a model takes of the time it has.

    Attributes
    ----------
    model : str
    hop_s : float
        Time between two windows.
    runs : int
        Timed on this machine; 0 where time is scripted.
    p50_s, p99_s : float
        Of one run; the longest where there are fewer than a hundred.
    """

    model: str
    hop_s: float
    runs: int
    p50_s: float
    p99_s: float

    @classmethod
    def of(cls, model: str, hop_s: float, run_s: Sequence[float]) -> Capacity:
        """Sum up timed runs."""
        p50, p99 = (float(each) for each in np.percentile(run_s, (50, 99), method="higher")) if run_s else (0.0, 0.0)
        return cls(model, hop_s, len(run_s), p50, p99)

    @property
    def share(self) -> float:
        """Of the hop that the 99th percentile takes."""
        return self.p99_s / self.hop_s

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        return {**asdict(self), "share": self.share}


def check_capacity(capacity: Capacity, *, longest_hop_s: float) -> str | None:
    """Refuse a model that cannot keep up.

    Parameters
    ----------
    capacity : Capacity
    longest_hop_s : float
        That the model's windows allow: a hop b times as long costs 1/b of the compute.

    Returns
    -------
    str or None
        A warning where the time is short.

    Raises
    ------
    CapacityError
        If the 99th percentile is beyond the hop; the message says what would work.
    """
    spent = (
        f"{capacity.model!r} takes {1000 * capacity.p99_s:.1f} ms (p99 of {capacity.runs} runs) "
        f"of the {1000 * capacity.hop_s:.1f} ms between two windows"
    )
    if capacity.share > 1.0:
        raise CapacityError(
            f"{spent}, so it cannot keep up on this machine: what would work is {_remedies(capacity, longest_hop_s)}"
        )
    if capacity.share > TIGHT_SHARE:
        return f"{spent}, {100 * capacity.share:.0f} % of it: expect misses when the machine has other work"
    return None


def _remedies(capacity: Capacity, longest_hop_s: float) -> str:
    remedies = []
    fitting_ms = math.ceil(1000 * capacity.p99_s / TIGHT_SHARE)
    if fitting_ms <= 1000 * longest_hop_s:
        remedies.append(f"a hop of {fitting_ms} ms (--hop-ms {fitting_ms}; it adds to the latency)")
    if capacity.p50_s <= TIGHT_SHARE * capacity.hop_s:
        remedies.append(f"less other work (half of the runs took {1000 * capacity.p50_s:.1f} ms or less)")
    if capacity.model != LIGHT_MODEL:
        remedies.append(f"a lighter model such as {LIGHT_MODEL!r}")
    return " or ".join(filter(None, (", ".join(remedies), "a faster machine")))
