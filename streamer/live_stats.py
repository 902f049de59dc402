"""What a live session reports: its latency by parts, and one number per failure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from streamer.audio.stream import StreamCounters
from streamer.latency import LatencyReport
from streamer.pump import PumpCounters
from streamer.stats import ProcessorStats

__all__ = ["LiveLatency", "LiveStats"]


@dataclass(frozen=True)
class LiveLatency:
    """What the latency from the input's plug to the output's is made of, in frames.

    Attributes
    ----------
    device_input_frames, device_output_frames : int
        As the driver states them; they have not been measured.
    ring_frames : int
        Between the capture of a block and its return to the device: the time the program has to move it.
    processor : LatencyReport
        The processor's own, itemised.
    """

    device_input_frames: int
    ring_frames: int
    processor: LatencyReport
    device_output_frames: int

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        return self.processor.sample_rate

    @property
    def parts(self) -> dict[str, int]:
        """Frames by name of the part."""
        return {
            "device_input": self.device_input_frames,
            "ring": self.ring_frames,
            "processor": self.processor.total_frames,
            "device_output": self.device_output_frames,
        }

    @property
    def total_frames(self) -> int:
        """Frames from end to end."""
        return sum(self.parts.values())

    @property
    def total_s(self) -> float:
        """The same in seconds."""
        return self.total_frames / self.sample_rate

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        return {
            "sample_rate": self.sample_rate,
            "total_frames": self.total_frames,
            "total_ms": round(1000 * self.total_s, 3),
            "parts_frames": self.parts,
            "processor": self.processor.as_dict(),
        }

    def __str__(self) -> str:
        parts = " + ".join(f"{name.replace('_', ' ')} {frames}" for name, frames in self.parts.items() if frames)
        return f"{1000 * self.total_s:.1f} ms, {self.total_frames} frames at {self.sample_rate} Hz: {parts}"


@dataclass(frozen=True)
class LiveStats:
    """Counts since a session began.

    Attributes
    ----------
    frames, blocks, epochs, skipped_frames, returns : int
        As in ``PumpCounters``.
    xruns, underruns, overflows, lost_output_frames, lost_input_frames, device_flags : int
        As in ``StreamCounters``. They are counted apart from the processor's misses.
    latency : LiveLatency
    processor : ProcessorStats
        Misses, coverage and all else that the processor counts.
    """

    frames: int
    blocks: int
    epochs: int
    skipped_frames: int
    returns: int
    xruns: int
    underruns: int
    overflows: int
    lost_output_frames: int
    lost_input_frames: int
    device_flags: int
    latency: LiveLatency
    processor: ProcessorStats

    @property
    def lost_frames(self) -> int:
        """Frames that came late, and captured ones that were thrown away."""
        return self.lost_output_frames + self.lost_input_frames

    @classmethod
    def of(
        cls, pump: PumpCounters, stream: StreamCounters, latency: LiveLatency, processor: ProcessorStats
    ) -> LiveStats:
        """Put together what the parts of a session counted."""
        return cls(**asdict(pump), **asdict(stream), xruns=stream.xruns, latency=latency, processor=processor)

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        plain = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        return {**plain, "latency": self.latency.as_dict(), "counters": self.processor.as_dict()}
