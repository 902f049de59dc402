"""What a measurement of the latency found: every probe on its way around, promised against measured, by parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from streamer.audio.stamps import MeasuredLatency
from streamer.latency import LatencyReport
from streamer.stats import ProcessorStats

__all__ = ["PARTS", "DeviceSource", "PartRow", "Promise", "RoundTrip", "Statistics", "Trip", "Xrun"]

DeviceSource = Literal["measured before", "stated by driver", "simulated"]
"""Where the promise of the device's part comes from."""

_NAMES = {"bridge": "rate bridge", "lookahead": "look-ahead"}
PARTS = ("bridge", "delivery", "lookahead", "dispatch", "compute", "guard")
"""Of a processor's latency, in the order of the way."""


@dataclass(frozen=True)
class Statistics:
    """Of delays, in frames; each number is a delay that occurred.

    Attributes
    ----------
    count, median_frames, p5_frames, p95_frames, min_frames, max_frames : int
    """

    count: int
    median_frames: int
    p5_frames: int
    p95_frames: int
    min_frames: int
    max_frames: int

    @property
    def spread_frames(self) -> int:
        """From p5 to p95."""
        return self.p95_frames - self.p5_frames

    @classmethod
    def of(cls, delays: Sequence[int]) -> Statistics | None:
        """Sum up delays; None for none."""
        if not delays:
            return None
        percentiles = np.percentile(delays, (50, 5, 95, 0, 100), method="nearest")
        return cls(len(delays), *(int(value) for value in percentiles))

    def as_dict(self) -> dict[str, int]:
        """Everything for a JSON report."""
        return {**asdict(self), "spread_frames": self.spread_frames}


@dataclass(frozen=True)
class Promise:
    """The latency from the input's plug to the output's as it is promised, in frames.

    Attributes
    ----------
    device_frames : int
        The device's part, in and out together.
    device_source : str
        Where that comes from.
    stated_input_frames, stated_output_frames : int
        What the driver states for each way.
    ring_frames : int
        Between the capture of a block and its return to the device.
    processor : LatencyReport
        The processor's own, itemised.
    clock_bridge_frames : int
        What an input with a clock of its own costs; 0 where both run on one.
    """

    device_frames: int
    device_source: DeviceSource
    stated_input_frames: int
    stated_output_frames: int
    ring_frames: int
    processor: LatencyReport
    clock_bridge_frames: int = 0

    @property
    def moving_frames(self) -> int:
        """From the capture of a block to its place in the output: ring and clock bridge."""
        return self.ring_frames + self.clock_bridge_frames

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        return self.processor.sample_rate

    @property
    def total_frames(self) -> int:
        """All parts."""
        return self.device_frames + self.moving_frames + self.processor.total_frames

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        return {
            "total_frames": self.total_frames,
            "device_frames": self.device_frames,
            "device_source": self.device_source,
            "stated_input_frames": self.stated_input_frames,
            "stated_output_frames": self.stated_output_frames,
            "ring_frames": self.ring_frames,
            "clock_bridge_frames": self.clock_bridge_frames,
            "processor": self.processor.as_dict(),
        }


@dataclass(frozen=True)
class Trip:
    """The way of one probe.

    Attributes
    ----------
    sent_frame : int
        Of the device's clock: when it would have been captured, had a microphone brought it.
    total_frames : int or None
        From there to where it was heard; None if it was not.
    processor_frames : int or None
        From there to where it left the processor.
    strength : float
        How clear it was, from 0 to 1 for a copy.
    """

    sent_frame: int
    total_frames: int | None
    processor_frames: int | None
    strength: float


@dataclass(frozen=True)
class Xrun:
    """A fault of the stream: the frame that was being worked on, what it was, and how many frames it cost."""

    frame: int
    kind: Literal["underrun", "overflow", "driver"]
    frames: int


@dataclass(frozen=True)
class PartRow:
    """A line of the table.

    Attributes
    ----------
    name : str
    depth : int
        0 for what adds up to the total, 1 for what it is made of, 0 again for the total.
    promised_frames : int
    measured : Statistics or None
        None where it cannot be told apart from its neighbours.
    remark : str
    """

    name: str
    depth: int
    promised_frames: int
    measured: Statistics | None = None
    remark: str = ""


@dataclass(frozen=True)
class RoundTrip:
    """What became of the probes.

    Attributes
    ----------
    promise : Promise
    block_frames : int
    frames : int
        How long it was listened, from the start of the stream.
    trips : tuple of Trip
        One for each probe that was sent.
    ring : MeasuredLatency or None
        What blocks measured between their capture and their place in the output; None for a stream that cannot tell.
    xruns : tuple of Xrun
    stats : ProcessorStats
    """

    promise: Promise
    block_frames: int
    frames: int
    trips: tuple[Trip, ...]
    ring: MeasuredLatency | None
    xruns: tuple[Xrun, ...]
    stats: ProcessorStats

    @property
    def found(self) -> int:
        """Probes that came back."""
        return sum(trip.total_frames is not None for trip in self.trips)

    @property
    def total(self) -> Statistics | None:
        """Of the whole way; None where nothing came back."""
        return Statistics.of([trip.total_frames for trip in self.trips if trip.total_frames is not None])

    @property
    def processor(self) -> Statistics | None:
        """Of the way through the processor and the mixer."""
        return Statistics.of([trip.processor_frames for trip in self.trips if trip.processor_frames is not None])

    @property
    def device(self) -> Statistics | None:
        """Of the device's part, in and out together: the whole way less the ring and the processor."""
        ring = self.promise.moving_frames if self.ring is None else self.ring.ring_frames
        return Statistics.of(
            [
                trip.total_frames - trip.processor_frames - ring
                for trip in self.trips
                if trip.total_frames is not None and trip.processor_frames is not None
            ]
        )

    @property
    def difference_frames(self) -> int | None:
        """Measured less promised, by the median; None where nothing came back."""
        return None if self.total is None else self.total.median_frames - self.promise.total_frames

    @property
    def rows(self) -> tuple[PartRow, ...]:
        """The table of the parts, in the order of the way; the last line is the total."""
        promise, parts = self.promise, self.promise.processor.parts
        compute = (
            f"a run took {1000 * self.stats.compute_p50_s:.2f} ms, at most {1000 * self.stats.compute_max_s:.2f} ms"
        )
        within = "" if promise.device_source == "simulated" else compute
        return (
            PartRow("device", 0, promise.device_frames, self.device, promise.device_source),
            PartRow("device in", 1, promise.stated_input_frames, None, _stated(promise)),
            PartRow("device out", 1, promise.stated_output_frames, None, _stated(promise)),
            *self._ring_rows(),
            PartRow("processor", 0, promise.processor.total_frames, self.processor),
            *(PartRow(_NAMES.get(part, part), 1, parts[part], None, within * (part == "compute")) for part in PARTS),
            PartRow("total", 0, promise.total_frames, self.total),
        )

    def _ring_rows(self) -> tuple[PartRow, ...]:
        promise, measured = self.promise, self._ring_statistics()
        if not promise.clock_bridge_frames:
            return (PartRow("ring", 0, promise.ring_frames, measured),)
        return (
            PartRow("ring, clocks", 0, promise.moving_frames, measured),
            PartRow("clock bridge", 1, promise.clock_bridge_frames),
            PartRow("ring", 1, promise.ring_frames),
        )

    def _ring_statistics(self) -> Statistics | None:
        if self.ring is None or not self.ring.blocks:
            return None
        least, most, middle = self.ring.shortest_ring_frames, self.ring.longest_ring_frames, self.ring.ring_frames
        return Statistics(self.ring.blocks, middle, least, most, least, most)

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        return {
            "sample_rate": self.promise.sample_rate,
            "block_frames": self.block_frames,
            "frames": self.frames,
            "probes": {"sent": len(self.trips), "found": self.found},
            "promised": self.promise.as_dict(),
            "measured": {
                name: None if each is None else each.as_dict()
                for name, each in (
                    ("total", self.total),
                    ("device", self.device),
                    ("ring", self._ring_statistics()),
                    ("processor", self.processor),
                )
            },
            "difference_frames": self.difference_frames,
            "trips": [{**asdict(trip), "strength": round(trip.strength, 4)} for trip in self.trips],
            "xruns": [asdict(xrun) for xrun in self.xruns],
            "blocks": None if self.ring is None else self.ring.as_dict(),
            "counters": self.stats.as_dict(),
        }


def _stated(promise: Promise) -> str:
    return "simulated" if promise.device_source == "simulated" else "stated by driver"
