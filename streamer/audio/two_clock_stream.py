"""A stream whose input and output are devices with clocks of their own: the output's is the session's.

A block is due when the output has come so far, and it is played as in any other stream. What is read for it is the
input at the moment of its frames, less a constant time: the clock bridge, which is part of the latency. The two clocks
drift apart, so the input is read a little faster or slower than it comes, as `DriftController` says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from engine.errors import DeviceError, DeviceLostError
from streamer.audio.capture import Capture
from streamer.audio.clock_bridge import ClockBridge
from streamer.audio.drift import DriftController, DriftStats
from streamer.audio.period_gauge import PeriodGauge
from streamer.audio.playback import Playback
from streamer.audio.rise import Rise
from streamer.audio.standstill import BEGIN_S, Standstill
from streamer.audio.stream import F32, DeviceLatency, StreamCounters, StreamFormat
from streamer.file_session import Clock, WallClock

__all__ = ["TwoClockStream"]

_MARGIN_S = 0.003
"""Time by which a callback of the input may be later than usual, and the two lines wrong, until silence is heard."""
_SETTLE_S = 0.2
"""Devices fill their buffers when they start; what they count meanwhile tells nothing of their clocks."""
_ALIGN_S = 0.3
"""Time for which both devices are looked at before the first block, so that it is in its place."""
_UNSEEN_S = 1.0
"""Devices that were not looked at for longer are looked at anew, since no line is good for ever."""


class TwoClockStream:
    """An `AudioStream` on an input and an output that have nothing to do with each other.

    Parameters
    ----------
    asked : StreamFormat
        Its sample rate is the output's.
    capture : Capture
        At any rate; with the channels that are asked for.
    playback : Playback
    margin_s : float
        Time by which callbacks of the input may be late before silence is heard in place of their frames; a part of
        the clock bridge.
    lost_after_s : float
        A device whose clock stands still for so long is lost.
    should_stop : callable, optional
        Asked while the devices begin; where it says so, ``start`` raises.
    clock : Clock, optional
        Left out: the machine's own.

    Raises
    ------
    DeviceError
        If the input has other channels than are asked for.

    Notes
    -----
    Threads are as for `AudioStream`; ``drift`` may be read from any.
    """

    def __init__(
        self,
        asked: StreamFormat,
        capture: Capture,
        playback: Playback,
        *,
        margin_s: float = _MARGIN_S,
        lost_after_s: float = 1.0,
        should_stop: Callable[[], bool] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if capture.channels != asked.input_channels:
            raise DeviceError(
                f"input {asked.input.name!r} gives {capture.channels} channel(s), {asked.input_channels} are needed: "
                f"open it with {asked.input_channels}"
            )
        self._asked = asked
        self._capture, self._playback = capture, playback
        self._margin_s = margin_s
        self._should_stop = should_stop
        self._clock = WallClock() if clock is None else clock
        self._poll_s = min(0.0005, max(0.00025, asked.block_frames / asked.sample_rate / 8))
        self._drift = DriftController(capture.sample_rate, asked.sample_rate)
        self._bridge = ClockBridge(capture, asked.sample_rate, asked.block_frames)
        self._block = np.zeros((asked.input_channels, asked.block_frames), np.float32)
        self._counters = StreamCounters()
        self._taken = 0
        self._is_placed, self._is_starved, self._is_faulty = False, False, False
        self._driver_faults = Rise()
        self._rendered_frame, self._margin_frames = 0, 0
        self._input_still = Standstill(asked.input.name, lost_after_s)
        self._output_still = Standstill(asked.output.name, lost_after_s)
        self._bridge_frames = self._frames_of(asked.block_frames / asked.sample_rate + self._least_delay_s)

    @property
    def bridge_frames(self) -> int:
        """Frames that the two clocks cost: from the capture of a frame to its block, constant once ``start`` is over.

        A period of the input, a block at least, with what the converter holds back and the margin.
        """
        return self._bridge_frames

    @property
    def drift(self) -> DriftStats:
        """How the two clocks run; any thread."""
        return self._drift.stats

    @property
    def latency(self) -> DeviceLatency:
        """What the drivers state."""
        captured_s = self._capture.latency_frames / self._capture.sample_rate
        return DeviceLatency(round(captured_s * self._asked.sample_rate), self._playback.latency_frames)

    @property
    def counters(self) -> StreamCounters:
        """What went wrong so far; any thread."""
        return replace(self._counters, device_flags=self._capture.flags + self._playback.flags)

    @property
    def captured_frame(self) -> int:
        """First frame of the block that was read last, as it was captured, on the output's clock; the pump's thread."""
        late = round(self._drift.stats.fill_error_frames)
        return self._taken - self._asked.block_frames - self._bridge_frames - late

    @property
    def rendered_frame(self) -> int:
        """Frame of the same clock at which the block that was written last is played; the pump's thread."""
        return self._rendered_frame

    @property
    def margin_frames(self) -> int:
        """Frames that were left when it was written; below zero where it was late. The pump's thread."""
        return self._margin_frames

    @property
    def device_frames(self) -> int:
        """Frames that the output's clock has counted; the pump's thread."""
        return self._playback.played

    def start(self) -> None:
        """Begin both devices and look at them for half a second, until it is known how they run beside each other.

        Raises
        ------
        DeviceError
            If a device refuses, does not begin, or is not to any more.
        """
        self._capture.start()
        self._playback.start()
        try:
            self._look_for(_SETTLE_S)
            spread_s = self._align().spread_s
        except DeviceLostError as error:
            # It was never there, so it may yet come.
            raise DeviceError(str(error)) from error
        self._bridge_frames = max(self._bridge_frames, self._frames_of(spread_s + self._least_delay_s))
        self._drift.delay_s = self._bridge_frames / self._asked.sample_rate

    def rejoin(self) -> None:
        """Begin anew where both devices are now, after nobody read or wrote since ``start``; nothing counts as lost.

        Raises
        ------
        DeviceError
            If a device has gone meanwhile.
        """
        try:
            self._playback.reattach()
            self._align()
        except DeviceLostError as error:
            raise DeviceError(str(error)) from error

    def catch_up(self, limit_frames: int) -> int:
        """Throw away what waits beyond the limit; keeps the newest block."""
        waiting = self._playback.played - self._taken
        if self._playback.reattach() or waiting > max(limit_frames, _UNSEEN_S * self._asked.sample_rate):
            self._align()
            return self._count_overflow(max(waiting, self._asked.block_frames))
        if waiting <= limit_frames:
            return 0
        gone = waiting - self._asked.block_frames
        self._taken += gone
        self._is_placed = False
        return self._count_overflow(gone)

    def wait(self, timeout_s: float) -> bool:
        """Sleep until the output has come to the end of a block, and look at both clocks meanwhile."""
        wanted = self._taken + self._asked.block_frames
        ends = self._clock.now() + timeout_s
        while True:
            now, played = self._look()
            if played >= wanted:
                return True
            if now >= ends:
                return False
            self._sleep()

    def read(self) -> F32:
        """Read the input at the place of the next block."""
        self._take_place()
        missing = self._bridge.missing_frames
        self._bridge.read(self._block, self._drift.step(self._bridge.place, self._taken))
        self._taken += self._asked.block_frames
        missing = self._bridge.missing_frames - missing
        if missing:
            frames = math.ceil(missing * self._asked.sample_rate / self._capture.sample_rate)
            self._count_silence(frames, is_new=not self._is_starved)
        self._is_starved = missing > 0
        return self._block

    def write(self, block: F32) -> None:
        """Write a block at its place, and count what of it was due before."""
        frames = self._asked.block_frames
        start = self._taken - frames + self._asked.ring_frames
        left = self._playback.write(start, block)
        self._rendered_frame, self._margin_frames = start, left
        flags = self._capture.flags + self._playback.flags
        # What the driver tells of while a block is late, or frames are missing, is one and the same fault.
        is_faulty = self._driver_faults.look(flags) or left < 0
        if is_faulty:
            late = max(0, min(frames, -left))
            self._count_silence(late, is_new=not (self._is_faulty or self._is_starved))
        self._is_faulty = is_faulty

    def close(self, timeout_s: float) -> bool:
        """Stop both devices; False if a driver hangs and was left behind."""
        has_stopped = self._playback.close(timeout_s)
        return self._capture.close(timeout_s) and has_stopped

    @property
    def _least_delay_s(self) -> float:
        return self._bridge.reach_frames / self._capture.sample_rate + self._margin_s

    def _frames_of(self, seconds: float) -> int:
        return math.ceil(seconds * self._asked.sample_rate)

    def _look(self) -> tuple[float, int]:
        error = self._capture.error
        if error is not None:
            raise error
        captured, played, now = self._capture.written, self._playback.played, self._clock.now()
        self._drift.look(now, captured, played)
        self._input_still.look(captured, now)
        self._output_still.look(played, now)
        return now, played

    def _sleep(self) -> None:
        self._clock.sleep_until(self._clock.now() + self._poll_s)

    def _check_wanted(self) -> None:
        if self._should_stop is not None and self._should_stop():
            raise DeviceLostError("the session has ended while its devices began: nothing is to be done")

    def _look_for(self, seconds: float) -> None:
        """Look at both devices for so long, once both run."""
        begin = self._clock.now()
        now = begin
        while now - begin < seconds:
            now, played = self._look()
            if not played or not self._capture.written:
                begin = now
            self._playback.keep_silent()
            self._check_wanted()
            self._sleep()

    def _align(self) -> PeriodGauge:
        """Find out how the two counts lie beside each other, and in what pieces they move."""
        self._drift.realign()
        gauge = PeriodGauge(self._drift)
        ends = self._clock.now() + BEGIN_S
        while self._drift.age_s < _ALIGN_S:
            now, played = self._look()
            if now > ends:
                raise DeviceLostError(
                    f"the devices {self._asked.input.name!r} and {self._asked.output.name!r} come too unevenly to be "
                    "brought together: use longer blocks or a larger device_latency"
                )
            if self._drift.age_s > _ALIGN_S / 3:
                gauge.look(now, self._capture.written, played)
            self._playback.keep_silent()
            self._check_wanted()
            self._sleep()
        self._taken = self._playback.played
        self._is_placed = False
        return gauge

    def _take_place(self) -> None:
        """Go to the place in the input that belongs to the next block, where reading on does not lead there."""
        wanted, place = self._drift.place_of(self._taken), self._bridge.place
        if self._is_placed:
            if not self._drift.has_left(place, self._taken):
                return
            if wanted > place:
                self._count_overflow(self._frames_of((wanted - place) / self._capture.sample_rate))
        self._bridge.move(wanted, self._drift.step(wanted, self._taken))
        self._is_placed = True

    def _count_silence(self, frames: int, *, is_new: bool) -> None:
        self._counters = replace(
            self._counters,
            underruns=self._counters.underruns + is_new,
            lost_output_frames=self._counters.lost_output_frames + frames,
        )

    def _count_overflow(self, frames: int) -> int:
        self._is_faulty = True
        self._counters = replace(
            self._counters,
            overflows=self._counters.overflows + 1,
            lost_input_frames=self._counters.lost_input_frames + frames,
        )
        return frames
