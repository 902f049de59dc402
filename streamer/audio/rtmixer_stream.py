"""A stream whose callback is C: rtmixer moves frames between the device and two rings, and no Python runs in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.errors import DeviceLostError
from streamer.audio.mixer_ring import MixerRing
from streamer.audio.portaudio import mixer_library
from streamer.audio.ring_stream import RingStream
from streamer.audio.stream import F32, StreamFormat

__all__ = ["RtmixerStream"]

_ALIGNING_LOOKS = 8
_ATTACH_S = 1.0


class RtmixerStream(RingStream):
    """A full-duplex stream through rtmixer.

    rtmixer takes an action off when its ring runs empty or full. Both rings are so long that this happens only where
    the pump was held up for a second or more; then the actions are queued again and aligned by what they count.

    Parameters
    ----------
    asked : StreamFormat
    **options
        As for `RingStream`.

    Raises
    ------
    DeviceError
        If rtmixer is missing, or the device refuses what is asked.
    """

    def __init__(self, asked: StreamFormat, **options: Any) -> None:
        super().__init__(asked, **options)
        self._capture = MixerRing(asked.input_channels, self._size)
        self._playback = MixerRing(asked.output_channels, self._size)
        # Frames of the output for which there is at least silence, and the frame at which the input's ring began.
        self._front, self._begin = 0, 0
        self._extend(self._lead)
        self._recording: Any = None
        self._playing: Any = None
        self._open(mixer_library().MixerAndRecorder)

    def start(self) -> None:
        """Begin; both actions wait when the first call of the device comes, so both begin with it."""
        self._queue()
        super().start()

    def _queue(self) -> None:
        self._recording = self._stream.record_ringbuffer(self._capture.buffer)
        self._playing = self._stream.play_ringbuffer(self._playback.buffer)

    def _captured(self) -> int:
        return self._taken + self._capture.waiting

    def _played(self) -> int:
        return self._front - self._playback.waiting

    def _take(self, start: int, block: F32) -> bool:
        self._capture.copy(start - self._begin, block)
        self._capture.advance_read(block.shape[1])
        return True

    def _drop(self, frames: int) -> None:
        self._capture.advance_read(frames)

    def _put(self, start: int, block: F32) -> None:
        self._playback.put(start, block)

    def _extend(self, end: int) -> None:
        frames = end - self._front
        if frames > 0:
            self._playback.silence(self._front, frames)
            self._playback.advance_write(frames)
            self._front = end

    def _device_flags(self) -> int:
        if self._recording is None:
            return 0
        stats = self._recording.stats
        return int(stats.input_overflows + stats.output_underflows + stats.input_underflows + stats.output_overflows)

    def _reattach(self) -> bool:
        """Queue again what rtmixer took off, and find out by how much the two began apart.

        The callback serves the action first that was queued last, which is the output's. A look in between sees the
        output too far ahead, so the smallest of some distances is right.
        """
        actions = self._stream.actions
        if self._recording in actions and self._playing in actions:
            return False
        for action in (self._recording, self._playing):
            if action in self._stream.actions:
                self._stream.cancel(action)
        self._await(lambda: not self._stream.actions)
        self._capture.flush()
        self._playback.flush()
        # The rings start over, but frames taken so far keep their count.
        self._front, self._begin = 0, self._taken
        self._extend(self._lead)
        self._queue()
        self._await(lambda: self._played() > 0 and self._captured() > self._begin)
        distances: list[int] = []
        while len(distances) < _ALIGNING_LOOKS:
            before, played, after = self._captured(), self._played(), self._captured()
            if before == after:
                distances.append(played - (before - self._begin))
            self._sleep()
        self._shift = min(distances) - self._begin
        return True

    def _await(self, holds: Callable[[], bool]) -> None:
        ends = self._clock.now() + _ATTACH_S
        while not holds():
            if self._clock.now() > ends:
                raise DeviceLostError(
                    f"the device {self._asked.input.name!r} does not answer: check that its sound server runs"
                )
            self._sleep()
