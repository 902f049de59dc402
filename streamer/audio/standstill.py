"""Telling a device that has gone from one that is only late: its count of frames stands still."""

from __future__ import annotations

from engine.errors import DeviceLostError

__all__ = ["BEGIN_S", "UNSEEN_S", "Standstill"]

UNSEEN_S = 0.25
"""Where nobody looked for longer the program stood too, and the device has yet to be given time to move."""

BEGIN_S = 4.0
"""Time that a device may take until its first callback: some have to be woken."""


class Standstill:
    """Watches a device's count of frames. Used by one thread.

    Parameters
    ----------
    name : str
        Of the device.
    lost_after_s : float
        A device whose clock stands still for so long is lost.
    """

    def __init__(self, name: str, lost_after_s: float) -> None:
        self._name, self._lost_after_s = name, lost_after_s
        self._count, self._moved_at, self._looked_at = -1, 0.0, 0.0

    def look(self, count: int, now_s: float) -> None:
        """Take note of the count; raises DeviceLostError if it has not moved for too long."""
        unseen_s, self._looked_at = now_s - self._looked_at, now_s
        if count != self._count:
            self._count, self._moved_at = count, now_s
            return
        if unseen_s > UNSEEN_S:
            self._moved_at += unseen_s
        allowed_s = self._lost_after_s if count else max(self._lost_after_s, BEGIN_S)
        if now_s - self._moved_at > allowed_s:
            raise DeviceLostError(
                f"the device {self._name!r} has stood still for {allowed_s:g} s: "
                "check that it is plugged in and that its sound server runs"
            )
