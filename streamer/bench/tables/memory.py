"""Table 3: memory before and after, and what each measure brought."""

from __future__ import annotations

import math
from collections.abc import Mapping

from streamer.bench.figures import Measured, Row
from streamer.bench.plan import Plan
from streamer.bench.table import Table, bars, number, percent

__all__ = ["rows", "table"]

_HEAD = (
    "measure",
    "way",
    "peak MB",
    "less than the baseline",
    "step MB",
    "of it once loaded, one window run, MB",
    "remarks",
)
_MEASURES = (
    ("whole track in memory", "baseline", "fp32"),
    ("bounded track", "eager", "fp32"),
    ("reused buffers, in-place steps", "torch", "fp32"),
    ("bf16", "torch", "bf16"),
)


def rows(plan: Plan) -> list[Row]:
    """From the baseline on, one measure more each; from file to files, or windows alone where files are left out."""
    made = []
    for name, backend, precision in _MEASURES:
        model = {"backend": backend, "precision": precision}
        if plan.size.memory_s:
            task = {
                "kind": "file",
                "model": plan.of(**model),
                "audio": plan.audio,
                "seconds": plan.size.memory_s,
                "overlap": plan.overlap,
                "folder": plan.folder,
            }
            made.append(Row(name, task, rounds=1))
        elif precision == "fp32" and backend != "torch":
            made.append(Row(name, plan.windows_task(**model), rounds=1))
        else:
            made.append(plan.alone(precision, 1))
    return made


def table(plan: Plan, measured: Mapping[str, Measured]) -> Table:
    """Peaks, and their differences."""
    found = [measured[row.key] for row in rows(plan)]
    # Memory that windows need on a GPU is the device's; that of a track is the process's.
    figure = "peak_mb" if plan.size.memory_s else plan.memory
    peaks = [each.highest(figure) for each in found]
    lines = []
    before = math.nan
    for (name, backend, precision), each, peak in zip(_MEASURES, found, peaks, strict=True):
        ready = each.ready.get("peak_mb")
        lines.append(
            (
                name,
                f"{backend}, {precision}",
                number(peak, 0),
                percent(1 - peak / peaks[0]),
                number(peak - before, 0),
                number(math.nan if ready is None else ready, 0),
                each.fault,
            )
        )
        before = before if math.isnan(peak) else peak
    notes = [
        f"A file of {plan.size.memory_s:g} s, {len(plan.stems)} stems, overlap {plan.overlap}, read and written"
        if plan.size.memory_s
        else f"{plan.size.windows} windows, without a track"
    ]
    notes.append("Each row adds its measure to those above. A process holds Python and PyTorch too, in every row")
    return Table(
        "3. Memory",
        _HEAD,
        tuple(lines),
        tuple(notes),
        bars([]),
    )
