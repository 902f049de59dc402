"""An output alone: it plays from a ring that always holds silence far ahead, and a block is put at its place in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from streamer.audio.mixer_ring import MixerRing
from streamer.audio.opening import OneWay, opened, started
from streamer.audio.portaudio import close_apart, library, mixer_library, stream_closed
from streamer.audio.silence_ahead import SilenceAhead
from streamer.audio.stream import F32

__all__ = ["CallbackPlayback", "Playback", "RtmixerPlayback"]

_RING_S = 2.0
"""Length of the ring: how long a pump may be held up before the device has to be attached anew."""


class Playback(ABC):
    """The part of an output that the pump's thread runs, whatever callback plays from its ring.

    Parameters
    ----------
    asked : OneWay
    ring_frames : int
        How far ahead of the device blocks are put.

    Raises
    ------
    DeviceError
        If a part is missing, or the device refuses what is asked.
    """

    def __init__(self, asked: OneWay, ring_frames: int) -> None:
        self._asked = asked
        longest = max(round(_RING_S * asked.sample_rate), 4 * (ring_frames + asked.block_frames))
        self._size = 1 << (longest - 1).bit_length()
        self._lead = self._size // 2
        self._stream: Any = None
        self._is_closed, self._has_hung = False, False
        self.latency_frames = 0
        """What the driver states."""

    def _open(self, make: Callable[..., Any], **options: Any) -> None:
        self._stream = opened(self._asked, make, **options)
        self.latency_frames = round(self._stream.latency * self._asked.sample_rate)

    def start(self) -> None:
        """Begin with silence; raises DeviceError if the device refuses."""
        started(self._asked, self._stream)

    def close(self, timeout_s: float) -> bool:
        """Stop at once; False if the driver hangs and was left behind. A second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._has_hung = not close_apart(self._stream.close, timeout_s)
            if not self._has_hung:
                stream_closed()
        return not self._has_hung

    def keep_silent(self) -> None:
        """Add silence ahead of the device where no blocks are written; several times a second."""
        self._extend(self.played + self._lead)

    def write(self, start: int, block: F32) -> int:
        """Put a block, shape (channels, n), where frame ``start`` is played.

        Returns
        -------
        int
            Frames that were left until then; below zero where it came late, and those are lost.
        """
        # Where the block is too late, its place is written over with silence before the device comes round to it.
        self._put(start, block)
        played = self.played
        self._extend(played + self._lead)
        return start - played

    @property
    @abstractmethod
    def played(self) -> int:
        """Frames that the device took since it began to play: its clock. Never falls."""

    @property
    @abstractmethod
    def flags(self) -> int:
        """Faults that the driver told of."""

    def reattach(self) -> bool:
        """Let the device play from the ring again where it no longer does; tells whether that was so."""
        return False

    @abstractmethod
    def _put(self, start: int, block: F32) -> None:
        """Write over silence that the device has not played yet."""

    @abstractmethod
    def _extend(self, end: int) -> None:
        """Add silence up to this frame."""


class RtmixerPlayback(Playback):
    """An output through rtmixer, whose callback is C."""

    def __init__(self, asked: OneWay, ring_frames: int) -> None:
        super().__init__(asked, ring_frames)
        self._ring = MixerRing(asked.channels, self._size)
        # The frame at which the ring began, and the one up to which there is at least silence.
        self._begin, self._front = 0, 0
        self._extend(self._lead)
        self._playing: Any = None
        self._open(mixer_library().Mixer)

    def start(self) -> None:
        """Begin with silence; raises DeviceError if the device refuses."""
        self._playing = self._stream.play_ringbuffer(self._ring.buffer)
        super().start()

    @property
    def played(self) -> int:
        """Frames that the device took since it began to play: its clock. Never falls."""
        return self._front - self._ring.waiting

    @property
    def flags(self) -> int:
        """Faults that the driver told of."""
        return 0 if self._playing is None else int(self._playing.stats.output_underflows)

    def reattach(self) -> bool:
        """Queue again what rtmixer took off because the ring ran empty; tells whether that was so."""
        if self._playing in self._stream.actions:
            return False
        # Nothing waits any more, so the next frame of the device is the front.
        self._ring.flush()
        self._begin = self._front
        self._extend(self._front + self._lead)
        self._playing = self._stream.play_ringbuffer(self._ring.buffer)
        return True

    def _put(self, start: int, block: F32) -> None:
        self._ring.put(start - self._begin, block)

    def _extend(self, end: int) -> None:
        frames = end - self._front
        if frames > 0:
            self._ring.silence(self._front - self._begin, frames)
            self._ring.advance_write(frames)
            self._front = end


class CallbackPlayback(Playback):
    """An output through sounddevice alone, whose callback is Python that only copies."""

    def __init__(self, asked: OneWay, ring_frames: int) -> None:
        super().__init__(asked, ring_frames)
        self._ring = SilenceAhead(asked.channels, self._size)
        self._extend(self._lead)
        self._flags = 0
        self._open(library().OutputStream, dtype="float32", callback=self._serve)

    def _serve(self, played: F32, frames: int, times: object, flags: Any) -> None:
        self._ring.serve(played)
        if flags:
            self._flags += 1

    @property
    def played(self) -> int:
        """Frames that the device took since it began to play: its clock. Never falls."""
        return self._ring.played

    @property
    def flags(self) -> int:
        """Faults that the driver told of."""
        return self._flags

    def _put(self, start: int, block: F32) -> None:
        self._ring.put(start, block)

    def _extend(self, end: int) -> None:
        self._ring.extend(end)
