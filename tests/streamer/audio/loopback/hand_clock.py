"""A clock that is set by hand."""

from __future__ import annotations

RATE = 48_000


class HandClock:
    """Seconds, moved on in frames."""

    def __init__(self) -> None:
        self.frames = 1000.0

    def now(self) -> float:
        return self.frames / RATE

    def sleep_until(self, moment_s: float) -> None:
        self.frames = max(self.frames, moment_s * RATE)

    def advance(self, frames: float) -> None:
        self.frames += frames
