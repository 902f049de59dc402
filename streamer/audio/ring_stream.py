"""A stream on two rings: the part that the pump's thread runs, whatever callback works on the other side of them.

The device plays from a ring that always holds silence far ahead of it, and the pump writes sound over that silence at
its place. The ring therefore never runs empty, the frames taken from it are the device's clock, and a block that comes
late is simply not there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from engine.errors import DeviceLostError
from streamer.audio.opening import opened, started
from streamer.audio.portaudio import close_apart, stream_closed
from streamer.audio.rise import Rise
from streamer.audio.standstill import UNSEEN_S
from streamer.audio.stream import F32, DeviceLatency, StreamCounters, StreamFormat
from streamer.file_session import Clock, WallClock

__all__ = ["RingStream"]

_RING_S = 2.0
"""Length of the rings: how long a pump may be held up before the stream has to be aligned anew."""


class RingStream(ABC):
    """The part of a stream that the pump's thread runs, whatever rings the device's callback works on.

    Parameters
    ----------
    asked : StreamFormat
    lost_after_s : float
        A device whose clock stands still for so long is lost.
    clock : Clock, optional
        Left out: the machine's own.
    """

    def __init__(self, asked: StreamFormat, *, lost_after_s: float = 1.0, clock: Clock | None = None) -> None:
        self._asked = asked
        self._lost_after_s = lost_after_s
        self._clock = WallClock() if clock is None else clock
        self._block = np.zeros((asked.input_channels, asked.block_frames), np.float32)
        self._taken = 0
        # Where the two directions began at different calls of the device: frames from the one to the other.
        self._shift = 0
        # The same as the device has it now, and as it was seen last.
        self._offset, self._seen_offset = 0, 0
        self._is_faulty, self._driver_faults = False, Rise()
        self._rendered_frame, self._margin_frames = 0, 0
        self._poll_s = min(0.001, max(0.00025, asked.block_frames / asked.sample_rate / 8))
        self._counters = StreamCounters()
        self._newest, self._moved_at, self._looked_at = -1, 0.0, 0.0
        longest = max(round(_RING_S * asked.sample_rate), 4 * (asked.ring_frames + asked.block_frames))
        self._size = 1 << (longest - 1).bit_length()
        self._lead = self._size // 2
        self._stream: Any = None
        self._is_closed, self._has_hung = False, False
        self._latency = DeviceLatency(0, 0)

    @property
    def latency(self) -> DeviceLatency:
        """What the driver states."""
        return self._latency

    def _open(self, make: Callable[..., Any], **options: Any) -> None:
        """Open the device's stream, once the rings are there."""
        self._stream = opened(self._asked, make, **options)
        self._latency = DeviceLatency(*(round(each * self._asked.sample_rate) for each in self._stream.latency))

    def start(self) -> None:
        """Begin: the first call of the device brings and takes frame 0."""
        self._moved_at = self._looked_at = self._clock.now()
        started(self._asked, self._stream)

    def close(self, timeout_s: float) -> bool:
        """Stop at once; a second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._has_hung = not close_apart(self._stream.close, timeout_s)
            if not self._has_hung:
                stream_closed()
        return not self._has_hung

    @property
    def counters(self) -> StreamCounters:
        """What went wrong so far; any thread."""
        return replace(self._counters, device_flags=self._device_flags())

    @property
    def captured_frame(self) -> int:
        """First frame of the block that was read last, on the device's clock; the pump's thread."""
        return self._taken - self._asked.block_frames

    @property
    def rendered_frame(self) -> int:
        """Frame of the same clock at which the block that was written last is played; the pump's thread.

        As the device's own counts of both directions say, not as it was meant to be.
        """
        return self._rendered_frame

    @property
    def device_frames(self) -> int:
        """Frames that the device's clock has counted; the pump's thread."""
        return self._captured()

    @property
    def margin_frames(self) -> int:
        """Frames that were left when it was written; below zero where it was late. The pump's thread."""
        return self._margin_frames

    @abstractmethod
    def _captured(self) -> int:
        """Frames captured since the start: the device's clock."""

    @abstractmethod
    def _played(self) -> int:
        """Frames that the device took since it began to play."""

    @abstractmethod
    def _take(self, start: int, block: F32) -> bool:
        """Copy captured frames and give their place free; False if they are gone."""

    @abstractmethod
    def _drop(self, frames: int) -> None:
        """Give the place of captured frames free."""

    @abstractmethod
    def _put(self, start: int, block: F32) -> None:
        """Write over silence that the device has not played yet."""

    @abstractmethod
    def _extend(self, end: int) -> None:
        """Add silence up to this frame of the output."""

    @abstractmethod
    def _device_flags(self) -> int:
        """Faults that the driver told of."""

    def _reattach(self) -> bool:
        """Let the device work on the rings again where it no longer does; tells whether that was so.

        Frames taken so far keep their count; ``_shift`` says where the output's then are.
        """
        return False

    def catch_up(self, limit_frames: int) -> int:
        """Throw away what waits beyond the limit; keeps the newest block."""
        waiting = self._captured() - self._taken
        if self._reattach():
            self._offset = self._seen_offset = self._shift
            return self._count_overflow(max(waiting, self._asked.block_frames))
        if waiting <= limit_frames:
            return 0
        gone = waiting - self._asked.block_frames
        self._drop(gone)
        self._taken += gone
        return self._count_overflow(gone)

    def wait(self, timeout_s: float) -> bool:
        """Sleep until a block is there, looking every eighth of a block."""
        wanted = self._taken + self._asked.block_frames
        ends = self._clock.now() + timeout_s
        while (captured := self._captured()) < wanted:
            now = self._clock.now()
            self._watch(captured, now)
            if now >= ends:
                return False
            self._sleep()
        return True

    def _sleep(self) -> None:
        self._clock.sleep_until(self._clock.now() + self._poll_s)

    def _watch(self, captured: int, now: float) -> None:
        unseen_s, self._looked_at = now - self._looked_at, now
        if unseen_s > UNSEEN_S:
            self._moved_at += unseen_s
        if captured != self._newest:
            self._newest, self._moved_at = captured, now
        elif now - self._moved_at > self._lost_after_s:
            raise DeviceLostError(
                f"the device {self._asked.input.name!r} has stood still for {self._lost_after_s:g} s: "
                "check that it is plugged in and that its sound server runs"
            )

    def read(self) -> F32:
        """Take the next block out of the ring."""
        if not self._take(self._taken, self._block):
            self._block[...] = 0.0
            self._count_overflow(self._asked.block_frames)
        self._taken += self._asked.block_frames
        return self._block

    def write(self, block: F32) -> None:
        """Write a block at its place, and count what of it was due before."""
        frames = self._asked.block_frames
        start = self._taken - frames + self._asked.ring_frames + self._shift
        # Where the block is too late, its place is written over with silence before the device comes round to it.
        self._put(start, block)
        played = self._look_at_both()
        self._extend(played + self._lead)
        self._rendered_frame, self._margin_frames = start - self._offset, start - played
        late = max(0, min(frames, played - start))
        # What the driver tells of while a block is late, or blocks were thrown away, is one and the same fault.
        is_faulty = self._driver_faults.look(self._device_flags()) or late > 0
        if is_faulty:
            self._counters = replace(
                self._counters,
                underruns=self._counters.underruns + (not self._is_faulty),
                lost_output_frames=self._counters.lost_output_frames + late,
            )
        self._is_faulty = is_faulty

    def _look_at_both(self) -> int:
        """Find out how the device's two counts lie beside each other; gives the output's.

        One callback moves both, one after the other, so a look in between is wrong: what is seen twice is believed.
        """
        before, played, after = self._captured(), self._played(), self._captured()
        if before == after:
            if played - before == self._seen_offset:
                self._offset = self._seen_offset
            self._seen_offset = played - before
        return played

    def _count_overflow(self, frames: int) -> int:
        self._is_faulty = True
        self._counters = replace(
            self._counters,
            overflows=self._counters.overflows + 1,
            lost_input_frames=self._counters.lost_input_frames + frames,
        )
        return frames
