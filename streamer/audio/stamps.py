"""When blocks were captured and when they are played, counted on the audio clock: the latency a session really has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from engine.errors import ConfigurationError

__all__ = ["BlockStamps", "MeasuredLatency", "StampedStream"]

_NEWEST_BLOCKS = 4096


@runtime_checkable
class StampedStream(Protocol):
    """A stream that tells where its last block lies on the device's clock; all three for the pump's thread."""

    @property
    def captured_frame(self) -> int:
        """First frame of the block that was read last."""
        ...

    @property
    def rendered_frame(self) -> int:
        """Frame at which the block that was written last begins to be played."""
        ...

    @property
    def margin_frames(self) -> int:
        """Frames that were left when it was written; below zero where it was late."""
        ...


@dataclass(frozen=True)
class MeasuredLatency:
    """What the newest blocks of a session measured, in frames.

    Attributes
    ----------
    sample_rate : int
        In Hz.
    blocks : int
        How many were there in time, and so were measured; 0 before the first, and the next three numbers are 0 then.
    late_blocks : int
        Further ones whose first frames were due before they came: they were not played where they belong, or at all.
    ring_frames, shortest_ring_frames, longest_ring_frames : int
        From the capture of a block to its place in the output: median, least and most of those in time.
    margin_frames, least_margin_frames : int
        What was left of that time when the block was there: median and least of all, late ones below zero. How much
        deeper than needed a ring is.
    """

    sample_rate: int
    blocks: int
    late_blocks: int
    ring_frames: int
    shortest_ring_frames: int
    longest_ring_frames: int
    margin_frames: int
    least_margin_frames: int

    def total_frames(self, *, processor_frames: int, device_frames: int) -> int:
        """Give the latency from plug to plug.

        Parameters
        ----------
        processor_frames : int
            The processor's own, which is constant.
        device_frames : int
            The device's in and out together: as it was measured, or as its driver states it.
        """
        return self.ring_frames + processor_frames + device_frames

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        return dict(vars(self))


class BlockStamps:
    """Keeps the stamps of the newest blocks.

    The pump's thread calls ``stamp`` for each block, which allocates no array; any thread may call ``snapshot``.
    Clocks of drivers are not asked: what they say is often wrong, and frames can be counted.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    newest_blocks : int
        How many are kept.
    """

    def __init__(self, sample_rate: int, newest_blocks: int = _NEWEST_BLOCKS) -> None:
        if newest_blocks < 1:
            raise ConfigurationError(f"newest_blocks={newest_blocks} is not supported: give 1 or more")
        self._sample_rate = sample_rate
        self._ring = np.zeros(newest_blocks, np.int64)
        self._margin = np.zeros(newest_blocks, np.int64)
        self._count = 0

    def stamp(self, captured_frame: int, rendered_frame: int, margin_frames: int) -> None:
        """Take note of a block.

        Parameters
        ----------
        captured_frame, rendered_frame : int
            Where it was captured and where it is played, on one clock.
        margin_frames : int
            Frames that were left when it was written; below zero where it was late.
        """
        place = self._count % len(self._ring)
        self._ring[place] = rendered_frame - captured_frame
        self._margin[place] = margin_frames
        self._count += 1

    def snapshot(self) -> MeasuredLatency:
        """Sum up the newest blocks; makes a copy, so not for every block."""
        kept = min(self._count, len(self._ring))
        if kept == 0:
            return MeasuredLatency(self._sample_rate, 0, 0, 0, 0, 0, 0, 0)
        ring, margin = self._ring[:kept].copy(), self._margin[:kept].copy()
        played = ring[margin >= 0]
        return MeasuredLatency(
            self._sample_rate,
            len(played),
            kept - len(played),
            _median(played),
            int(played.min()) if len(played) else 0,
            int(played.max()) if len(played) else 0,
            _median(margin),
            int(margin.min()),
        )


def _median(values: np.ndarray[Any, np.dtype[np.int64]]) -> int:
    # One of the values, never a mean of two that no block had.
    return 0 if not len(values) else int(np.percentile(values, 50, method="lower"))
