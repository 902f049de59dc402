"""A ring that a callback in Python plays from: silence always lies ahead, and sound is written over it."""

from __future__ import annotations

from engine.ring import FrameRing
from streamer.audio.stream import F32

__all__ = ["SilenceAhead"]


class SilenceAhead(FrameRing):
    """Frames to be played, at their places on the output's axis.

    The pump's thread extends it and puts sound into it; the callback takes.

    Parameters
    ----------
    channels, min_frames : int
        As for ``FrameRing``.
    """

    def __init__(self, channels: int, min_frames: int) -> None:
        super().__init__((channels,), min_frames)
        self.played = 0
        """Frames that the callback took."""

    def extend(self, end: int) -> None:
        """Add silence up to this frame."""
        while (frames := end - self.written) > 0:
            self.append_zeros(min(frames, self.capacity))

    def serve(self, out: F32) -> None:
        """Fill a block of the device, shape (frames, channels); the callback."""
        frames = len(out)
        if self.played + frames > self.written or not self.copy(self.played, out.T):
            out.fill(0.0)
        self.played += frames
