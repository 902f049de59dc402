"""An input of PortAudio in a stream of its own, on its own clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from engine.errors import DeviceLostError
from engine.ring import FrameRing
from streamer.audio.mixer_ring import MixerRing
from streamer.audio.opening import OneWay, opened, started
from streamer.audio.portaudio import close_apart, library, mixer_library, stream_closed
from streamer.audio.stream import F32

__all__ = ["CallbackCapture", "PortAudioCapture", "RtmixerCapture"]

_RING_S = 2.0
"""Length of the ring: a pump that is held up for longer finds that frames are missing."""


class PortAudioCapture(ABC):
    """The part of an input that the pump's thread runs, whatever callback fills its ring. It is a ``Capture``.

    Parameters
    ----------
    asked : OneWay

    Raises
    ------
    DeviceError
        If a part is missing, or the device refuses what is asked.
    """

    def __init__(self, asked: OneWay) -> None:
        self._asked = asked
        self.sample_rate, self.channels = asked.sample_rate, asked.channels
        self.latency_frames = 0
        longest = max(round(_RING_S * asked.sample_rate), 8 * asked.block_frames)
        self._size = 1 << (longest - 1).bit_length()
        self._stream: Any = None
        self._is_running = False
        self._is_closed, self._has_hung = False, False

    def _open(self, make: Callable[..., Any], **options: Any) -> None:
        self._stream = opened(self._asked, make, **options)
        self.latency_frames = round(self._stream.latency * self._asked.sample_rate)

    def start(self) -> None:
        """Begin to capture; raises DeviceError if the device refuses."""
        started(self._asked, self._stream)
        self._is_running = True

    def close(self, timeout_s: float) -> bool:
        """Stop at once; False if the driver hangs and was left behind. A second call does nothing."""
        if not self._is_closed:
            self._is_closed, self._is_running = True, False
            self._has_hung = not close_apart(self._stream.close, timeout_s)
            if not self._has_hung:
                stream_closed()
        return not self._has_hung

    @property
    def error(self) -> DeviceLostError | None:
        """Why nothing comes any more; None while all is well."""
        if not self._is_running or self._stream.active:
            return None
        return DeviceLostError(
            f"the device {self._asked.device.name!r} has stopped: "
            "check that it is plugged in and that its sound server runs"
        )

    @property
    @abstractmethod
    def written(self) -> int:
        """Frames captured since the start: this device's clock. Never falls."""

    @abstractmethod
    def copy(self, start: int, out: F32) -> bool:
        """Copy frames ``[start, start + n)`` into ``out``, shape (channels, n); False if they are gone or not there."""

    @property
    @abstractmethod
    def flags(self) -> int:
        """Faults that the driver told of."""


class RtmixerCapture(PortAudioCapture):
    """An input through rtmixer, whose callback is C.

    The newer half of its ring is kept for ``copy``; the other half is the time for which nobody may look.
    """

    def __init__(self, asked: OneWay) -> None:
        super().__init__(asked)
        self._ring = MixerRing(asked.channels, self._size)
        # The frame at which the ring began, and the oldest one that is kept.
        self._begin, self._oldest = 0, 0
        self._recording: Any = None
        self._open(mixer_library().Recorder)

    def start(self) -> None:
        """Begin to capture; raises DeviceError if the device refuses."""
        self._recording = self._stream.record_ringbuffer(self._ring.buffer)
        super().start()

    @property
    def written(self) -> int:
        """Frames captured since the start: this device's clock. Never falls."""
        waiting = self._ring.waiting
        end = self._oldest + waiting
        if waiting > self._size // 2:
            self._ring.advance_read(waiting - self._size // 2)
            self._oldest = end - self._size // 2
            if waiting == self._size and self._recording not in self._stream.actions:
                # rtmixer takes an action off whose ring is full. What it did not record is not known.
                self._ring.flush()
                self._begin = self._oldest = end
                self._recording = self._stream.record_ringbuffer(self._ring.buffer)
        return end

    def copy(self, start: int, out: F32) -> bool:
        """Copy frames ``[start, start + n)`` into ``out``, shape (channels, n); False if they are gone or not there."""
        if start < self._oldest or start + out.shape[1] > self._oldest + self._ring.waiting:
            return False
        self._ring.copy(start - self._begin, out)
        return True

    @property
    def flags(self) -> int:
        """Faults that the driver told of."""
        return 0 if self._recording is None else int(self._recording.stats.input_overflows)


class CallbackCapture(PortAudioCapture):
    """An input through sounddevice alone, whose callback is Python that only copies."""

    def __init__(self, asked: OneWay) -> None:
        super().__init__(asked)
        self._ring = FrameRing((asked.channels,), self._size)
        self._flags = 0
        self._open(library().InputStream, dtype="float32", callback=self._serve)

    def _serve(self, captured: F32, frames: int, times: object, flags: Any) -> None:
        self._ring.append(captured.T)
        if flags:
            self._flags += 1

    @property
    def written(self) -> int:
        """Frames captured since the start: this device's clock. Never falls."""
        return self._ring.written

    def copy(self, start: int, out: F32) -> bool:
        """Copy frames ``[start, start + n)`` into ``out``, shape (channels, n); False if they are gone or not there."""
        return 0 <= start <= self._ring.written - out.shape[1] and self._ring.copy(start, out)

    @property
    def flags(self) -> int:
        """Faults that the driver told of."""
        return self._flags
