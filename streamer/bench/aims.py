"""What was aimed at, and whether it was met."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from engine.compute_trial import LEAST_SDR_DB
from streamer.bench.figures import Measured
from streamer.bench.plan import FULL_SIZE, Plan
from streamer.bench.tables import memory, parallel, precisions

__all__ = ["Aim", "aims", "aims_markdown"]

_NETWORK_SHARE, _FILES_SHARE = 0.35, 0.25
"""Of a GPU's measured bf16 product speed: by the network alone, and from file to files."""
_LONG_S = 600.0
"""Length of a file whose memory is judged: in a short one Python and PyTorch are most of it."""


@dataclass(frozen=True)
class Aim:
    """A bar, and what was reached.

    Attributes
    ----------
    what : str
    reached : float
        NaN where it could not be measured.
    bound : float
    is_most : bool
        Less is better.
    """

    what: str
    reached: float
    bound: float
    is_most: bool = False

    @property
    def is_met(self) -> bool:
        """Whether it was reached."""
        return self.reached <= self.bound if self.is_most else self.reached >= self.bound

    def __str__(self) -> str:
        """Say all of it."""
        side = "at most" if self.is_most else "at least"
        reached = "not measured" if math.isnan(self.reached) else f"{self.reached:.2f}"
        return f"{self.what}: {reached} (aim: {side} {self.bound:g}): {'met' if self.is_met else 'NOT met'}"


def aims(plan: Plan, measured: Mapping[str, Measured]) -> list[Aim]:
    """Give each aim whose row was among those to measure and is not ruled out here."""
    found = []
    faster = {"fp32": 1.3, "bf16": 2.3 if plan.size is FULL_SIZE else 1.5}
    if not plan.on_processor:
        faster = {"fp16": 3.0, "bf16": 3.0}
    for precision, bound in faster.items():
        each = measured.get(plan.alone(precision, 1).key)
        if each is not None and each.runs:
            found.append(Aim(f"{precision}, times as fast as the baseline", each.ratio(), bound))
    for precision in ("fp16", "bf16"):
        each = measured.get(plan.alone(precision, 1).key)
        if each is not None and each.runs:
            reached = precisions.quality_db(plan, precision)
            found.append(Aim(f"{precision}, dB above its difference from fp32", reached, LEAST_SDR_DB))
    found += _shares(plan, measured)
    before, *_, fused, _ = (measured.get(row.key) for row in memory.rows(plan))
    if plan.size.memory_s >= _LONG_S and before and fused and before.runs and fused.runs:
        share = fused.highest("peak_mb") / before.highest("peak_mb")
        found.append(Aim(f"memory at {plan.size.memory_s:g} s, of the baseline's", share, 0.5, is_most=True))
    return found


def _shares(plan: Plan, measured: Mapping[str, Measured]) -> list[Aim]:
    """Give what a GPU reaches of its measured peak in bf16."""
    peaks, profile = measured.get(plan.peaks.key), measured.get(plan.profile("torch", "fp32").key)
    if plan.on_processor or not (peaks and profile):
        return []
    gflop_per_s = (profile.ready.get("network_gflop") or math.nan) * plan.sample_rate / plan.window_frames
    rows = [("the network alone", plan.alone("bf16", 1), 1, _NETWORK_SHARE)]
    rows += [("from file to files", row, plan.overlap, _FILES_SHARE) for row in parallel.fastest_file_rows(plan)[-1:]]
    return [
        Aim(
            f"{what} in bf16, of the measured peak",
            gflop_per_s * overlap / measured[row.key].value("cost") / peaks.value("bf16_gflops"),
            bound,
        )
        for what, row, overlap, bound in rows
        if row.key in measured and measured[row.key].runs
    ]


def aims_markdown(found: list[Aim]) -> str:
    """Write them as a list; empty if there are none."""
    lines = "".join(f"- {each}\n" for each in found)
    if any(not each.is_met for each in found):
        lines += "\nThe profiles below say where the time of those that are not met goes.\n"
    return lines
