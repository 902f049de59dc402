"""Latency as arithmetic: when a window becomes due, what it makes final, and the parts that add up to the promise."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine.errors import LatencyError
from engine.plan import WindowPlan, smallest_slack_frames
from streamer.resample import hold_back_frames

__all__ = ["JOIN_FRAMES", "LatencyReport", "StreamTiming", "plan_latency", "round_up"]

JOIN_FRAMES = 64
"""Length of every fade between what can be heard: 1.3 ms at 48 kHz, short enough to follow a hit, long enough not to
click."""


@dataclass(frozen=True)
class LatencyReport:
    """What a processor's latency is made of, in frames of the host's axis; the parts add up to the total.

    Attributes
    ----------
    sample_rate : int
        The host's, in Hz.
    delivery_frames : int
        Frames that a window delivers at once: the oldest of them waited for the newest.
    lookahead_frames : int
        Future that the model wants to hear.
    dispatch_frames : int
        A window becomes due inside a block and leaves at its end.
    compute_frames : int
        The worker's budget for a window.
    guard_frames : int
        What a fade needs to begin before the end of what is there.
    bridge_frames : int
        What converting between the host's rate and the model's holds back; 0 at equal rates.
    """

    sample_rate: int
    delivery_frames: int
    lookahead_frames: int
    dispatch_frames: int
    compute_frames: int
    guard_frames: int
    bridge_frames: int

    @property
    def parts(self) -> dict[str, int]:
        """Frames by name of the part."""
        return {k.removesuffix("_frames"): v for k, v in asdict(self).items() if k != "sample_rate"}

    @property
    def total_frames(self) -> int:
        """Frames between an input frame's arrival and its return."""
        return sum(self.parts.values())

    @property
    def total_s(self) -> float:
        """The same in seconds."""
        return self.total_frames / self.sample_rate

    @property
    def slack_frames(self) -> int:
        """Dispatch, compute and guard: what lies between a window's last input frame and its first use."""
        return self.dispatch_frames + self.compute_frames + self.guard_frames

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        return {
            "sample_rate": self.sample_rate,
            "total_frames": self.total_frames,
            "total_ms": round(1000 * self.total_s, 3),
            "parts_frames": self.parts,
        }

    def __str__(self) -> str:
        parts = " + ".join(f"{name} {frames}" for name, frames in self.parts.items() if frames)
        return f"{1000 * self.total_s:.1f} ms = {self.total_frames} frames at {self.sample_rate} Hz ({parts})"


@dataclass(frozen=True)
class StreamTiming:
    """Where the windows of a plan lie on the host's axis, whatever the two rates are.

    Host frame n and model frame n * model_rate / host_rate are the same instant. Converting holds back: a model
    frame exists once ``in_hold_frames`` host frames past it were heard, a host frame once ``out_hold_frames`` model
    frames past it are final.
    """

    plan: WindowPlan
    host_rate: int
    model_rate: int

    @property
    def is_bridged(self) -> bool:
        """Whether the rates differ."""
        return self.host_rate != self.model_rate

    @property
    def in_hold_frames(self) -> int:
        """Host frames held back by the conversion to the model's rate."""
        return hold_back_frames(self.host_rate, self.model_rate) if self.is_bridged else 0

    @property
    def out_hold_frames(self) -> int:
        """Model frames held back by the conversion to the host's rate."""
        return hold_back_frames(self.model_rate, self.host_rate) if self.is_bridged else 0

    def heard_for(self, model_end: int) -> int:
        """Host frames that must have been heard before every model frame before ``model_end`` exists."""
        return -(-model_end * self.host_rate // self.model_rate) + self.in_hold_frames

    def host_before(self, model_frame: int) -> int:
        """Host frames that exist when every model frame before ``model_frame`` does."""
        return (model_frame - self.out_hold_frames) * self.host_rate // self.model_rate

    def host_after_gap(self, model_frame: int) -> int:
        """First host frame that is whole when model frames exist from ``model_frame`` on and not before."""
        if model_frame <= 0:
            return 0
        return -(-(model_frame + self.out_hold_frames) * self.host_rate // self.model_rate)

    def final_before(self, index: int) -> int:
        """Every host frame before this one is final after window ``index``; at least 0."""
        return max(0, self.host_before(self.plan.final_before(index)))

    def known_before(self, index: int, provisional_frames: int) -> int:
        """Every host frame before this one is known after window ``index``, with so many provisional model frames."""
        return max(0, self.host_before(self.plan.final_before(index) + provisional_frames))

    def window_for(self, frame: int) -> int:
        """Index of the window after which host frame ``frame`` is final."""
        model_frame = -(-(frame + 1) * self.model_rate // self.host_rate) + self.out_hold_frames
        return self.plan.window_for(model_frame - 1)

    def newest_due(self, heard: int) -> int:
        """Index of the newest window that can run when ``heard`` host frames were heard; -1 for none."""
        model_frames = (heard - self.in_hold_frames) * self.model_rate // self.host_rate
        return model_frames // self.plan.hop_frames - 1

    @property
    def reach_frames(self) -> int:
        """Longest way from a host frame's arrival to the point where the last window it is in can run.

        Equals ``plan.reach_frames`` at equal rates; otherwise the largest over all alignments of the two grids.
        """
        if not self.is_bridged:
            return self.plan.reach_frames
        period = self.model_rate // math.gcd(self.plan.hop_frames * self.host_rate, self.model_rate)
        ends = (np.arange(period, dtype=np.int64) + 1) * self.plan.hop_frames
        due = -(-ends * self.host_rate // self.model_rate) + self.in_hold_frames
        reach_model = self.plan.reach_frames + self.out_hold_frames
        final = (ends - reach_model) * self.host_rate // self.model_rate
        return int(np.max(due - final))

    def to_host(self, model_frames: int) -> int:
        """Length of ``model_frames`` on the host's axis, rounded up."""
        return -(-model_frames * self.host_rate // self.model_rate)


def plan_latency(
    timing: StreamTiming,
    *,
    max_block_frames: int,
    fixed_blocks: bool,
    realtime: bool,
    compute_frames: int,
    total_frames: int | None,
) -> LatencyReport:
    """Itemise the latency of a stream.

    Parameters
    ----------
    timing : StreamTiming
    max_block_frames : int
    fixed_blocks : bool
        Every block has ``max_block_frames`` frames.
    realtime : bool
        False: blocks wait for the model, so dispatch and compute cost nothing.
    compute_frames : int
        Budget of the worker, host frames, where ``total_frames`` does not set it.
    total_frames : int, optional
        The latency to have; a surplus goes to compute.

    Raises
    ------
    LatencyError
        If ``total_frames`` is below the smallest that works with ``compute_frames``; the message says which.

    Notes
    -----
    ``docs/latency.md`` derives the parts.
    """
    plan = timing.plan
    delivery, lookahead = timing.to_host(plan.delivery_frames), timing.to_host(plan.lookahead_frames)
    hop = timing.to_host(plan.hop_frames)
    bridge = timing.reach_frames - delivery - lookahead
    guard = max(0, JOIN_FRAMES - timing.host_before(plan.provisional_frames + timing.out_hold_frames))
    # Between two rates windows fall due at any frame of a block, so only equal rates profit from fixed ones.
    fixed = fixed_blocks and not timing.is_bridged
    dispatch = 0
    if realtime:
        dispatch = smallest_slack_frames(hop, 0, max_block_frames, fixed_blocks=fixed)
        compute = smallest_slack_frames(hop, compute_frames, max_block_frames, fixed_blocks=fixed) - dispatch
    else:
        # The block that brings a window's last frame also takes its result: one frame, or step, less.
        delivery += smallest_slack_frames(hop, 0, max_block_frames, fixed_blocks=fixed, waits=True)
        compute = 0
    smallest = LatencyReport(timing.host_rate, delivery, lookahead, dispatch, compute, guard, bridge)
    if total_frames is None:
        return smallest
    if total_frames < smallest.total_frames:
        raise LatencyError(
            f"a latency of {1000 * total_frames / timing.host_rate:.2f} ms is too small: the smallest that works here "
            f"is latency_s={round_up(smallest.total_s)}, {smallest}; raise it or shorten the blocks",
            smallest_s=round_up(smallest.total_s),
        )
    surplus = total_frames - smallest.total_frames
    return LatencyReport(timing.host_rate, delivery, lookahead, dispatch, compute + surplus, guard, bridge)


def round_up(seconds: float) -> float:
    """Give a latency for a message: rounded up, so that what is told works."""
    return math.ceil(seconds * 1e5) / 1e5
