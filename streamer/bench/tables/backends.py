"""Table 4: ONNX Runtime against PyTorch, and PyTorch's ways against one another."""

from __future__ import annotations

from collections.abc import Mapping

from streamer.bench.figures import Measured, Row
from streamer.bench.plan import FULL_SIZE, Plan
from streamer.bench.table import Table, bars, number, times

__all__ = ["rows", "table"]

_WAYS = ("eager", "compiled", "torch", "onnx")
_NAMES = {"eager": "eager", "compiled": "compiled", "torch": "fused", "onnx": "ONNX Runtime"}


def rows(plan: Plan) -> list[Row]:
    """Each way, for each batch size; and the GPU that a processor is not."""
    made = []
    for way in _WAYS:
        for batch in plan.size.batches:
            if plan.size is FULL_SIZE and plan.on_processor:
                if batch > 1:
                    continue
                if way == "torch":
                    made.append(plan.alone("fp32", 1))
                    continue
            why_not = ""
            if way == "compiled" and not plan.size.compiles:
                why_not = "left out of --quick: it compiles for minutes first"
            name, task = f"{_name(plan, way)}, batch {batch}", plan.windows_task(backend=way)
            made.append(Row(name, task, {"batch": batch}, plan.baseline, why_not=why_not))
    if plan.on_processor:
        made.append(Row("cuda, batch 1", plan.windows_task(device="cuda:0"), {"batch": 1}, plan.baseline))
    return made


def _name(plan: Plan, way: str) -> str:
    return "graphs" if way == "torch" and not plan.on_processor else _NAMES[way]


def table(plan: Plan, measured: Mapping[str, Measured]) -> Table:
    """Speed of each."""
    lines = []
    for row in rows(plan):
        each = measured[row.key]
        way, _, batch = row.name.partition(", batch ")
        # In the large table the fused row is the one of table 1.
        way = "fused" if way == "fp32" else way
        lines.append((way, batch, times(each), number(each.value("cost"), 3), each.fault))
    notes = []
    if plan.size is FULL_SIZE and plan.on_processor:
        notes.append("Batches of one: on a processor the rows of a batch run one after the other")
    return Table(
        "4. Back-ends, fp32",
        ("way", "batch", "times as fast", "real-time factor", "remarks"),
        tuple(lines),
        tuple(notes),
        bars([measured[row.key] for row in rows(plan)]),
    )
