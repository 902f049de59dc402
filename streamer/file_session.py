"""A recording on the live path: block after block through the processor, on time or as fast as the model is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from engine.offline import Progress, ProgressCallback
from streamer.latency import LatencyReport
from streamer.processor import StemProcessor
from streamer.stats import ProcessorStats

__all__ = ["Clock", "SessionReport", "Sink", "WallClock", "run_file_session"]

F32 = npt.NDArray[np.float32]

Sink = Callable[[F32], None]
"""Takes stems, shape (stems, channels, n), that are valid until it returns."""


class Clock(Protocol):
    """Time as a session sees it."""

    def now(self) -> float:
        """Give seconds that never run backwards."""
        ...

    def sleep_until(self, moment_s: float) -> None:
        """Return when ``now`` has reached ``moment_s``; at once if it has."""
        ...


class WallClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Give seconds since some start."""
        return time.perf_counter()

    def sleep_until(self, moment_s: float) -> None:
        """Sleep; any thread."""
        while (left := moment_s - time.perf_counter()) > 0:
            time.sleep(left)


@dataclass(frozen=True)
class SessionReport:
    """What a session did.

    Attributes
    ----------
    sample_rate, channels, frames : int
        Of the recording; ``frames`` were taken in and as many given out.
    block_frames : int
    is_realtime : bool
        Blocks came when they were due and none waited for the model.
    hop_s : float
        Time between two windows of the model.
    latency : LatencyReport
    stats : ProcessorStats
    process_s : tuple of float
        Time that the processor took for each block.
    missed_blocks : tuple of int
        Indices of the blocks for which no final result was there in time.
    longest_lag_s : float
        How late the latest block came; 0 where nothing was due at any time.
    """

    sample_rate: int
    channels: int
    frames: int
    block_frames: int
    is_realtime: bool
    hop_s: float
    latency: LatencyReport
    stats: ProcessorStats
    process_s: tuple[float, ...]
    missed_blocks: tuple[int, ...]
    longest_lag_s: float

    @property
    def block_s(self) -> float:
        """Length of a block, which is the time that the processor may take for one."""
        return self.block_frames / self.sample_rate

    def process_percentile_s(self, percent: float) -> float:
        """Give a percentile of ``process_s``; 0 where there was no block."""
        return float(np.percentile(self.process_s, percent)) if self.process_s else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Everything but the lists of single blocks, for a JSON report."""
        return {
            "sample_rate": self.sample_rate,
            "channels": self.channels,
            "frames": self.frames,
            "block_frames": self.block_frames,
            "pace": "realtime" if self.is_realtime else "fast",
            "latency": self.latency.as_dict(),
            "misses": self.stats.misses,
            "coverage": self.stats.coverage,
            "counters": self.stats.as_dict(),
            "hop_ms": round(1000 * self.hop_s, 3),
            "process_ms": {
                "p50": round(1000 * self.process_percentile_s(50), 4),
                "p99": round(1000 * self.process_percentile_s(99), 4),
                "max": round(1000 * self.process_percentile_s(100), 4),
            },
            "longest_lag_ms": round(1000 * self.longest_lag_s, 4),
        }


def run_file_session(
    processor: StemProcessor,
    blocks: Iterable[F32],
    *,
    sample_rate: int,
    channels: int,
    block_frames: int,
    frames: int | None = None,
    sink: Sink | None = None,
    progress: ProgressCallback | None = None,
    clock: Clock | None = None,
) -> SessionReport:
    """Send a recording through a processor as a device would.

    A block of a real-time processor goes in at the moment its last frame would have been heard, counted from the
    session's start, so that no delay adds up; other processors take blocks as fast as the model allows.

    Parameters
    ----------
    processor : StemProcessor
        Prepared here and released at the end.
    blocks : iterable of ndarray of float32, shape (channels, block_frames)
        Only the last one may be shorter.
    sample_rate, channels, block_frames : int
    frames : int, optional
        Sum of the blocks' frames where it is known, for the progress.
    sink : callable, optional
        Gets the stems, exactly as many frames as came in and none of the latency's silence.
    progress : callable, optional
        Called after each block; an exception from it ends the session.
    clock : Clock, optional
        Left out: the machine's own.

    Returns
    -------
    SessionReport

    Raises
    ------
    ConfigurationError
        As ``StemProcessor.prepare`` does. Errors of ``blocks``, ``sink`` and ``progress`` pass through.
    """
    clock = WallClock() if clock is None else clock
    process_s: list[float] = []
    missed_blocks: list[int] = []
    heard, longest_lag = 0, 0.0
    # Promising the block length saves latency, which nobody hears of a processor that waits.
    processor.prepare(
        sample_rate=sample_rate,
        channels=channels,
        max_block_frames=block_frames,
        fixed_blocks=processor.is_realtime,
    )
    with processor:
        aligned = _Aligned(processor.latency_frames, sink)
        begin = clock.now()
        for block in blocks:
            if processor.is_realtime:
                due = begin + (heard + block.shape[1]) / sample_rate
                clock.sleep_until(due)
                longest_lag = max(longest_lag, clock.now() - due)
            heard += block.shape[1]
            misses, started = processor.misses, clock.now()
            stems = processor.process(_filled_up(block, block_frames) if processor.is_realtime else block)
            process_s.append(clock.now() - started)
            if processor.misses > misses:
                missed_blocks.append(len(process_s) - 1)
            aligned.take(stems, heard)
            if progress is not None:
                progress(_progress(heard, frames, clock.now() - begin))
        aligned.take(processor.flush(), heard)
        return SessionReport(
            sample_rate=sample_rate,
            channels=channels,
            frames=heard,
            block_frames=block_frames,
            is_realtime=processor.is_realtime,
            hop_s=processor.plan.hop_frames / processor.spec.sample_rate,
            latency=processor.latency,
            stats=processor.stats(),
            process_s=tuple(process_s),
            missed_blocks=tuple(missed_blocks),
            longest_lag_s=longest_lag,
        )


class _Aligned:
    """Hands on what belongs to the recording: not the silence before it, nor what stands for frames after it."""

    def __init__(self, latency_frames: int, sink: Sink | None) -> None:
        self._silent = latency_frames
        self._given = 0
        self._sink = sink

    def take(self, stems: F32, heard: int) -> None:
        silent = min(self._silent, stems.shape[-1])
        self._silent -= silent
        part = stems[..., silent : silent + heard - self._given]
        self._given += part.shape[-1]
        if part.shape[-1] and self._sink is not None:
            self._sink(part)


def _filled_up(block: F32, block_frames: int) -> F32:
    missing = block_frames - block.shape[1]
    return np.pad(block, ((0, 0), (0, missing))) if missing > 0 else block


def _progress(heard: int, frames: int | None, spent_s: float) -> Progress:
    if not frames:
        return Progress(math.nan, math.nan)
    fraction = min(1.0, heard / frames)
    return Progress(fraction, spent_s * (1.0 - fraction) / fraction)
