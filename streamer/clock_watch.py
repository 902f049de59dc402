"""Noticing that a device stood: its count of frames falls behind the machine's clock, and does not come back."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["ClockWatch", "CountingStream"]

_BEGIN_S = 1.0
"""A device that begins is not even yet."""
_SURE_S = 0.1
"""A device that was only held up gives what it has kept at once."""
_FOLLOW_S = 2.0
"""The distance of the two clocks is followed so slowly: a drift stays near it, and a jump far off."""


@runtime_checkable
class CountingStream(Protocol):
    """A stream on a device that counts time by itself."""

    @property
    def device_frames(self) -> int:
        """Frames that the device's clock has counted; the pump's thread."""
        ...


class ClockWatch:
    """Compares a device's count of frames with a clock that runs evenly. Used by one thread.

    Parameters
    ----------
    sample_rate : int
        The nominal one, in Hz.
    limit_s : float
        What counts as a jump.
    """

    def __init__(self, sample_rate: int, limit_s: float) -> None:
        self._sample_rate, self._limit_s = sample_rate, limit_s
        self.restart()

    def restart(self) -> None:
        """Begin anew at the next look, as after the start of a stream."""
        self._began_s: float | None = None
        self._looked_s, self._behind_s = 0.0, 0.0
        self._off_since_s: float | None = None
        self._stood_s = 0.0

    @property
    def is_suspecting(self) -> bool:
        """Whether the device is behind, and may yet come back."""
        return self._off_since_s is not None

    def look(self, frames: int, now_s: float) -> float:
        """Take note of the count at a moment at which it has just moved.

        Returns
        -------
        float
            Seconds for which the device stood; 0 as a rule, and each time is told once.
        """
        behind_s = now_s - frames / self._sample_rate
        if self._began_s is None:
            self._began_s, self._looked_s, self._behind_s = now_s, now_s, behind_s
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        off_s = behind_s - self._behind_s
        if off_s <= self._limit_s:
            self._off_since_s = None
            has_begun = off_s > -self._limit_s and now_s - self._began_s >= _BEGIN_S
            share = min(1.0, passed_s / _FOLLOW_S) if has_begun else 1.0
            self._behind_s += share * off_s
            return 0.0
        if self._off_since_s is None:
            self._off_since_s, self._stood_s = now_s, off_s
        self._stood_s = min(self._stood_s, off_s)
        if now_s - self._off_since_s < _SURE_S:
            return 0.0
        self._off_since_s = None
        self._behind_s += self._stood_s
        return self._stood_s
