"""How far a device's callbacks lie from the even flow of its frames: what has to be waited for at least."""

from __future__ import annotations

import numpy as np

from streamer.audio.drift import DriftController

__all__ = ["PeriodGauge"]

_USUAL_PERCENT = 80.0
"""A device that was held up once while it was looked at does not come in longer pieces for that."""


class PeriodGauge:
    """Gathers, while two devices begin, how late frames of the input come and how early the output takes its own."""

    def __init__(self, drift: DriftController) -> None:
        self._drift = drift
        self._behind_s, self._ahead_s = [0.0], [0.0]
        self._captured = self._played = -1

    def look(self, now_s: float, captured: int, played: int) -> None:
        """Take note of both counts, after the controller did."""
        if captured != self._captured and self._captured >= 0:
            # The count is furthest behind just before a callback, which is a moment ago.
            behind = self._drift.input.frames_at(now_s) - self._captured
            self._behind_s.append(behind / self._drift.input.rate)
        if played != self._played and self._played >= 0:
            self._ahead_s.append((played - self._drift.output.frames_at(now_s)) / self._drift.output.rate)
        self._captured, self._played = captured, played

    @property
    def spread_s(self) -> float:
        """Seconds by which the input's frames usually come late, and the output's are taken early, together."""
        usual = (float(np.percentile(each, _USUAL_PERCENT)) for each in (self._behind_s, self._ahead_s))
        return sum(max(0.0, each) for each in usual)
