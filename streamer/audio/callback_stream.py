"""A stream whose callback is Python that only copies and counts: where rtmixer does not run."""

from __future__ import annotations

from typing import Any

from engine.ring import FrameRing
from streamer.audio.portaudio import library
from streamer.audio.ring_stream import RingStream
from streamer.audio.silence_ahead import SilenceAhead
from streamer.audio.stream import F32, StreamFormat

__all__ = ["CallbackStream"]


class CallbackStream(RingStream):
    """A full-duplex stream through sounddevice alone.

    Its callback needs the interpreter, so a thread that keeps it for longer than a block costs sound.

    Parameters
    ----------
    asked : StreamFormat
    **options
        As for `RingStream`.

    Raises
    ------
    DeviceError
        If sounddevice is missing, or the device refuses what is asked.
    """

    def __init__(self, asked: StreamFormat, **options: Any) -> None:
        super().__init__(asked, **options)
        self._capture = FrameRing((asked.input_channels,), self._size)
        self._playback = SilenceAhead(asked.output_channels, self._size)
        self._extend(self._lead)
        self._flags = 0
        self._open(library().Stream, dtype="float32", callback=self._serve)

    def _serve(self, captured: F32, played: F32, frames: int, times: object, flags: Any) -> None:
        """Move one block of the device; its own thread."""
        self._playback.serve(played)
        self._capture.append(captured.T)
        if flags:
            self._flags += 1

    def _captured(self) -> int:
        return self._capture.written

    def _played(self) -> int:
        return self._playback.played

    def _take(self, start: int, block: F32) -> bool:
        return self._capture.copy(start, block)

    def _drop(self, frames: int) -> None:
        """Nothing is to be given free: old frames are written over."""

    def _put(self, start: int, block: F32) -> None:
        self._playback.put(start, block)

    def _extend(self, end: int) -> None:
        self._playback.extend(end)

    def _device_flags(self) -> int:
        return self._flags
