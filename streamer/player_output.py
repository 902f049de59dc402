"""The device that a player plays on: opened at a rate that works, moved by a pump, taken up again when it was lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from engine.errors import ConfigurationError, DeviceError, LifecycleError
from streamer.audio.device import Device
from streamer.audio.devices import find_device, list_devices
from streamer.audio.output_stream import OutputStream, open_output_stream
from streamer.audio.stream import AudioStream, StreamCounters
from streamer.events import EventKind, EventLog
from streamer.live_format import default_ring_blocks
from streamer.pump import Pump

__all__ = ["PlayerOutput"]

F32 = npt.NDArray[np.float32]

_CLOSE_S = 2.0
_MOST_RING_S = 1.0


class PlayerOutput:
    """Plays what a function gives.

    Parameters
    ----------
    output : str or int
        ``default``, or as for ``find_device``.
    sample_rate : int
        The rate to ask for.
    is_rate_fixed : bool
        No other rate will do.
    channels, block_frames : int
    ring_blocks : int, optional
    device_latency, engine, priority
        As for `streamer.player.Player`.
    events : EventLog

    Attributes
    ----------
    failure : Exception or None
        What ended the sound.
    """

    def __init__(
        self,
        output: str | int,
        *,
        sample_rate: int,
        is_rate_fixed: bool,
        channels: int,
        block_frames: int,
        ring_blocks: int | None,
        device_latency: Literal["low", "high"] | float,
        engine: Literal["auto", "rtmixer", "callback"],
        priority: bool,
        events: EventLog,
    ) -> None:
        ring = default_ring_blocks(sample_rate, block_frames) if ring_blocks is None else ring_blocks
        most = max(2, int(_MOST_RING_S * sample_rate / block_frames))
        if not isinstance(ring, int) or isinstance(ring, bool) or not 1 <= ring <= most:
            raise ConfigurationError(f"ring_blocks={ring!r} is not supported: give a whole number from 1 to {most}")
        self._output = None if output == "default" else output
        self._rate, self._is_rate_fixed = sample_rate, is_rate_fixed
        self._channels, self._block, self._ring = channels, block_frames, ring * block_frames
        self._device_latency, self._engine, self._priority = device_latency, engine, priority
        self._events = events
        self._end = threading.Event()
        self._stream: OutputStream | None = None
        self._pump: Pump | None = None
        self._out = np.zeros((channels, block_frames), np.float32)
        self._read: Callable[[F32], None] = lambda out: out.fill(0.0)
        self.failure: Exception | None = None
        self.device: Device | None = None
        """The device in use, once it is open."""

    def open(self) -> int:
        """Open the device and give the rate that it plays at; raises DeviceError where that cannot be."""
        self.device = device = find_device(list_devices(), self._output, "output")
        try:
            self._stream = self._opened(device, self._rate)
        except DeviceError:
            if self._is_rate_fixed or device.default_sample_rate == self._rate:
                raise
            self._rate = device.default_sample_rate
            self._stream = self._opened(device, self._rate)
        return self._rate

    def begin(self, read: Callable[[F32], None]) -> None:
        """Play what ``read`` fills an array (channels, block) with."""
        stream = self._stream
        if stream is None:
            raise LifecycleError("the device is not open")
        self._read = read
        stream.start()
        self._pump = Pump(
            stream,
            self,
            sample_rate=self._rate,
            block_frames=self._block,
            ring_frames=self._ring,
            jump_frames=self._rate,
            end=self._end,
            events=self._events,
            reopen=self._reopen,
            priority=self._priority,
            hears=False,
        )
        self._pump.begin(self._run)

    @property
    def error(self) -> Exception | None:
        """Why there is no sound at the moment."""
        return self.failure if self._pump is None else self.failure or self._pump.error

    @property
    def counters(self) -> StreamCounters:
        """What went wrong so far."""
        return StreamCounters() if self._pump is None else self._pump.stream_counters

    @property
    def delay_frames(self) -> int:
        """Frames from the reading of a frame to its sound, as the ring is and as the driver states."""
        stated = 0 if self._pump is None else self._pump.stream.latency.output_frames
        return self._ring + self._block + stated

    @property
    def delay_s(self) -> float:
        """The same in seconds."""
        return self.delay_frames / self._rate

    def close(self) -> None:
        """Fade out and close; raises DeviceLostError where the device hangs."""
        self._end.set()
        if self._pump is not None:
            self._pump.join()
            self._pump.stream.close(_CLOSE_S)
        elif self._stream is not None:
            self._stream.close(_CLOSE_S)

    # What the pump asks for.

    def process(self, block: F32) -> F32:
        """Give the next block."""
        self._read(self._out)
        return self._out

    def restart(self, skipped_frames: int) -> None:
        """Nothing: what is played is not live, and goes on where it was."""

    def finish(self) -> None:
        """Nothing: the play head stands as long as there is no device."""

    def _opened(self, device: Device, sample_rate: int) -> OutputStream:
        return open_output_stream(
            device,
            sample_rate=sample_rate,
            channels=self._channels,
            block_frames=self._block,
            ring_frames=self._ring,
            device_latency=self._device_latency,
            engine=self._engine,
        )

    def _reopen(self) -> tuple[AudioStream, dict[EventKind, str]]:
        try:
            devices = list_devices(refreshes=True)
        except LifecycleError:
            # A session of this process holds PortAudio; what it lists is all there is to choose from.
            devices = list_devices()
        former = self.device
        same = [
            each for each in devices if former is not None and each.name == former.name and each.max_output_channels
        ]
        device = same[0] if same else find_device(devices, self._output, "output")
        stream = self._opened(device, self._rate)
        try:
            stream.start()
        except DeviceError:
            stream.close(_CLOSE_S)
            raise
        self.device = device
        return stream, {"returned": f"the sound goes on, on {device}"}

    def _run(self, pump: Pump) -> None:
        try:
            pump.run()
        except Exception as error:  # the outermost place of this thread: kept for whoever waits
            self.failure = error
