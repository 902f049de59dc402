"""The choice of plan and latency for a model, a host and a wish, and whether this machine can keep it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import ConfigurationError, LatencyError
from engine.plan import WindowPlan, live_plan, smallest_slack_frames
from engine.spec import ModelSpec
from streamer.latency import LatencyReport, StreamTiming, plan_latency, round_up

__all__ = [
    "MAX_SAMPLE_RATE",
    "MIN_SAMPLE_RATE",
    "Host",
    "OperatingPoint",
    "check_compute",
    "settle",
    "smallest_latency_s",
]

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 8_000, 192_000
_MAX_BLOCK_FRAMES = 1 << 20


@dataclass(frozen=True)
class Host:
    """What a processor is prepared for.

    Attributes
    ----------
    sample_rate : int
        In Hz, 8,000 to 192,000.
    channels : int
    max_block_frames : int
        1 to 1,048,576.
    fixed_blocks : bool
        Every block has ``max_block_frames``.
    realtime : bool
        Blocks do not wait for the model.

    Raises
    ------
    ConfigurationError
        If a value is not allowed.
    """

    sample_rate: int
    channels: int
    max_block_frames: int
    fixed_blocks: bool
    realtime: bool

    def __post_init__(self) -> None:
        _check("sample_rate", self.sample_rate, MIN_SAMPLE_RATE, MAX_SAMPLE_RATE, "Hz; resample before")
        _check("max_block_frames", self.max_block_frames, 1, _MAX_BLOCK_FRAMES, "frames; use shorter blocks")

    def check_channels(self, spec: ModelSpec) -> None:
        """Refuse channels that the model does not take."""
        allowed = sorted({1, spec.channels})
        if not isinstance(self.channels, int | np.integer) or self.channels not in allowed or self.channels is True:
            raise ConfigurationError(
                f"channels={self.channels!r} is not supported: {spec.name!r} takes "
                f"{' or '.join(str(c) for c in allowed)}; mix down before"
            )


@dataclass(frozen=True)
class OperatingPoint:
    """How a stream is cut, and the latency it has."""

    timing: StreamTiming
    latency: LatencyReport


def settle(spec: ModelSpec, host: Host, *, latency_s: float | None, plan: WindowPlan | None) -> OperatingPoint:
    """Choose the plan and itemise the latency.

    Parameters
    ----------
    spec : ModelSpec
    host : Host
    latency_s : float, optional
        The latency to have. Left out: the smallest where blocks wait, and one hop for the worker where they do not.
    plan : WindowPlan, optional
        Left out: what the spec recommends, its hop halved until reach and worker, one hop each, fit the latency.

    Raises
    ------
    LatencyError
        If ``latency_s`` is too small.
    """
    host.check_channels(spec)
    if plan is None:
        plan = live_plan(spec)
        while latency_s is not None and not plan.stateful and plan.hop_frames > 1:
            try:
                return _itemise(plan, spec, host, latency_s, with_hop=True)
            except LatencyError:
                plan = live_plan(spec, hop_frames=plan.hop_frames // 2)
    return _itemise(plan, spec, host, latency_s, with_hop=latency_s is None)


def _itemise(
    plan: WindowPlan, spec: ModelSpec, host: Host, latency_s: float | None, *, with_hop: bool
) -> OperatingPoint:
    timing = StreamTiming(plan, host.sample_rate, spec.sample_rate)
    compute = timing.to_host(plan.hop_frames) if with_hop else 0
    return OperatingPoint(timing, _latency(timing, host, latency_s, compute))


def _latency(timing: StreamTiming, host: Host, latency_s: float | None, compute_frames: int) -> LatencyReport:
    return plan_latency(
        timing,
        max_block_frames=host.max_block_frames,
        fixed_blocks=host.fixed_blocks,
        realtime=host.realtime,
        compute_frames=compute_frames,
        total_frames=None if latency_s is None else math.floor(latency_s * host.sample_rate + 1e-6),
    )


def check_compute(
    point: OperatingPoint, host: Host, name: str, run_s: Sequence[float], *, is_budget_fixed: bool
) -> str | None:
    """Compare the time a model took in its warm-up with its budget.

    Parameters
    ----------
    point : OperatingPoint
    host : Host
    name : str
        Of the model.
    run_s : sequence of float
        Seconds of each timed run of one window; none where time is scripted.
    is_budget_fixed : bool
        The user gave the latency.

    Returns
    -------
    str or None
        A warning.

    Raises
    ------
    LatencyError
        If the given latency leaves less than a typical run; the message says the smallest that works.
    """
    if not host.realtime or not run_s:
        return None
    typical_s, longest_s = float(np.median(run_s)), max(run_s)
    hop_s = point.timing.to_host(point.timing.plan.hop_frames) / host.sample_rate
    spare = {run: point.latency.slack_frames - _needed_slack(point, host, run) for run in (typical_s, longest_s)}
    if is_budget_fixed and spare[typical_s] < 0:
        enough_s = smallest_latency_s(point, host, run_s)
        raise LatencyError(
            f"a latency of {1000 * point.latency.total_s:.2f} ms is too small for {name!r}, which takes up to "
            f"{1000 * longest_s:.1f} ms here: the smallest that works is latency_s={enough_s}",
            smallest_s=enough_s,
        )
    if typical_s > hop_s:
        return (
            f"{name!r} needs {1000 * typical_s:.1f} ms for a hop of {1000 * hop_s:.1f} ms on this machine: most of the "
            "sound will not be separated; use a lighter model, a longer hop or a faster device"
        )
    if spare[longest_s] < 0:
        return (
            f"{name!r} took up to {1000 * longest_s:.1f} ms in its warm-up, more than the latency leaves it: "
            "expect misses, or raise latency_s"
        )
    return None


def smallest_latency_s(point: OperatingPoint, host: Host, run_s: Sequence[float]) -> float:
    """Give the smallest latency that works here, with room for runs twice as long as the longest of the warm-up."""
    frames = point.latency.total_frames - point.latency.slack_frames + _needed_slack(point, host, 2 * max(run_s))
    return round_up(frames / host.sample_rate)


def _needed_slack(point: OperatingPoint, host: Host, run_s: float) -> int:
    """Frames of dispatch, compute and guard that runs of so many seconds need."""
    hop = point.timing.to_host(point.timing.plan.hop_frames)
    run = min(hop, math.ceil(run_s * host.sample_rate))
    fixed = host.fixed_blocks and not point.timing.is_bridged
    slack = smallest_slack_frames(hop, run, host.max_block_frames, fixed_blocks=fixed)
    return slack + point.latency.guard_frames


def _check(name: str, value: object, low: int, high: int, remedy: str) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigurationError(
            f"{name}={value!r} is not supported: give a whole number from {low} to {high} {remedy}"
        )
