"""Where the time of a window goes, as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from streamer.bench.figures import Measured
from streamer.bench.table import Table, number, percent

__all__ = ["profile_table"]


def profile_table(name: str, measured: Measured, peaks: Mapping[str, Any], precision: str) -> Table:
    """Give the share of each kind of operators, and what it reaches of the device's peaks.

    Parameters
    ----------
    name : str
        Of the back-end and the precision.
    measured : Measured
        A row of `streamer.bench.tasks.profile.Profile`.
    peaks : Mapping
        Of `streamer.bench.tasks.peaks.Peaks`.
    precision : str
        Whose peak the products are held against.
    """
    head = ("operators", "share of the time", "GFLOP/s", "of the peak", "GB/s", "of a copy's")
    if not measured.runs:
        return Table(f"Profile: {name}", head, (("-", "-", "-", "-", "-", measured.fault),))
    run = measured.runs[0]
    lines = []
    for kind, figures in sorted(run["kinds"].items(), key=lambda item: -item[1].get("seconds", 0.0)):
        seconds = figures.get("seconds") or math.nan
        flops, moved = (figures.get(figure, math.nan) / seconds for figure in ("gflop", "gbytes"))
        flops = flops if flops else math.nan
        lines.append(
            (
                kind,
                percent(seconds / run["profiled_s"], 1),
                number(flops, 0),
                percent(flops / (peaks.get(f"{precision}_gflops") or math.nan)),
                number(moved, 1),
                percent(moved / (peaks.get("copy_gbytes") or math.nan)),
            )
        )
    whole = run["network_gflop"] / run["seconds"]
    share = percent(whole / (peaks.get(f"{precision}_gflops") or math.nan))
    notes = (
        f"A window takes {1000 * run['seconds']:.0f} ms, {1000 * run['profiled_s']:.0f} while it is profiled; all of "
        f"it is {whole:.0f} GFLOP/s of products done the plain way, {share} of the peak",
        "Outside of PyTorch's operators are the fused steps in C, and Python",
    )
    return Table(f"Profile: {name}", head, tuple(lines), notes)
