"""What a live session reports: its latency by parts, and one number per failure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from engine.priority import PriorityReport
from streamer.audio.drift import DriftStats
from streamer.audio.stamps import MeasuredLatency
from streamer.audio.stream import AudioStream, StreamFormat
from streamer.calibration import Calibration
from streamer.capacity import Capacity
from streamer.latency import LatencyReport
from streamer.pump import Pump
from streamer.recorder import RecorderStats
from streamer.stats import ProcessorStats
from streamer.turnover import Turnover

__all__ = ["LiveLatency", "LiveStats"]


@dataclass(frozen=True)
class LiveLatency:
    """What the latency from the input's plug to the output's is made of, in frames.

    Attributes
    ----------
    device_input_frames, device_output_frames : int
        As the driver states them. Where they were measured: together what was measured, the input's as far as it
        fits as stated.
    clock_bridge_frames : int
        What an input with a clock of its own costs; 0 where both run on one.
    ring_frames : int
        Between the capture of a block and its return to the device: the time the program has to move it.
    processor : LatencyReport
        The processor's own, itemised.
    device_is_measured : bool
        Whether a stored calibration stands for the device's parts.
    """

    device_input_frames: int
    clock_bridge_frames: int
    ring_frames: int
    processor: LatencyReport
    device_output_frames: int
    device_is_measured: bool = False

    @classmethod
    def of(
        cls, stream: AudioStream, asked: StreamFormat, calibration: Calibration | None, processor: LatencyReport
    ) -> LiveLatency:
        """Itemise the latency of a stream."""
        heard, played = stream.latency.input_frames, stream.latency.output_frames
        if calibration is not None:
            heard = min(heard, calibration.device_frames)
            played = calibration.device_frames - heard
        bridge = getattr(stream, "bridge_frames", 0)
        return cls(heard, bridge, asked.ring_frames, processor, played, calibration is not None)

    @staticmethod
    def others(stream: AudioStream, asked: StreamFormat, calibration: Calibration | None) -> int:
        """Frames that devices, clock bridge and ring take: all but the processor's."""
        stated = stream.latency
        device = stated.input_frames + stated.output_frames if calibration is None else calibration.device_frames
        return device + int(getattr(stream, "bridge_frames", 0)) + asked.ring_frames

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        return self.processor.sample_rate

    @property
    def device_frames(self) -> int:
        """Frames of the device, in and out together."""
        return self.device_input_frames + self.device_output_frames

    @property
    def parts(self) -> dict[str, int]:
        """Frames by name of the part."""
        return {
            "device_input": self.device_input_frames,
            "clock_bridge": self.clock_bridge_frames,
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
            "device_is_measured": self.device_is_measured,
            "processor": self.processor.as_dict(),
        }

    def __str__(self) -> str:
        parts = " + ".join(f"{name.replace('_', ' ')} {frames}" for name, frames in self.parts.items() if frames)
        device = "measured" if self.device_is_measured else "as stated by the driver"
        total = f"{1000 * self.total_s:.1f} ms, {self.total_frames} frames at {self.sample_rate} Hz"
        return f"{total}: {parts}; the device {device}"


@dataclass(frozen=True)
class LiveStats:
    """Counts since a session began.

    Attributes
    ----------
    frames, blocks, epochs, skipped_frames, returns : int
        As in ``PumpCounters``.
    xruns, underruns, overflows, lost_output_frames, lost_input_frames, device_flags : int
        As in ``StreamCounters``. They are counted apart from the processor's misses.
    clipped_samples : int
        Samples of the output beyond full scale; nothing limits them.
    takes : int
        Recordings that hold any sound: one, and one more for each change of model.
    latency : LiveLatency
        What is promised.
    measured : MeasuredLatency
        What the newest blocks had, counted on the device's clock.
    processor : ProcessorStats
        Misses, coverage and all else that processors count, summed up over all models that were heard; its times are
        those of the one in use. Blocks that two models heard, before one took over from the other, count for both.
    capacity : Capacity or None
        What its model was measured to take before it began.
    hop_s : float
        Time between two windows of its model.
    drift : DriftStats or None
        How two clocks run beside each other; None where there is one.
    recording : RecorderStats or None
        Summed up over all takes: the state of the newest, and the newest error.
    priorities : tuple of PriorityReport
        What became of the priorities that were asked for.
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
    clipped_samples: int
    takes: int
    latency: LiveLatency
    measured: MeasuredLatency
    processor: ProcessorStats
    capacity: Capacity | None
    hop_s: float
    drift: DriftStats | None
    recording: RecorderStats | None
    priorities: tuple[PriorityReport, ...]

    @property
    def lost_frames(self) -> int:
        """Frames that came late, and captured ones that were thrown away."""
        return self.lost_output_frames + self.lost_input_frames

    @property
    def measured_frames(self) -> int:
        """The latency from end to end as it was measured; the promised one before the first block."""
        if not self.measured.blocks:
            return self.latency.total_frames
        return self.measured.total_frames(
            processor_frames=self.latency.processor.total_frames, device_frames=self.latency.device_frames
        )

    @classmethod
    def of(cls, pump: Pump, turnover: Turnover, latency: LiveLatency, capacity: Capacity | None) -> LiveStats:
        """Put together what the parts of a session counted."""
        stream, totals, processor = pump.stream_counters, turnover.totals(), turnover.chain.processor
        asked = (pump.priority, processor.priority)
        return cls(
            **asdict(pump.counters),
            **asdict(stream),
            xruns=stream.xruns,
            clipped_samples=totals.clipped_samples,
            takes=totals.takes,
            latency=latency,
            measured=pump.stamps.snapshot(),
            processor=totals.processor,
            capacity=capacity,
            hop_s=processor.plan.hop_frames / processor.spec.sample_rate,
            drift=getattr(pump.stream, "drift", None),
            recording=totals.recording,
            priorities=tuple(each for each in asked if each is not None),
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        plain = {name: value for name, value in vars(self).items() if isinstance(value, int | float)}
        return {
            **plain,
            "latency": self.latency.as_dict(),
            "measured": {"total_frames": self.measured_frames, **self.measured.as_dict()},
            "counters": self.processor.as_dict(),
            "capacity": None if self.capacity is None else self.capacity.as_dict(),
            "drift": None if self.drift is None else asdict(self.drift),
            "recording": None if self.recording is None else asdict(self.recording),
            "priorities": [asdict(each) for each in self.priorities],
        }
