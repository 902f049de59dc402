"""Run the bench: make what rows need, measure them, and put the report together."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from engine.compute import Compute
from engine.errors import ConfigurationError, ModelError
from engine.machine import usable_cores
from streamer.bench.aims import aims
from streamer.bench.environment import environment, environment_markdown
from streamer.bench.figures import Measured, Row
from streamer.bench.measure import measure
from streamer.bench.music import composed, music_in
from streamer.bench.plan import FULL_SIZE, QUICK, Plan, Size
from streamer.bench.process import RowFailure, RowProcess, Start
from streamer.bench.profile_table import profile_table
from streamer.bench.report import can_plot, check_folder, write_report
from streamer.bench.table import Table
from streamer.bench.tables import TABLES, batches

__all__ = ["Bench", "check_tables", "run_bench"]

_COMPOSED_S = 30.0


@dataclass(frozen=True)
class Bench:
    """What was measured, and where it was written.

    Attributes
    ----------
    facts : dict
        Everything, as in ``bench.json``.
    text : str
        ``bench.md``.
    paths : tuple of Path
    """

    facts: dict[str, Any]
    text: str
    paths: tuple[Path, ...]


def check_tables(numbers: Sequence[int]) -> tuple[int, ...]:
    """Refuse tables that there are not; give the others in order.

    Raises
    ------
    ConfigurationError
    """
    for number in numbers:
        if number not in TABLES:
            raise ConfigurationError(f"table {number} is not known: use {', '.join(map(str, TABLES))}")
    return tuple(sorted(set(numbers)))


def run_bench(
    out: Path,
    size: Size,
    *,
    model: str | None = None,
    config: Path | None = None,
    tables: Sequence[int] = tuple(TABLES),
    device: str = "auto",
    threads: int | None = None,
    audio: Path | None = None,
    command: str = "stemstream bench",
    tell: Callable[[str], None] = lambda _: None,
    start: Start | None = None,
) -> Bench:
    """Measure, and write the reports.

    Parameters
    ----------
    out : Path
        Folder of the reports; made if need be.
    size : Size
    model : str, optional
        A checkpoint of an MDX23C model; random weights if left out.
    config : Path, optional
    tables : sequence of int
        Of `streamer.bench.tables.TABLES`.
    device : str
    threads : int, optional
    audio : Path, optional
        A folder with a mixture and its stems; a composed song if left out.
    command : str
        What the report says was run.
    tell : callable, optional
        Hears what is being measured.
    start : callable, optional
        Makes rows ready; processes of their own if left out.

    Raises
    ------
    ConfigurationError
        If a table, the device, the folder of music or that of reports cannot be used.
    ModelError
        If PyTorch is missing, or the model is none that the baseline can be run with.
    OutputError
        If the reports cannot be written.
    """
    numbers = check_tables(tables)
    check_folder(out)
    if threads is not None and threads < 1:
        raise ConfigurationError(f"--threads {threads} cannot be used: give a whole number from 1")
    start = start or (lambda task: RowProcess(task, size.patience_s))
    with tempfile.TemporaryDirectory(prefix="stemstream-bench-") as name:
        plan = _plan(Path(name), size, model, config, device, threads, audio, tell)
        if 4 in numbers:
            plan = _exported(plan, start, tell)
        measured = measure(_rows(plan, numbers), start, rounds=size.rounds, tell=tell)
        made = [TABLES[number].table(plan, measured) for number in numbers]
        if 1 in numbers and model is not None:
            _remember(plan, measured, model, config)
        facts, text = _report(plan, measured, numbers, made, command)
    if not can_plot():
        tell("plots are left out: pip install 'stemstream[bench]'")
    return Bench(facts, text, tuple(write_report(out, facts, text, made)))


def _plan(
    folder: Path,
    size: Size,
    model: str | None,
    config: Path | None,
    device: str,
    threads: int | None,
    audio: Path | None,
    tell: Callable[[str], None],
) -> Plan:
    from engine.registry import CHECKPOINT, find_model, require_torch

    checkpoint: Path | None = None
    if model is not None:
        place = find_model(model, config)
        if place.kind != CHECKPOINT or place.path is None:
            raise ModelError(f"model {model!r} has no baseline to be held against: give an MDX23C checkpoint, or none")
        checkpoint, config = place.path, None if place.config is None else Path(place.config)
    require_torch(checkpoint or Path("a random network"))
    from engine.backends.torch_devices import check_device, fast_precisions, torch_devices
    from engine.models.mdx23c_checkpoint import find_config

    device = torch_devices()[0] if device == "auto" else check_device(device)
    if checkpoint is None:
        checkpoint, config = _random(folder, size, tell)
    settings, _, _ = find_config(checkpoint, config)
    if config is None:
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    rate, channels = settings.audio.sample_rate, settings.audio.num_channels
    seconds = max(_COMPOSED_S, 2 * settings.window_frames / rate)
    heard, truth = composed(seconds, rate, channels) if audio is None else music_in(audio, rate, channels)
    np.save(folder / "audio.npy", heard)
    places = {}
    for number, (name, stem) in enumerate(truth.items()):
        places[name] = str(folder / f"truth-{number}.npy")
        np.save(places[name], stem)
    known = {
        "checkpoint": str(checkpoint),
        "config": str(config),
        "device": device,
        "backend": "torch",
        "precision": "fp32",
        "threads": threads,
        "onnx": None,
    }
    return Plan(
        size=size,
        model=known,
        audio=str(folder / "audio.npy"),
        folder=str(folder),
        window_frames=settings.window_frames,
        sample_rate=rate,
        channels=channels,
        stems=tuple(settings.stems),
        truth=places,
        is_random=model is None,
        precisions=fast_precisions(device),
        cores=usable_cores(),
    )


def _random(folder: Path, size: Size, tell: Callable[[str], None]) -> tuple[Path, Path]:
    from streamer.bench.random_network import (
        FULL,
        MATRIX,
        MATRIX_WINDOW_FRAMES,
        QUICK_WINDOW_FRAMES,
        WINDOW_FRAMES,
        parameter_count,
        save_random,
    )

    architecture, window = {
        FULL_SIZE: (FULL, WINDOW_FRAMES),
        QUICK: (MATRIX, QUICK_WINDOW_FRAMES),
    }.get(size, (MATRIX, MATRIX_WINDOW_FRAMES))
    tell(f"making a network of {parameter_count(architecture) / 1e6:.1f} million random weights")
    return save_random(architecture, folder, window)


def _exported(plan: Plan, start: Start, tell: Callable[[str], None]) -> Plan:
    """Export the model where the rows of ONNX Runtime find it; where that fails, they tell why."""
    path = f"{plan.folder}/model.onnx"
    task = {"kind": "export", "checkpoint": plan.model["checkpoint"], "config": plan.model["config"], "path": path}
    tell("exporting to ONNX")
    try:
        start(task).close()
    except RowFailure as failure:
        tell(f"the export failed: {failure}")
    return replace(plan, model={**plan.model, "onnx": path})


def _rows(plan: Plan, numbers: Sequence[int]) -> list[Row]:
    return [row for number in numbers for row in TABLES[number].rows(plan)] + _always(plan)


def _always(plan: Plan) -> list[Row]:
    profiled = [plan.profile("eager", "fp32")] if plan.on_processor else []
    profiled += [plan.profile("torch", precision) for precision in plan.precisions]
    # The share of transforms is one of a whole window.
    return [plan.peaks, plan.control, *profiled, plan.alone("fp32", 1)]


def _remember(plan: Plan, measured: Mapping[str, Measured], model: str, config: Path | None) -> None:
    from engine.compute_choice import remember_batch_size

    for precision in plan.precisions:
        best = batches.best_batch(plan, measured, precision)
        if best is not None:
            remember_batch_size(model, Compute(plan.model["device"], "torch", precision), best, config)


def _report(
    plan: Plan, measured: Mapping[str, Measured], numbers: Sequence[int], tables: Sequence[Table], command: str
) -> tuple[dict[str, Any], str]:
    peaks = measured[plan.peaks.key]
    most = dict(peaks.runs[0]) if peaks.runs else {}
    machine = environment(plan.model["device"])
    reached = aims(plan, measured)
    profiles = [
        profile_table(row.name.removeprefix("profile of "), measured[row.key], most, row.task["model"]["precision"])
        for row in _always(plan)
        if row.task["kind"] == "profile"
    ]
    facts = {
        "command": command,
        "environment": machine,
        "peaks": most,
        "size": asdict(plan.size),
        "window_frames": plan.window_frames,
        "sample_rate": plan.sample_rate,
        "stems": plan.stems,
        "random_weights": plan.is_random,
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "aims": reached,
        "tables": {number: asdict(table) for number, table in zip(numbers, tables, strict=True)},
        "profiles": [asdict(table) for table in profiles],
        "rows": [each.as_dict() for each in measured.values()],
    }
    others = [run["others"] for each in measured.values() for run in each.runs if run.get("others") is not None]
    text = [
        f"```console\n$ {command}\n```\n",
        environment_markdown(machine, most),
        f"{'Random weights' if plan.is_random else 'The model given'}, {len(plan.stems)} stems, windows of "
        f"{plan.window_frames / plan.sample_rate:.2f} s. Every figure of speed is a ratio to the baseline, measured pair "
        f"by pair in turn, and the median of up to {plan.size.rounds} pairs. The real-time factor is seconds of work for "
        f"a second of audio. Other programs used {100 * float(np.median(others)) if others else 0:.0f} % of the "
        "cores meanwhile.\n",
        "".join(f"- {line}\n" for line in reached),
        *(table.markdown() for table in (*tables, *profiles)),
    ]
    return facts, "\n".join(part for part in text if part)
