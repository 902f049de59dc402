"""Table 2: windows over each frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

import numpy as np

from engine.metrics import sdr_db
from streamer.bench.figures import Measured, Row
from streamer.bench.plan import Plan
from streamer.bench.quality import worst_db
from streamer.bench.table import Table, bars, number, times

__all__ = ["rows", "table"]

_GAIN_DB = 0.1
"""More overlap must bring more than this against the truth to be recommended."""
_ALIKE_DB = 20.0
"""Where there is no truth: from here on stems count as those of the most overlap."""


def rows(plan: Plan) -> list[Row]:
    """Each overlap, beside the baseline at the same one."""
    why_not = ""
    if not plan.size.track_windows and plan.on_processor:
        why_not = "left out of --full-size on a processor: each frame would be in up to 8 windows of seconds each"
    frames = max(2, plan.size.track_windows) * plan.window_frames
    model = {"kind": "track", "audio": plan.audio, "frames": frames}
    task = {**model, "model": plan.model, "keep": _kept(plan)}
    baseline = {**model, "model": plan.of(backend="baseline")}
    return [
        Row(
            f"overlap {overlap}",
            task,
            {"overlap": overlap},
            baseline,
            {"overlap": overlap},
            rounds=plan.size.track_rounds,
            why_not=why_not,
        )
        for overlap in plan.size.overlaps
    ]


def table(plan: Plan, measured: Mapping[str, Measured]) -> Table:
    """Speed and quality of each, and a recommendation."""
    most = max(plan.size.overlaps)
    found = {row.run["overlap"]: measured[row.key] for row in rows(plan)}
    against_most = {n: worst_db(_kept(plan).format(overlap=most), _kept(plan).format(overlap=n)) for n in found}
    against_truth = {n: _truth_db(plan, n) for n in found}
    lines = [
        (
            str(n),
            times(each),
            number(each.value("cost"), 3),
            "-" if n == most else number(against_most[n], 1),
            number(against_truth[n], 2),
            each.fault,
        )
        for n, each in found.items()
    ]
    notes = []
    if plan.is_random:
        notes.append(
            "The weights are random: the truth means nothing to them, and no overlap follows from theirs. Name a model"
        )
    elif not plan.truth:
        notes.append("No true stems were at hand: overlaps are compared only with one another")
    recommended = None if plan.is_random else _recommended(against_truth, against_most, most)
    if recommended is not None:
        notes.append(f"Recommended: {recommended[0]}, {recommended[1]}")
    return Table(
        "2. Overlaps",
        (
            "overlap",
            "times as fast",
            "real-time factor",
            f"SDR against overlap {most}, worst stem, dB",
            "mean SDR against the truth, dB",
            "remarks",
        ),
        tuple(lines),
        tuple(notes),
        bars(list(found.values())),
    )


def _kept(plan: Plan) -> str:
    return plan.kept("overlap-{overlap}")


def _truth_db(plan: Plan, overlap: int) -> float:
    path = Path(_kept(plan).format(overlap=overlap))
    if plan.is_random or not plan.truth or not path.is_file():
        return math.nan
    stems = dict(zip((name.lower() for name in plan.stems), np.load(path, mmap_mode="r"), strict=True))
    scores = []
    for name, place in plan.truth.items():
        truth = np.load(place, mmap_mode="r")
        if name in stems:
            scores.append(sdr_db(truth[:, : stems[name].shape[-1]], stems[name]))
    heard = [score for score in scores if not math.isnan(score)]
    return mean(heard) if heard else math.nan


def _recommended(truth: Mapping[int, float], most: Mapping[int, float], largest: int) -> tuple[int, str] | None:
    known = {n: value for n, value in truth.items() if not math.isnan(value)}
    if known:
        best = max(known.values())
        chosen = min(n for n, value in known.items() if value >= best - _GAIN_DB)
        return chosen, f"the fastest within {_GAIN_DB:g} dB of the best"
    alike = [n for n, value in most.items() if n != largest and value >= _ALIKE_DB]
    if alike:
        return min(alike), f"the fastest whose stems are {_ALIKE_DB:g} dB above their difference from overlap {largest}"
    return (
        (largest, f"no other comes within {_ALIKE_DB:g} dB of it") if most and most.get(largest) == math.inf else None
    )
