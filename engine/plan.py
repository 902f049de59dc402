"""How audio is cut into windows and put together again, and what that costs in latency, as arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from engine.errors import PlanError
from engine.spec import ModelSpec

__all__ = [
    "Fill",
    "WindowPlan",
    "equal_latency_plans",
    "live_plan",
    "offline_plan",
    "smallest_slack_frames",
    "stateful_plan",
]

Fill = Literal["zeros", "reflect"]
_FILLS = ("zeros", "reflect")
_OFFLINE_FADE = 10
_WEIGHT_FLOOR = 1e-6


@dataclass(frozen=True)
class WindowPlan:
    """Where windows lie on the model's frame axis and which of their frames count.

    Window k ends at input frame ``(k + 1) * hop_frames``, called ``e``. A windowed model sees ``[e - window, e)``
    and its output counts for ``[e - lookahead - delivery, e - lookahead)`` under ramps of ``fade_frames``, divided
    by their running sum. A stateful model sees ``[e - hop, e)`` and gives ``[e - lookahead - hop, e - lookahead)``.

    Attributes
    ----------
    window_frames, hop_frames, lookahead_frames, fade_frames, delivery_frames : int
        On the model's axis. ``hop + fade <= delivery <= window - lookahead`` and ``2 * fade <= delivery``; for
        stateful models ``window == delivery == hop`` and ``fade == 0``, and the look-ahead is the model's own.
    fill : {"zeros", "reflect"}
        What stands for input that does not exist: before the first frame and after the last. ``reflect`` mirrors
        the recording at its ends, by as much as windows overlap (``window - hop``), and mirrors what that gives where
        the last window needs more, as the reference separators do. It needs the future, so it is for whole files.
    stateful : bool

    Raises
    ------
    PlanError
        If a constraint is broken; the message names the values and the constraint.
    """

    window_frames: int
    hop_frames: int
    lookahead_frames: int
    fade_frames: int
    delivery_frames: int
    fill: Fill = "zeros"
    stateful: bool = False

    def __post_init__(self) -> None:
        if self.fill not in _FILLS:
            raise PlanError(f"fill {self.fill!r} is unknown: use one of {', '.join(_FILLS)}")
        if self.hop_frames < 1:
            raise PlanError(f"hop {self.hop_frames} is too small: it must be at least 1 frame")
        if self.fade_frames < 0 or self.lookahead_frames < 0:
            raise PlanError(
                f"fade {self.fade_frames} and look-ahead {self.lookahead_frames} must not be negative: use 0 for none"
            )
        if self.stateful:
            self._check_stateful()
        else:
            self._check_windowed()

    def _check_stateful(self) -> None:
        if not self.window_frames == self.delivery_frames == self.hop_frames or self.fade_frames:
            raise PlanError(
                f"a stateful plan delivers exactly its hop: window {self.window_frames}, delivery "
                f"{self.delivery_frames} and hop {self.hop_frames} must be equal and fade {self.fade_frames} must be 0"
            )
        if self.fill != "zeros":
            raise PlanError(f"fill {self.fill!r} needs the future: a stateful plan takes 'zeros'")

    def _check_windowed(self) -> None:
        if self.hop_frames + self.fade_frames > self.delivery_frames:
            raise PlanError(
                f"delivery {self.delivery_frames} is too short: it must be at least hop + fade = "
                f"{self.hop_frames} + {self.fade_frames}; lower the hop or the fade"
            )
        if self.delivery_frames > self.window_frames - self.lookahead_frames:
            raise PlanError(
                f"delivery {self.delivery_frames} is too long: it must be at most window - look-ahead = "
                f"{self.window_frames} - {self.lookahead_frames}; lower the delivery or the look-ahead"
            )
        if 2 * self.fade_frames > self.delivery_frames:
            raise PlanError(
                f"fade {self.fade_frames} is too long: two of them must fit into the delivery of "
                f"{self.delivery_frames}; lower the fade"
            )

    @property
    def reach_frames(self) -> int:
        """Delivery and look-ahead: frames between a frame's arrival and the end of the last window it is in."""
        return self.delivery_frames + self.lookahead_frames

    @property
    def provisional_frames(self) -> int:
        """Frames past the final ones that the newest window already says something about."""
        return 0 if self.stateful else self.reach_frames - self.hop_frames

    def end_of(self, index: int) -> int:
        """Input frame at which window ``index`` ends; the window needs every frame before it."""
        return (index + 1) * self.hop_frames

    def final_before(self, index: int) -> int:
        """Every frame before this one is final once windows up to ``index`` are in."""
        return self.end_of(index) + self.hop_frames - self.reach_frames

    def window_for(self, frame: int) -> int:
        """Index of the window after which ``frame`` is final."""
        return (frame + self.reach_frames) // self.hop_frames - 1

    @property
    def first_index(self) -> int:
        """Index of the first window that says anything about frame 0 or later; earlier ones need not run.

        A stateful model runs from its first hop, since its state must hear everything.
        """
        return 0 if self.stateful else self.lookahead_frames // self.hop_frames

    def weights(self) -> npt.NDArray[np.float32]:
        """Ramp weights of one delivery, shape (delivery_frames,), before the division by their running sum.

        The ramp is the reference separators' linear one with end points 0 and 1; its zeros are lifted to 1e-6 so
        that a frame which only one window covers is that window's.
        """
        weights = np.ones(self.delivery_frames, np.float32)
        if self.fade_frames:
            ramp = np.maximum(np.linspace(0.0, 1.0, self.fade_frames, dtype=np.float32), np.float32(_WEIGHT_FLOOR))
            weights[: self.fade_frames] = ramp
            weights[self.delivery_frames - self.fade_frames :] = ramp[::-1]
        return weights


def stateful_plan(spec: ModelSpec) -> WindowPlan:
    """Give the only plan that a stateful model has."""
    hop = spec.hop_frames
    return WindowPlan(hop, hop, spec.lookahead_frames, 0, hop, stateful=True)


def live_plan(
    spec: ModelSpec,
    *,
    hop_frames: int | None = None,
    lookahead_frames: int | None = None,
    fade_frames: int | None = None,
    window_frames: int | None = None,
) -> WindowPlan:
    """Give a plan whose windows deliver one hop and one fade, so that latency is as small as the model allows.

    Anything left out is what the model's spec recommends; the fade is never longer than the hop.

    Raises
    ------
    PlanError
        If the lengths do not fit together, or anything is asked of a stateful model.
    """
    if spec.stateful:
        if any(value is not None for value in (hop_frames, lookahead_frames, fade_frames, window_frames)):
            raise PlanError(f"model {spec.name!r} is stateful and has one plan: leave hop, look-ahead and fade out")
        return stateful_plan(spec)
    window = _window(spec, window_frames)
    hop = spec.hop_frames if hop_frames is None else hop_frames
    lookahead = spec.lookahead_frames if lookahead_frames is None else lookahead_frames
    fade = min(spec.fade_frames, hop, max(0, window - lookahead - hop)) if fade_frames is None else fade_frames
    if fade > hop:
        raise PlanError(f"fade {fade} is longer than the hop of {hop}: when live at most two windows may overlap")
    return WindowPlan(window, hop, lookahead, fade, hop + fade)


def offline_plan(
    spec: ModelSpec, *, overlap: int | None = None, fill: Fill | None = None, window_frames: int | None = None
) -> WindowPlan:
    """Give a plan in which every frame is in ``overlap`` windows, for audio whose future is known.

    Parameters
    ----------
    overlap : int, optional
        1 or more; what the model's spec recommends if left out. The hop is the window divided by it, rounded down.
    fill : {"zeros", "reflect"}, optional
        Reflection if left out.

    Raises
    ------
    PlanError
        If the overlap is no integer, below 1 or above the window, or asked of a stateful model.
    """
    if overlap is not None and (isinstance(overlap, bool) or not isinstance(overlap, int | np.integer)):
        raise PlanError(f"overlap {overlap!r} cannot be used: it must be a whole number from 1")
    if spec.stateful:
        if overlap not in (None, 1):
            raise PlanError(
                f"overlap {overlap} makes no sense for {spec.name!r}: a stateful model hears each frame once"
            )
        return stateful_plan(spec)
    window = _window(spec, window_frames)
    overlap = spec.overlap if overlap is None else int(overlap)
    if not 1 <= overlap <= window:
        raise PlanError(f"overlap {overlap} is out of range: it must be from 1 to the window's {window} frames")
    hop = window // overlap
    fade = min(window // _OFFLINE_FADE, window - hop)
    return WindowPlan(window, hop, 0, fade, window, fill="reflect" if fill is None else fill)


def _window(spec: ModelSpec, window_frames: int | None) -> int:
    window = spec.window_frames if window_frames is None else window_frames
    if not spec.takes_window(window):
        raise PlanError(f"window {window} cannot be used: model {spec.name!r} takes {spec.window_rule}")
    return window


def smallest_slack_frames(
    hop_frames: int, worker_frames: int, max_block_frames: int, *, fixed_blocks: bool = False, waits: bool = False
) -> int:
    """Frames that blocks and the worker add to a plan's reach before no window is ever missed.

    The latency of a stream on the model's own axis is ``plan.reach_frames`` plus this. ``docs/latency.md`` derives
    it; a test finds the same numbers by brute force.

    Parameters
    ----------
    hop_frames, max_block_frames : int
    worker_frames : int
        Longest time from a window's departure to its result, at most the hop. A result counts when it is ready
        strictly before a block arrives.
    fixed_blocks : bool
        Every block has ``max_block_frames`` frames; otherwise any number from 1 up to that.
    waits : bool
        Each block waits for the windows it makes due, so the worker's time costs nothing.
    """
    step = math.gcd(hop_frames, max_block_frames) if fixed_blocks else 1
    if waits:
        return -step
    if fixed_blocks:
        return _fixed_slack_frames(hop_frames, worker_frames, max_block_frames)
    return max_block_frames - 1 + worker_frames


def _fixed_slack_frames(hop: int, worker: int, block: int) -> int:
    """Follow the windows of two cycles of hop and block: several may leave at once and run one after the other."""
    ends = (np.arange(2 * block // math.gcd(hop, block), dtype=np.int64) + 1) * hop
    leaves = -(-ends // block) * block
    turns = np.arange(len(ends)) * worker
    ready = np.maximum.accumulate(leaves - turns) + turns + worker
    return int(np.max(ready // block * block - ends))


def equal_latency_plans(plan: WindowPlan, slack_frames: int, needed_slack_frames: int) -> tuple[WindowPlan, ...]:
    """List live plans that could take over from ``plan`` without moving a frame, cheapest last.

    Each has a longer hop and the same sum of hop, look-ahead and slack; its slack is at least
    ``needed_slack_frames`` (dispatch, compute and guard) and its window still holds what it delivers. Stateful
    models have none.
    """
    if plan.stateful or plan.delivery_frames != plan.hop_frames + plan.fade_frames:
        return ()
    plans = []
    spare = slack_frames - needed_slack_frames
    for times in range(2, plan.window_frames // plan.hop_frames + 1):
        longer = times * plan.hop_frames
        lookahead = plan.lookahead_frames - max(0, longer - plan.hop_frames - spare)
        if lookahead < 0 or plan.window_frames < longer + lookahead + plan.fade_frames:
            break
        plans.append(
            replace(plan, hop_frames=longer, lookahead_frames=lookahead, delivery_frames=longer + plan.fade_frames)
        )
    return tuple(plans)
