"""Run the bench: measure what was planned, and put the report together."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.compute import Compute
from engine.errors import ConfigurationError
from streamer.bench.aims import aims
from streamer.bench.contents import contents
from streamer.bench.figures import Measured, Row
from streamer.bench.measure import measure
from streamer.bench.plan import Plan, Size
from streamer.bench.preparation import add_export, prepare
from streamer.bench.process import RowProcess, Start
from streamer.bench.report import can_plot, check_folder, write_report
from streamer.bench.tables import TABLES, batches

__all__ = ["Bench", "check_tables", "run_bench"]


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
    is_interrupted : bool
        Some rows were not reached.
    """

    facts: dict[str, Any]
    text: str
    paths: tuple[Path, ...]
    is_interrupted: bool = False


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
    overwrite: bool = False,
    command: str = "stemstream bench",
    tell: Callable[[str], None] = lambda _: None,
    start: Start | None = None,
) -> Bench:
    """Measure, and write the reports.

    Interrupted by a KeyboardInterrupt, it writes what was measured until then, if anything was.

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
        A song, or a folder with a mixture and its stems; a composed song if left out.
    overwrite : bool
        Replace the reports of an earlier run.
    command : str
        What the report says was run.
    tell : callable, optional
        Hears what is being measured.
    start : callable, optional
        Makes rows ready; processes of their own if left out.

    Raises
    ------
    ConfigurationError
        If a table, the device, the music or the folder of reports cannot be used.
    ModelError
        If PyTorch is missing, or the model is none that the baseline can be run with.
    OutputError
        If the reports cannot be written.
    """
    numbers = check_tables(tables)
    check_folder(out, overwrite=overwrite)
    if threads is not None and threads < 1:
        raise ConfigurationError(f"--threads {threads} cannot be used: give a whole number from 1")
    start = start or (lambda task: RowProcess(task, size.patience_s))
    measured: dict[str, Measured] = {}
    is_interrupted = False
    with tempfile.TemporaryDirectory(prefix="stemstream-bench-") as name:
        plan = prepare(Path(name), size, model, config, device, threads, audio, tell)
        if 4 in numbers:
            plan = add_export(plan, start, tell)
        try:
            measure(_rows(plan, numbers), start, rounds=size.rounds, done=measured, tell=tell)
        except KeyboardInterrupt:
            if not any(each.runs for each in measured.values()):
                raise
            is_interrupted = True
        made = {number: TABLES[number].table(plan, measured) for number in numbers}
        if 1 in numbers and model is not None and not is_interrupted:
            if measured[plan.control.key].is_even:
                _remember(plan, measured, model, config)
            else:
                tell("no batch size is remembered: the machine was not quiet")
        facts, text = contents(plan, measured, made, aims(plan, measured), command, is_interrupted=is_interrupted)
    if not can_plot():
        tell("plots are left out: pip install 'stemstream[bench]'")
    paths = write_report(out, facts, text, list(made.values()))
    return Bench(facts, text, tuple(paths), is_interrupted)


def _rows(plan: Plan, numbers: Sequence[int]) -> list[Row]:
    # First what every report has. The share of transforms is one of a whole window.
    always = [plan.peaks, plan.control, plan.alone("fp32", 1)]
    return [*always, *(row for number in numbers for row in TABLES[number].rows(plan)), *plan.profiles]


def _remember(plan: Plan, measured: Mapping[str, Measured], model: str, config: Path | None) -> None:
    from engine.compute_choice import remember_batch_size

    for precision in plan.precisions:
        best = batches.best_batch(plan, measured, precision)
        if best is not None:
            remember_batch_size(model, Compute(plan.model["device"], "torch", precision), best, config)
