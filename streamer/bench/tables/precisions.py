"""Table 5: fp32, fp16 and bf16."""

from __future__ import annotations

import math
from collections.abc import Mapping

from engine.compute import PRECISIONS
from engine.compute_trial import LEAST_SDR_DB
from streamer.bench.figures import Measured, Row
from streamer.bench.plan import Plan
from streamer.bench.quality import worst_db
from streamer.bench.table import Table, bars, number, percent, times

__all__ = ["quality_db", "rows", "table"]

_HEAD = (
    "precision",
    "times as fast",
    "real-time factor",
    "GFLOP/s",
    "of the measured peak",
    "peak MB",
    "SDR against fp32, worst stem, dB",
    "remarks",
)


def rows(plan: Plan) -> list[Row]:
    """Each precision, also those that the device lacks."""
    return [plan.alone(precision, 1) for precision in PRECISIONS]


def quality_db(plan: Plan, precision: str) -> float:
    """Give the SDR in dB of the worst stem against fp32."""
    return math.inf if precision == "fp32" else worst_db(plan.kept("fp32"), plan.kept(precision))


def table(plan: Plan, measured: Mapping[str, Measured]) -> Table:
    """Speed, memory and quality of each."""
    peaks = measured[plan.peaks.key]
    profile = measured[plan.profile("torch", "fp32").key]
    gflop = profile.ready.get("network_gflop") or math.nan
    window_s = plan.window_frames / plan.sample_rate
    lines, notes = [], []
    for precision, row in zip(PRECISIONS, rows(plan), strict=True):
        each = measured[row.key]
        speed = gflop / (each.value("cost") * window_s)
        quality = quality_db(plan, precision) if each.runs else math.nan
        lines.append(
            (
                precision,
                times(each),
                number(each.value("cost"), 3),
                number(speed, 0),
                percent(speed / peaks.value(f"{precision}_gflops")),
                number(each.highest(plan.memory), 0),
                number(quality, 1),
                each.fault,
            )
        )
        if quality < LEAST_SDR_DB:
            notes.append(
                f"`auto` does not choose {precision}: less than {LEAST_SDR_DB:g} dB above its difference from fp32"
            )
    notes.append(
        "GFLOP/s count the network's products done the plain way. Winograd's way does a convolution with fewer, so "
        "fp32 can come above what plain products reach"
    )
    return Table(
        "5. Precisions",
        _HEAD,
        tuple(lines),
        tuple(notes),
        bars([measured[row.key] for row in rows(plan)]),
    )
