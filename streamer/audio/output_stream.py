"""An output alone, as a pump sees it: blocks are asked for as the device plays, and nothing is heard."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from engine.errors import DeviceError
from streamer.audio.device import Device
from streamer.audio.opening import OneWay
from streamer.audio.playback import CallbackPlayback, Playback, RtmixerPlayback
from streamer.audio.portaudio import mixer_library
from streamer.audio.rise import Rise
from streamer.audio.standstill import Standstill
from streamer.audio.stream import F32, DeviceLatency, StreamCounters
from streamer.file_session import Clock, WallClock

__all__ = ["OutputStream", "open_output_stream"]

_LOST_AFTER_S = 1.0


class OutputStream:
    """Plays one block after the other, each a ring ahead of the device; an ``AudioStream`` whose input is nothing.

    A block that comes late is not lost: silence is heard meanwhile, and what follows comes later. What is played is
    not live, so nothing has to be caught up with.

    Parameters
    ----------
    playback : Playback
    device : Device
    sample_rate, block_frames, ring_frames : int
    clock : Clock, optional
        Left out: the machine's own.
    """

    def __init__(
        self,
        playback: Playback,
        device: Device,
        *,
        sample_rate: int,
        block_frames: int,
        ring_frames: int,
        clock: Clock | None = None,
    ) -> None:
        self._playback = playback
        self._block_frames, self._ring_frames = block_frames, ring_frames
        self._clock = WallClock() if clock is None else clock
        self._poll_s = min(0.001, max(0.00025, block_frames / sample_rate / 8))
        self._nothing = np.zeros((0, block_frames), np.float32)
        self._still = Standstill(device.name, _LOST_AFTER_S)
        self._faults = Rise()
        self._counters = StreamCounters()
        self._next = 0
        """Where the next block is played."""
        self._is_late = False

    @property
    def latency(self) -> DeviceLatency:
        """What the driver states."""
        return DeviceLatency(0, self._playback.latency_frames)

    @property
    def counters(self) -> StreamCounters:
        """What went wrong so far; any thread."""
        return replace(self._counters, device_flags=self._playback.flags)

    @property
    def written_ahead(self) -> int:
        """Frames that were written and are not played yet."""
        return max(0, self._next - self._playback.played)

    def start(self) -> None:
        """Begin."""
        self._playback.start()
        self._next = self._playback.played + self._ring_frames

    def catch_up(self, limit_frames: int) -> int:
        """Throw nothing away."""
        if self._playback.reattach():
            self._count()
        return 0

    def wait(self, timeout_s: float) -> bool:
        """Wait until there is room for a block."""
        ends = self._clock.now() + timeout_s
        while True:
            played, now = self._playback.played, self._clock.now()
            self._still.look(played, now)
            if self._next - played <= self._ring_frames:
                self._realign(played)
                return True
            if now >= ends:
                return False
            self._clock.sleep_until(now + self._poll_s)

    def read(self) -> F32:
        """Give a block without channels."""
        return self._nothing

    def write(self, block: F32) -> None:
        """Play a block, shape (channels, block), behind the one before."""
        margin = self._playback.write(self._next, block)
        self._next += block.shape[1]
        if margin < 0:
            # It came too late by this much while it was made; silence was heard in its place.
            self._count(min(block.shape[1], -margin))
        elif self._faults.look(self._playback.flags):
            self._count()

    def close(self, timeout_s: float) -> bool:
        """Stop at once; False if the driver hangs and was left behind."""
        return self._playback.close(timeout_s)

    def _realign(self, played: int) -> None:
        """Go on from where the device is, if it ran out of sound."""
        if played > self._next:
            self._next = played + self._block_frames
            self._count()

    def _count(self, lost_frames: int = 0) -> None:
        counters = self._counters
        self._counters = replace(
            counters,
            underruns=counters.underruns + 1,
            lost_output_frames=counters.lost_output_frames + lost_frames,
        )


def open_output_stream(
    device: Device,
    *,
    sample_rate: int,
    channels: int,
    block_frames: int,
    ring_frames: int,
    device_latency: Literal["low", "high"] | float = "low",
    engine: Literal["auto", "rtmixer", "callback"] = "auto",
    clock: Clock | None = None,
) -> OutputStream:
    """Open an output; its callback is C, or Python where rtmixer does not run.

    Raises
    ------
    DeviceError
        If a part is missing or the device refuses what is asked.
    """
    way = OneWay("output", device, sample_rate, channels, block_frames, device_latency)
    kind: type[RtmixerPlayback] | type[CallbackPlayback] = CallbackPlayback
    if engine != "callback":
        try:
            mixer_library()
            kind = RtmixerPlayback
        except DeviceError:
            if engine == "rtmixer":
                raise
    return OutputStream(
        kind(way, ring_frames),
        device,
        sample_rate=sample_rate,
        block_frames=block_frames,
        ring_frames=ring_frames,
        clock=clock,
    )
