"""Everything that a report shows, as plain values for JSON."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

from streamer.file_session import SessionReport
from streamer.latency import LatencyReport
from streamer.report.block_times import bucketed
from streamer.report.recorder import RANGE_DB, Recording, SignalRecord
from streamer.stats import ProcessorStats

__all__ = ["LATENCY_PARTS", "RUNGS", "report_contents"]

LATENCY_PARTS: Mapping[str, str] = {
    "delivery": "the stretch that the model gives at once: its oldest sound waits for its newest",
    "lookahead": "how far ahead the model wants to hear",
    "dispatch": "the model can start only at the end of a block",
    "compute": "time that the model may take",
    "guard": "lets a fade begin before the sound runs out",
    "bridge": "conversion between the recording's rate and the model's",
}
"""What each part of the latency is, in the words of the report."""

RUNGS: Mapping[str, str] = {
    "final": "the model's result, in time",
    "late": "the rest of a result that came partly too late",
    "provisional": "a first guess, for want of the final result",
    "mixture": "not separated: the mixture itself, in the stem that takes what is left",
    "bypassed": "not separated, on purpose",
}
"""What could be heard of a frame, best first, in the words of the report."""


def report_contents(
    session: SessionReport,
    recording: Recording,
    *,
    title: str,
    model: str,
    machine: Mapping[str, str | int],
    versions: Mapping[str, str | None],
) -> dict[str, Any]:
    """Gather a report.

    Parameters
    ----------
    session : SessionReport
    recording : Recording
    title : str
        What was played.
    model : str
        Its name.
    machine, versions : mapping
        As ``streamer.cli.machine`` gives them.
    """
    duration_s = session.frames / session.sample_rate
    return {
        "title": title,
        "model": model,
        "sample_rate": session.sample_rate,
        "channels": session.channels,
        "frames": session.frames,
        "duration_s": duration_s,
        "block_frames": session.block_frames,
        "is_realtime": session.is_realtime,
        "latency": _latency(session.latency),
        "misses": session.stats.misses,
        "blocks": session.stats.blocks,
        "coverage": session.stats.coverage,
        "rungs": _rungs(session.stats),
        "model_ms": _milliseconds(
            session.hop_s, session.stats.compute_p50_s, session.stats.compute_p99_s, session.stats.compute_max_s
        ),
        "process_ms": _milliseconds(session.block_s, *(session.process_percentile_s(p) for p in (50, 99, 100))),
        "longest_lag_ms": 1000 * session.longest_lag_s,
        "real_time_factor": sum(session.process_s) / duration_s if duration_s else 0.0,
        "block_times": _block_times(session),
        "spectrogram": {"band_hz": recording.band_hz, "column_s": recording.column_s, "range_db": RANGE_DB},
        "listening": {
            "seconds": recording.listening_s,
            "sample_rate": recording.listening_rate,
            "is_cut": recording.listening_s < duration_s,
        },
        "signals": [_signal(each) for each in (recording.mixture, *recording.stems)],
        "scores": [
            {"stem": stem, **{name: _number(value) for name, value in scores.as_dict().items()}}
            for stem, scores in recording.scores.items()
        ],
        "machine": dict(machine),
        "versions": dict(versions),
    }


def _latency(latency: LatencyReport) -> dict[str, Any]:
    def ms(frames: int) -> float:
        return 1000 * frames / latency.sample_rate

    return {
        "frames": latency.total_frames,
        "ms": ms(latency.total_frames),
        "parts": [
            {"name": name, "frames": frames, "ms": ms(frames), "meaning": LATENCY_PARTS.get(name, "")}
            for name, frames in latency.parts.items()
        ],
    }


def _rungs(stats: ProcessorStats) -> list[dict[str, Any]]:
    counts = stats.as_dict()
    return [
        {"name": name, "frames": counts[f"{name}_frames"], "meaning": meaning}
        for name, meaning in RUNGS.items()
        if counts[f"{name}_frames"] or name == "final"
    ]


def _milliseconds(deadline_s: float, p50_s: float, p99_s: float, max_s: float) -> dict[str, float]:
    return {"deadline": 1000 * deadline_s, "p50": 1000 * p50_s, "p99": 1000 * p99_s, "max": 1000 * max_s}


def _block_times(session: SessionReport) -> dict[str, Any]:
    times = bucketed(session.process_s, session.missed_blocks)
    return {
        "blocks_per_bucket": times.blocks_per_bucket,
        "longest_ms": [float(f"{1000 * seconds:.4g}") for seconds in times.longest_s],
        "missed": times.missed,
    }


def _signal(signal: SignalRecord) -> dict[str, Any]:
    bands, columns = signal.levels.shape
    return {
        "name": signal.name,
        "bands": bands,
        "columns": columns,
        "levels": base64.b64encode(signal.levels.tobytes()).decode(),
        "mp3": base64.b64encode(signal.mp3).decode(),
    }


def _number(value: float) -> float | str | None:
    """Give a number that JSON can hold: infinities as the words that JavaScript reads, none for what is no number."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"
