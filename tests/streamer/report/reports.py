"""Reports of sessions that are made up, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from streamer.file_session import SessionReport
from streamer.latency import LatencyReport
from streamer.report import Recording, ReportRecorder, report_contents
from streamer.stats import ProcessorStats

F32 = npt.NDArray[np.float32]
RATE, BLOCK = 16_000, 160


def sines(count: int, seconds: float, *, rate: int = RATE, channels: int = 2) -> F32:
    """Give that many stems, each a beating tone of its own pitch, shape (stems, channels, frames)."""
    t = np.arange(round(seconds * rate)) / rate
    tones = [0.2 * np.sin(2 * np.pi * 220 * (k + 1) * t) * (1.2 + np.sin(7 * (k + 1) * t)) for k in range(count)]
    return np.repeat(np.array(tones, np.float32)[:, None], channels, axis=1)


def recorded(
    stems: F32, names: Sequence[str], *, rate: int = RATE, truth: dict[str, F32] | None = None, **options: Any
) -> Recording:
    """Record stems and their sum in blocks, the stems late as they are in a session."""
    mixture, late = stems.sum(axis=0), 5 * BLOCK
    with ReportRecorder(names, rate, stems.shape[1], truth=truth, **options) as recorder:
        blocks = (mixture[:, n : n + BLOCK] for n in range(0, mixture.shape[1], BLOCK))
        for number, _ in enumerate(recorder.hear(blocks), start=1):
            end = max(0, number * BLOCK - late)
            recorder.take(stems[..., max(0, end - BLOCK) : end])
        recorder.take(stems[..., max(0, -(-mixture.shape[1] // BLOCK) * BLOCK - late) :])
        return recorder.finish()


def session(
    frames: int,
    *,
    rate: int = RATE,
    channels: int = 2,
    missed: Sequence[int] = (),
    is_realtime: bool = True,
    slow: float = 0.02,
) -> SessionReport:
    """Make up a session: each block takes a share ``slow`` of its length, and some are missed."""
    blocks = -(-frames // BLOCK)
    block_s = BLOCK / rate
    lost = BLOCK * len(missed)
    counts: dict[str, Any] = dict.fromkeys((field.name for field in fields(ProcessorStats)), 0)
    counts |= {"blocks": blocks, "frames": frames, "misses": len(missed)}
    counts |= {"final_frames": frames - lost, "mixture_frames": lost, "coverage": 1 - lost / max(1, frames)}
    counts |= {"compute_p50_s": 0.002, "compute_p99_s": 0.004, "compute_max_s": 0.007}
    return SessionReport(
        sample_rate=rate,
        channels=channels,
        frames=frames,
        block_frames=BLOCK,
        is_realtime=is_realtime,
        hop_s=0.0116,
        latency=LatencyReport(rate, 186, 557, 159, 1400, 64, 0),
        stats=ProcessorStats(**counts),
        process_s=tuple(block_s * slow * (1 + 0.5 * np.sin(k)) for k in range(blocks)),
        missed_blocks=tuple(missed),
        longest_lag_s=0.0012,
    )


def contents(
    names: Sequence[str] = ("vocals", "drums", "bass", "other"),
    *,
    seconds: float = 3.0,
    with_truth: bool = False,
    title: str = "song.flac",
    model: str = "made up",
    rate: int = RATE,
    channels: int = 2,
    listening_s: float = 120.0,
    **options: Any,
) -> dict[str, Any]:
    """Give the contents of a report; ``options`` are those of ``session``."""
    stems = sines(len(names), seconds, rate=rate, channels=channels)
    truth = {name: 0.5 * audio for name, audio in zip(names, stems, strict=True)} if with_truth else None
    return report_contents(
        session(stems.shape[-1], rate=rate, channels=channels, **options),
        recorded(stems, names, rate=rate, truth=truth, listening_s=listening_s),
        title=title,
        model=model,
        machine={"processor": "of some kind", "cpus": 2},
        versions={"python": "3", "torch": None},
    )
