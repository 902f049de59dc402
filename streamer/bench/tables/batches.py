"""Table 1: windows in one run."""

from __future__ import annotations

from collections.abc import Mapping

from streamer.bench.figures import Measured, Row
from streamer.bench.plan import Plan
from streamer.bench.table import Table, bars, number, percent, times

__all__ = ["best_batch", "rows", "table"]

_NOISE = 1.03
"""A larger batch must be faster by more than this to be worth its memory."""


def rows(plan: Plan) -> list[Row]:
    """Each size in each precision that the device is fast with."""
    return [plan.alone(precision, batch) for precision in plan.precisions for batch in plan.size.batches]


def best_batch(plan: Plan, measured: Mapping[str, Measured], precision: str) -> int | None:
    """Give the smallest size that is as fast as any; None if none ran."""
    costs = {batch: 1 / measured[plan.alone(precision, batch).key].ratio() for batch in plan.size.batches}
    ran = {batch: cost for batch, cost in costs.items() if cost == cost}
    return next((batch for batch in sorted(ran) if ran[batch] <= _NOISE * min(ran.values())), None)


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
                f"Best for this device in {precision}: {best}, the smallest that is within 3 % of the fastest; "
                "`--batch-size auto` takes it"
            )
    return Table(
        "1. Batch sizes",
        ("precision", "batch", "times as fast", "real-time factor", "peak MB", "of the baseline's", "remarks"),
        tuple(lines),
        tuple(notes),
        bars([measured[row.key] for row in rows(plan)]),
    )
