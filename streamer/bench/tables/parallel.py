"""Table 7: more threads or more streams, and files read and written beside the model."""

from __future__ import annotations

from collections.abc import Mapping

from streamer.bench.figures import Measured, Row
from streamer.bench.plan import FULL_SIZE, Plan
from streamer.bench.table import Table, bars, number, times

__all__ = ["rows", "table"]

_STREAMS = (1, 2, 4, 8)
_GPU_FILES_S = (30.0, 180.0)


def rows(plan: Plan) -> list[Row]:
    """Streams and their threads, then files with the pipeline and without."""
    return [*_stream_rows(plan), *_file_rows(plan)]


def _stream_rows(plan: Plan) -> list[Row]:
    cores = plan.model["threads"] or plan.cores
    made = []
    for streams, threads in dict.fromkeys([(1, 1), *((n, max(1, cores // n)) for n in _STREAMS)]):
        task = {
            "kind": "streams",
            "model": plan.model,
            "audio": plan.audio,
            "streams": streams,
            "threads": threads,
        }
        why_not = ""
        if plan.size is FULL_SIZE and plan.on_processor and streams > plan.size.windows:
            why_not = "a row of --full-size runs two windows on a processor"
        name = f"{streams} stream{'s' * (streams > 1)}, {threads} thread{'s' * (threads > 1)} each"
        windows = {"windows": max(streams, plan.size.windows)}
        made.append(Row(name, task, windows, plan.baseline, why_not=why_not))
    return made


def _file_rows(plan: Plan) -> list[Row]:
    made = []
    for seconds in plan.size.file_s or (() if plan.on_processor else _GPU_FILES_S):
        task = {
            "kind": "file",
            "audio": plan.audio,
            "seconds": seconds,
            "overlap": plan.overlap,
            "folder": plan.folder,
        }
        baseline = {**task, "model": plan.of(backend="baseline")}
        for pipelined in (True, False):
            model = {**task, "model": plan.model, "pipelined": pipelined, "batch": 1 if plan.on_processor else 4}
            name = f"file of {seconds:g} s, pipeline {'on' if pipelined else 'off'}"
            made.append(Row(name, model, baseline=baseline, rounds=plan.size.file_rounds))
    return made


def table(plan: Plan, measured: Mapping[str, Measured]) -> Table:
    """Speed of each."""
    found = [measured[row.key] for row in rows(plan)]
    lines = [(each.row.name, times(each), number(each.value("cost"), 3), each.fault) for each in found]
    notes = ["Streams in fp32, each with buffers of its own; the factor is that of all together"]
    if not _file_rows(plan):
        notes.append("Files are left out of --full-size on a processor: the smaller matrix has them")
    return Table(
        "7. Parallel work",
        ("what", "times as fast", "real-time factor", "remarks"),
        tuple(lines),
        tuple(notes),
        bars(found),
    )
