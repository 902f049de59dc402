"""Table 7: more threads or more streams, and files read and written beside the model."""

from __future__ import annotations

from collections.abc import Mapping

from streamer.bench.figures import Measured, Row
from streamer.bench.plan import FULL_SIZE, Plan
from streamer.bench.table import Table, bars, number, times

__all__ = ["fastest_file_rows", "rows", "table"]

_STREAMS = (1, 2, 4, 8)
_GPU_FILES_S = (30.0, 180.0)
_GPU_BATCH = 4


def rows(plan: Plan) -> list[Row]:
    """Streams and their threads, then files with the pipeline and without."""
    return [*_stream_rows(plan), *_file_rows(plan), *fastest_file_rows(plan)]


def fastest_file_rows(plan: Plan) -> list[Row]:
    """Give files in bf16, where a GPU is measured: what the whole way reaches of its peak."""
    if plan.on_processor or "bf16" not in plan.precisions:
        return []
    return [_file_row(plan, seconds, is_pipelined=True, precision="bf16") for seconds in _file_lengths_s(plan)]


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
    return [
        _file_row(plan, seconds, is_pipelined=is_pipelined)
        for seconds in _file_lengths_s(plan)
        for is_pipelined in (True, False)
    ]


def _file_lengths_s(plan: Plan) -> tuple[float, ...]:
    return plan.size.file_s or (() if plan.on_processor else _GPU_FILES_S)


def _file_row(plan: Plan, seconds: float, *, is_pipelined: bool, precision: str = "fp32") -> Row:
    task = {
        "kind": "file",
        "audio": plan.audio,
        "seconds": seconds,
        "overlap": plan.overlap,
        "folder": plan.folder,
    }
    baseline = {**task, "model": plan.of(backend="baseline")}
    model = {
        **task,
        "model": plan.of(precision=precision),
        "pipelined": is_pipelined,
        "batch": 1 if plan.on_processor else _GPU_BATCH,
    }
    name = f"file of {seconds:g} s, pipeline {'on' if is_pipelined else 'off'}"
    name += "" if precision == "fp32" else f", {precision}"
    return Row(name, model, baseline=baseline, rounds=plan.size.file_rounds)


def table(plan: Plan, measured: Mapping[str, Measured]) -> Table:
    """Speed of each."""
    found = [measured[row.key] for row in rows(plan)]
    lines = [(each.row.name, times(each), number(each.value("cost"), 3), each.fault) for each in found]
    notes = ["In fp32 unless told otherwise; streams have buffers of their own; the factor is that of all together"]
    if not _file_rows(plan):
        notes.append("Files are left out of --full-size on a processor: the smaller matrix has them")
    return Table(
        "7. Parallel work",
        ("what", "times as fast", "real-time factor", "remarks"),
        tuple(lines),
        tuple(notes),
        bars(found),
    )
