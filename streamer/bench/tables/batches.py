"""Table 1: windows in one run."""

from __future__ import annotations

from collections.abc import Mapping

from streamer.bench.figures import Measured, Row
from streamer.bench.plan import Plan
from streamer.bench.table import Table, bars, number, percent, times

__all__ = ["best_batch", "rows", "table"]

_GAIN = 1.03
"""A larger batch must be faster by more than this to be worth its memory."""


def rows(plan: Plan) -> list[Row]:
    """Each size in each precision that the device is fast with."""
    return [plan.alone(precision, batch) for precision in plan.precisions for batch in plan.size.batches]


def best_batch(plan: Plan, measured: Mapping[str, Measured], precision: str) -> int | None:
    """Give the size to take: 1, unless a larger one is more than 3 % faster in each of its pairs; None if none ran."""
    ran = {batch: measured[plan.alone(precision, batch).key] for batch in sorted(plan.size.batches)}
    ran = {batch: each for batch, each in ran.items() if each.ratios() and not each.fault}
    if not ran:
        return None
    least = min(ran)
    better = {
        batch: each.ratio()
        for batch, each in ran.items()
        if batch != least and min(each.ratios()) > _GAIN * ran[least].ratio()
    }
    fastest = max(better.values(), default=0.0)
    return next((batch for batch, ratio in better.items() if _GAIN * ratio >= fastest), least)


def table(plan: Plan, measured: Mapping[str, Measured]) -> Table:
    """Speed and memory of each size, and the best one."""
    lines = []
    for row in rows(plan):
        each = measured[row.key]
        precision, _, batch = row.name.partition(", batch ")
        share = each.highest(plan.memory) / each.baseline_value(plan.memory)
        lines.append(
            (
                precision,
                batch,
                times(each),
                number(each.value("cost"), 3),
                number(each.highest(plan.memory), 0),
                percent(share),
                each.fault,
            )
        )
    notes = []
    for precision in plan.precisions:
        best = best_batch(plan, measured, precision)
        if best is not None:
            notes.append(
                f"Best for this device in {precision}: {best}"
                + (", since no larger one is more than 3 % faster in every pair" if best == 1 else "")
                + ("" if plan.is_random else "; `--batch-size auto` takes it for this model")
            )
    return Table(
        "1. Batch sizes",
        ("precision", "batch", "times as fast", "real-time factor", "peak MB", "of the baseline's", "remarks"),
        tuple(lines),
        tuple(notes),
        bars([measured[row.key] for row in rows(plan)]),
    )
