"""Where sound comes from when it runs on a clock of its own: frames that pile up in a ring, counted from the start."""

from __future__ import annotations

from typing import Protocol

from engine.errors import DeviceLostError
from streamer.audio.stream import F32

__all__ = ["Capture"]


class Capture(Protocol):
    """An input alone. One thread reads it; whatever fills it, a callback or a thread, is its own affair.

    Attributes
    ----------
    sample_rate : int
        In Hz: the nominal rate of the frames that come, which need not be that of the session.
    channels : int
    latency_frames : int
        What its driver states, at ``sample_rate``; 0 where it states nothing.
    """

    sample_rate: int
    channels: int
    latency_frames: int

    def start(self) -> None:
        """Begin to capture; raises DeviceError if the device refuses."""
        ...

    @property
    def written(self) -> int:
        """Frames captured since the start: this device's clock. Never falls."""
        ...

    def copy(self, start: int, out: F32) -> bool:
        """Copy frames ``[start, start + n)`` into ``out``, shape (channels, n); False if they are gone or not there."""
        ...

    @property
    def error(self) -> DeviceLostError | None:
        """Why nothing comes any more; None while all is well."""
        ...

    @property
    def flags(self) -> int:
        """Faults that the driver told of."""
        ...

    def close(self, timeout_s: float) -> bool:
        """Stop; False if the driver hangs and was left behind. A second call does nothing."""
        ...
