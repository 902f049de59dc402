"""What was aimed at, and whether it was met."""

from __future__ import annotations

import math
from collections.abc import Mapping

from engine.compute_trial import LEAST_SDR_DB
from streamer.bench.figures import Measured
from streamer.bench.plan import FULL_SIZE, Plan
from streamer.bench.tables import memory, precisions

__all__ = ["aims"]

_LEAST_SHARE = 0.35
"""Of a GPU's measured bf16 product speed, by the network alone."""


def aims(plan: Plan, measured: Mapping[str, Measured]) -> list[str]:
    """Say each aim and what was reached; what was not measured is left out."""
    said = []
    faster = {"fp32": 1.3, "bf16": 2.3 if plan.size is FULL_SIZE else 1.5}
    if not plan.on_processor:
        faster = {"fp16": 3.0, "bf16": 3.0}
    for precision, aim in faster.items():
        each = measured.get(plan.alone(precision, 1).key)
        if each is not None and each.ratios():
            said.append(_line(f"{precision}, times as fast as the baseline", each.ratio(), aim, "{:.2f}"))
    for precision in ("fp16", "bf16"):
        each = measured.get(plan.alone(precision, 1).key)
        if each is not None and each.runs:
            reached = precisions.quality_db(plan, precision)
            said.append(_line(f"{precision}, dB above its difference from fp32", reached, LEAST_SDR_DB, "{:.1f}"))
    peaks, profile = measured.get(plan.peaks.key), measured.get(plan.profile("torch", "fp32").key)
    bf16 = measured.get(plan.alone("bf16", 1).key)
    if not plan.on_processor and peaks and profile and bf16 and bf16.runs:
        gflop = profile.ready.get("network_gflop") or math.nan
        speed = gflop / (bf16.value("cost") * plan.window_frames / plan.sample_rate)
        said.append(_line("share of the peak in bf16", speed / peaks.value("bf16_gflops"), _LEAST_SHARE, "{:.2f}"))
    found = [measured.get(row.key) for row in memory.rows(plan)]
    if plan.size.memory_s and found[0] and found[2] and found[2].runs:
        share = found[2].highest("peak_mb") / found[0].highest("peak_mb")
        what = f"memory at {plan.size.memory_s:g} s, of the baseline's"
        said.append(_line(what, share, 0.5, "{:.2f}", is_most=True))
    return said


def _line(what: str, reached: float, aim: float, form: str, *, is_most: bool = False) -> str:
    is_met = reached <= aim if is_most else reached >= aim
    bound = "at most" if is_most else "at least"
    return f"{what}: {form.format(reached)} (aim: {bound} {aim:g}): {'met' if is_met else 'NOT met'}"
