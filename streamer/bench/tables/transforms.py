"""Table 6: the transform of a window and the inverse of its stems."""

from __future__ import annotations

from collections.abc import Mapping

from streamer.bench.figures import Measured, Row
from streamer.bench.plan import Plan
from streamer.bench.table import Table, bars, number, percent, times

__all__ = ["rows", "table"]

_VARIANTS = {
    "stft": "`torch.stft` and `istft` as they come, a window at a time",
    "columns": "batched real transforms over all columns, normaliser known beforehand",
    "buffered": "the same in buffers, a few columns at once, which stay in the cache",
    "shared": "the same, one transform for all windows of a stream",
    "numpy": "NumPy, in buffers",
}


def rows(plan: Plan) -> list[Row]:
    """Each variant, beside the first."""
    tasks = {
        variant: {"kind": "transform", "model": plan.model, "audio": plan.audio, "variant": variant}
        for variant in _VARIANTS
    }
    return [Row(name, tasks[variant], baseline=tasks["stft"]) for variant, name in _VARIANTS.items()]


def table(plan: Plan, measured: Mapping[str, Measured]) -> Table:
    """Speed, and the share of a whole window's time."""
    whole = measured[plan.alone("fp32", 1).key].value("cost")
    lines = []
    for row in rows(plan):
        each = measured[row.key]
        overlap = each.ready.get("overlap")
        remarks = [f"at overlap {overlap}; windows must begin at columns of one another"] if overlap else []
        remarks += [each.fault] if each.fault else []
        remarks += ["chosen: models are run with it here"] if each.ready.get("is_used") else []
        cost = each.value("cost")
        lines.append(
            (
                row.name,
                times(each),
                number(1000 * cost * plan.window_frames / plan.sample_rate, 1),
                percent(cost / whole, 1),
                "; ".join(remarks),
            )
        )
    return Table(
        "6. Transforms",
        ("way", "times as fast", "ms a window", "of the window's time", "remarks"),
        tuple(lines),
        ("Times as fast as the first row. The share is of a window in float32, transforms included",),
        bars([measured[row.key] for row in rows(plan)]),
    )
