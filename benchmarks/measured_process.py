"""Programs measured in processes of their own, see `streamer.bench.measured_process`, and on what machine."""

from __future__ import annotations

from engine.machine import processor_name as processor
from streamer.bench.measured_process import Stopwatch, peak_bytes, run_alone

__all__ = ["Stopwatch", "peak_bytes", "processor", "run_alone"]
