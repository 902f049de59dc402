"""Where a pass has to begin so that a place in the middle of a track sounds as soon as the model can make it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.files.rate_converter import converted_frames
from engine.plan import WindowPlan, stateful_plan
from engine.spec import ModelSpec

__all__ = ["Priming", "priming_plan"]

_MARGIN_SHARE = 8
_FADE_SHARE = 20


@dataclass(frozen=True)
class Priming:
    """A pass that begins in the middle of a track, on the track's own axis.

    Attributes
    ----------
    read_from : int
        First frame that it hears.
    give_from : int
        First frame that it gives.
    """

    read_from: int
    give_from: int

    @classmethod
    def at(cls, frame: int, plan: WindowPlan, spec: ModelSpec, sample_rate: int) -> Priming:
        """Give what a pass must hear to give a frame with its first window, or with the first of a primed state."""
        if plan.stateful:
            hops = -(-spec.priming_frames // plan.hop_frames) + -(-plan.lookahead_frames // plan.hop_frames) + 1
            context = hops * plan.hop_frames
        else:
            # The first window that lies wholly behind the beginning, and the first frame that is new in it.
            context = -(-plan.window_frames // plan.hop_frames) * plan.hop_frames
            context -= plan.hop_frames + plan.lookahead_frames
        before = converted_frames(context, spec.sample_rate, sample_rate)
        # Where a frame of one rate lies upon one of the other, a conversion that begins there gives the same frames.
        step = sample_rate // math.gcd(sample_rate, spec.sample_rate)
        return cls(max(0, frame - before) // step * step, frame)


def priming_plan(spec: ModelSpec) -> WindowPlan:
    """Give the plan of a pass that is to sound at once: each frame is in one window, with context on both sides.

    Its windows cost a fraction of those of `engine.plan.offline_plan`, and each gives all of its middle.
    """
    if spec.stateful:
        return stateful_plan(spec)
    window = spec.window_frames
    margin = spec.lookahead_frames or window // _MARGIN_SHARE
    fade = max(0, min(spec.fade_frames or window, window // _FADE_SHARE))
    hop = window - 2 * margin - fade
    if hop <= fade:
        # A model that needs nearly all of its window as context.
        margin = window // _MARGIN_SHARE
        hop = window - 2 * margin - fade
    return WindowPlan(window, hop, margin, fade, hop + fade, fill="reflect")
