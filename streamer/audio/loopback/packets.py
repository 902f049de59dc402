"""Packets of sound in a ring on a clock that never stands: where none come, since nothing plays, there is silence.

Windows gives no packets while no program plays, and macOS need not. A session's clock must go on, so silence is told of
by the machine's clock, and put into the ring when the next packet comes.
"""

from __future__ import annotations

import numpy as np

from engine.ring import FrameRing
from streamer.audio.loopback.downmix import downmix_matrix
from streamer.audio.stream import F32
from streamer.file_session import Clock, WallClock

__all__ = ["PATIENCE_S", "PacketRing"]

_RING_S = 2.0
_PIECE_FRAMES = 4096

PATIENCE_S = 0.03
"""Without a packet for so long, nothing plays: three periods of a shared WASAPI stream, which has one every 10 ms."""
_SETTLING_S = 1.0


class PacketRing:
    """The frames of a capture, counted from its start.

    One thread calls ``begin``, one ``append``, one ``written`` and ``copy``. Nothing is locked, and after construction
    no array is allocated.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    source_channels : int
        Of the packets.
    channels : int
        Of what is kept: 1 or 2, mixed down from more.
    patience_s : float or None
        How long packets may stay away before silence stands for them: the most by which ``written`` falls behind the
        clock. None: they never do, and a clock that stands is a fault.
    clock : Clock, optional
        Left out: the machine's own.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        source_channels: int,
        channels: int,
        patience_s: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._sample_rate = sample_rate
        self._clock = WallClock() if clock is None else clock
        self._ring = FrameRing((channels,), round(_RING_S * sample_rate))
        self._matrix = downmix_matrix(source_channels, channels)
        self._mixed = np.zeros((channels, _PIECE_FRAMES), np.float32)
        self._patience_frames = None if patience_s is None else round(patience_s * sample_rate)
        # Position and moment of the newest packet's end, and by how much positions are ahead of the ring's: one tuple,
        # which is exchanged at once, so that a reader never sees half of a packet.
        self._newest = (0, self._clock.now(), 0)
        self._told = 0
        self._resumed: tuple[int, float] | None = None
        self.dropped_frames = 0
        """Frames that came after silence had been told in their place."""

    def begin(self) -> None:
        """Count time from here, before the first packet."""
        self._newest = (0, self._clock.now(), 0)

    @property
    def written(self) -> int:
        """Frames there are by now: those of the packets, and the silence after them."""
        position, moment_s, _ = self._newest
        if self._patience_frames is not None:
            position += max(0, self._frames_since(moment_s) - self._patience_frames)
        self._told = max(self._told, position)
        return self._told

    def copy(self, start: int, out: F32) -> bool:
        """Copy frames ``[start, start + n)`` into ``out``, shape (channels, n); False if they are gone or not there."""
        end, position, ahead = start + out.shape[1], self._newest[0], self._newest[2]
        if end > max(position, self._told):
            return False
        kept = min(out.shape[1], max(0, position - start))
        out[:, kept:] = 0.0
        return kept == 0 or self._ring.copy(start - ahead, out[:, :kept])

    def append(self, packet: F32) -> None:
        """Take a packet as the device gives it, shape (frames, source channels); the device's thread."""
        now = self._clock.now()
        if self._patience_frames is not None:
            packet = self._in_time(packet, now, self._patience_frames)
        position, _, ahead = self._newest
        for begin in range(0, len(packet), _PIECE_FRAMES):
            self._ring.append(self._downmixed(packet[begin : begin + _PIECE_FRAMES].T))
        self._newest = (position + len(packet), now, ahead)

    def _in_time(self, packet: F32, now: float, patience_frames: int) -> F32:
        """Put in the silence before a packet; where the packets were only late, drop what has no place any more."""
        position, moment_s, _ = self._newest
        away = self._frames_since(moment_s, now)
        if away > patience_frames:
            self._insert_silence(max(away - len(packet), self._told - position, 0), now)
            self._resumed = (self._newest[0] + len(packet), now)
        elif self._resumed is not None:
            then, then_s = self._resumed
            # Later on the device's clock and the machine's are apart for reasons of their own.
            if now - then_s > _SETTLING_S:
                self._resumed = None
                return packet
            excess = position + len(packet) - then - self._frames_since(then_s, now) - patience_frames
            if excess > 0:
                self.dropped_frames += min(excess, len(packet))
                return packet[excess:]
        return packet

    def _insert_silence(self, frames: int, now: float) -> None:
        position, _, ahead = self._newest
        kept = min(frames, self._ring.capacity)
        self._ring.append_zeros(kept)
        self._newest = (position + frames, now, ahead + frames - kept)

    def _frames_since(self, moment_s: float, now: float | None = None) -> int:
        return round(((self._clock.now() if now is None else now) - moment_s) * self._sample_rate)

    def _downmixed(self, frames: F32) -> F32:
        if self._matrix is None:
            return frames
        return np.matmul(self._matrix, frames, out=self._mixed[:, : frames.shape[1]])
