"""Round trips that are made up, and chains for streams of a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from streamer.audio.stamps import BlockStamps
from streamer.chain import Chain
from streamer.latency import LatencyReport
from streamer.measuring import Measurement
from streamer.mixer import Mixer
from streamer.output_map import OutputMap
from streamer.processor import StemProcessor
from streamer.round_trip import Promise, RoundTrip, Trip, Xrun
from streamer.stats import ProcessorStats
from streamer.testing import IdentitySeparator, ScriptedWorker, VirtualClock

RATE, BLOCK, RING = 48_000, 256, 768
PROCESSOR = LatencyReport(RATE, 558, 1672, 255, 558, 64, 106)


def chain_of(clock: VirtualClock, *, block: int = BLOCK, rate: int = RATE, channels: int = 2) -> Chain:
    """Prepare an identity that takes no time."""
    separator = IdentitySeparator(sample_rate=rate, channels=channels)
    processor = StemProcessor(separator, realtime=True, worker=ScriptedWorker(clock), clock=clock)
    processor.prepare(sample_rate=rate, channels=channels, max_block_frames=block, fixed_blocks=True)
    mixer = Mixer(
        processor.stems, channels=channels, sample_rate=rate, max_block_frames=block, outputs=OutputMap.of_mix(2)
    )
    return Chain(processor, mixer, block_frames=block)


def made_up(
    totals: Sequence[int | None],
    *,
    xruns: Sequence[Xrun] = (),
    device_frames: int = 256,
    clock_bridge_frames: int = 0,
    **promise: Any,
) -> RoundTrip:
    """Make up a round trip: where each probe was heard, None for not at all."""
    source = promise.pop("device_source", "stated by driver")
    claimed = Promise(device_frames, source, 64, 192, RING, PROCESSOR, clock_bridge_frames, **promise)
    stamps = BlockStamps(RATE)
    stamps.stamp(0, claimed.moving_frames, 300)
    counts: dict[str, Any] = dict.fromkeys((field.name for field in fields(ProcessorStats)), 0)
    trips = tuple(
        Trip(12_000 + 6_000 * n, total, PROCESSOR.total_frames, 0.0 if total is None else 1.0)
        for n, total in enumerate(totals)
    )
    return RoundTrip(
        claimed, BLOCK, 12_000 + 6_000 * len(totals), trips, stamps.snapshot(), tuple(xruns), ProcessorStats(**counts)
    )


def measurement(totals: Sequence[int | None], *, name: str = "loopback", **options: Any) -> Measurement:
    """Make up a measurement on a device."""
    return Measurement(made_up(totals, **options), "virtual", name, name, False, not_stored="as asked")
