"""What the reports say: every figure for ``bench.json``, and the text of ``bench.md``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from streamer.bench.aims import Aim, aims_markdown
from streamer.bench.environment import environment, environment_markdown
from streamer.bench.figures import Measured
from streamer.bench.plan import Plan
from streamer.bench.profile_table import profile_table
from streamer.bench.table import Table, number

__all__ = ["contents"]


def contents(
    plan: Plan,
    measured: Mapping[str, Measured],
    tables: Mapping[int, Table],
    reached: list[Aim],
    command: str,
    *,
    is_interrupted: bool,
) -> tuple[dict[str, Any], str]:
    """Give what goes into ``bench.json`` and into ``bench.md``."""
    peaks = measured[plan.peaks.key]
    most = dict(peaks.runs[0]) if peaks.runs else {}
    machine = environment(plan.model["device"])
    profiles = _profiles(plan, measured, most)
    others = [run["others"] for each in measured.values() for run in each.runs if run.get("others") is not None]
    facts = {
        "command": command,
        "is_interrupted": is_interrupted,
        "environment": machine,
        "peaks": most,
        "size": asdict(plan.size),
        "window_frames": plan.window_frames,
        "sample_rate": plan.sample_rate,
        "stems": plan.stems,
        "random_weights": plan.is_random,
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "aims": [{**asdict(aim), "is_met": aim.is_met} for aim in reached],
        "tables": {str(each): asdict(table) for each, table in tables.items()},
        "profiles": [asdict(table) for table in profiles],
        "rows": [each.as_dict() for each in measured.values()],
    }
    text = [
        f"```console\n$ {command}\n```\n",
        "Interrupted: rows that were not reached are told as such.\n" if is_interrupted else "",
        environment_markdown(machine, most),
        f"{'Random weights' if plan.is_random else 'The model given'}, {len(plan.stems)} stems, windows of "
        f"{plan.window_frames / plan.sample_rate:.2f} s. Speed is a ratio to the baseline, each run directly beside "
        f"one of the baseline's, and the median of {plan.size.rounds} such pairs, or fewer where a row is long. The "
        "real-time factor is seconds of work for a second of audio. Other programs used "
        f"{100 * float(np.median(others)) if others else 0:.0f} % of the cores meanwhile.\n",
        _control(measured[plan.control.key]),
        aims_markdown(reached),
        *(table.markdown() for table in (*tables.values(), *profiles)),
    ]
    return facts, "\n".join(part for part in text if part)


def _profiles(plan: Plan, measured: Mapping[str, Measured], most: Mapping[str, Any]) -> list[Table]:
    return [
        profile_table(row.name.removeprefix("profile of "), measured[row.key], most, row.task["model"]["precision"])
        for row in plan.profiles
    ]


def _control(measured: Measured) -> str:
    """Say how far from 1 the ratios of this run are by chance."""
    ratios = measured.ratios()
    if not ratios:
        return f"The baseline was not measured beside itself: {measured.fault}.\n"
    said = f"The baseline beside itself: {number(measured.ratio())} ({number(min(ratios))} to {number(max(ratios))})"
    if not measured.is_even:
        return f"{said}. That is chance, and so is as much of every ratio below: the machine was not quiet.\n"
    return f"{said}, which is what chance does here.\n"
