"""A measurement of the latency as one HTML file: the parts, the histogram of the round trips, and their timeline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamer.measuring import Measurement
from streamer.report.contents import LATENCY_PARTS
from streamer.report.page import filled_page
from streamer.round_trip import PARTS, RoundTrip, Statistics

__all__ = ["Histogram", "histogram", "latency_contents", "latency_page"]

_STYLES = ("style.css", "latency.css")
_SCRIPTS = ("format", "colours", "theme", "facts", "delay_charts", "latency")
_MOST_BINS = 60
_LEAST_SPAN_FRAMES = 16
_MEANINGS = {
    "device": "on its way in and out; a loop cannot tell the two apart",
    "clock bridge": "lets the clocks of input and output drift apart",
    "ring": "time to take a block from the device and to bring its answer back",
    **LATENCY_PARTS,
}


@dataclass(frozen=True)
class Histogram:
    """Counts of delays.

    Attributes
    ----------
    begin_frames : int
        Where the first bin begins.
    bin_frames : int
        Width of each.
    counts : tuple of int
    """

    begin_frames: int
    bin_frames: int
    counts: tuple[int, ...]


def histogram(delays: Sequence[int], promised_frames: int) -> Histogram:
    """Count delays in at most 60 bins of whole frames; what is promised lies within them too."""
    low, high = min(*delays, promised_frames, promised_frames), max(*delays, promised_frames, promised_frames)
    margin = max(math.ceil((high - low) / 10), (_LEAST_SPAN_FRAMES - (high - low)) // 2, 1)
    low, high = max(0, low - margin), high + margin
    width = -(-(high - low + 1) // _MOST_BINS)
    counts = [0] * (-(-(high - low + 1) // width))
    for delay in delays:
        counts[(delay - low) // width] += 1
    return Histogram(low, width, tuple(counts))


def latency_contents(
    measurement: Measurement,
    *,
    model: str,
    machine: Mapping[str, str | int],
    versions: Mapping[str, str | None],
) -> dict[str, Any]:
    """Gather what the page shows, as plain values for JSON.

    Parameters
    ----------
    measurement : Measurement
    model : str
        Its name.
    machine, versions : mapping
        As ``streamer.cli.machine`` gives them.
    """
    trip = measurement.round_trip
    rate = trip.promise.sample_rate
    delays = [each.total_frames for each in trip.trips if each.total_frames is not None]
    same = measurement.input == measurement.output
    return {
        "title": f"Latency of {measurement.input}" + ("" if same else f" to {measurement.output}"),
        "host_api": measurement.host_api,
        "is_simulated": measurement.is_simulated,
        "model": model,
        "sample_rate": rate,
        "block_frames": trip.block_frames,
        "duration_s": trip.frames / rate,
        "promised_frames": trip.promise.total_frames,
        "device_source": trip.promise.device_source,
        "difference_frames": trip.difference_frames,
        "total": _statistics(trip.total),
        "sent": len(trip.trips),
        "found": trip.found,
        "rows": [
            {
                "name": row.name,
                "depth": row.depth,
                "promised_frames": row.promised_frames,
                "measured": _statistics(row.measured),
                "remark": row.remark,
            }
            for row in trip.rows
        ],
        "parts": _parts(trip),
        "histogram": None if not delays else vars(histogram(delays, trip.promise.total_frames)),
        "trips": [
            {"at_s": each.sent_frame / rate, "frames": each.total_frames, "strength": round(each.strength, 3)}
            for each in trip.trips
        ],
        "xruns": [{"at_s": xrun.frame / rate, "kind": xrun.kind, "frames": xrun.frames} for xrun in trip.xruns],
        "machine": dict(machine),
        "versions": dict(versions),
    }


def latency_page(contents: Mapping[str, Any]) -> str:
    """Make the page from what `latency_contents` gives; it loads nothing, as ``filled_page`` sees to."""
    return filled_page(contents, template="latency.html", styles=_STYLES, scripts=_SCRIPTS)


def _parts(trip: RoundTrip) -> list[dict[str, Any]]:
    """Give the parts of the promise that add up to the total, in the order of the way."""
    promise = trip.promise
    processor = promise.processor.parts
    frames = {
        "device": promise.device_frames,
        **({"clock bridge": promise.clock_bridge_frames} if promise.clock_bridge_frames else {}),
        "ring": promise.ring_frames,
        **{part: processor[part] for part in PARTS},
    }
    return [{"name": name, "frames": amount, "meaning": _MEANINGS.get(name, "")} for name, amount in frames.items()]


def _statistics(statistics: Statistics | None) -> dict[str, int] | None:
    return None if statistics is None else statistics.as_dict()
