"""A full-duplex stream as a pump sees it: blocks in, blocks out, each at its place on the device's clock.

Both directions run on one clock, counted in frames since the stream started. The block that was captured as frames
``[n, n + block)`` is played as frames ``[n + ring, n + ring + block)``, or not at all: a block that comes late is
lost, and everything after it is where it belongs. Time is kept whatever happens, and latency cannot grow.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from streamer.audio.device import Device

__all__ = ["AudioStream", "DeviceLatency", "StreamCounters", "StreamFormat"]

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class StreamFormat:
    """What is asked of a stream.

    Attributes
    ----------
    input, output : Device
        On one clock or two, as ``share_clock`` tells.
    sample_rate : int
        In Hz.
    input_channels, output_channels : int
    block_frames : int
        What the pump moves at once.
    ring_blocks : int
        Blocks of silence between the device and what is written: the time that the pump has.
    device_latency : {"low", "high"} or float
        What is asked of the driver, in seconds where it is a number.
    """

    input: Device
    output: Device
    sample_rate: int
    input_channels: int
    output_channels: int
    block_frames: int
    ring_blocks: int
    device_latency: Literal["low", "high"] | float = "low"

    @property
    def ring_frames(self) -> int:
        """Frames between the capture of a block and its return to the device, beside the device's own."""
        return self.ring_blocks * self.block_frames


@dataclass(frozen=True)
class DeviceLatency:
    """What the driver states, in frames; measured values can differ."""

    input_frames: int
    output_frames: int


@dataclass(frozen=True)
class StreamCounters:
    """What went wrong in a stream.

    Attributes
    ----------
    underruns : int
        Times that sound was missing because a block was late, or because the driver was held up and told so: what it
        tells of while a block is late, or while frames are thrown away, is not counted again.
    lost_output_frames : int
        Frames that were not heard because they were late.
    overflows : int
        Times that captured frames were thrown away because the pump was held up for long.
    lost_input_frames : int
        Frames that were thrown away, or that the device did not give while it stood, as far as they are known.
    device_flags : int
        Callbacks for which the driver told of a fault, in each direction; one fault can raise several.
    """

    underruns: int = 0
    lost_output_frames: int = 0
    overflows: int = 0
    lost_input_frames: int = 0
    device_flags: int = 0

    @property
    def xruns(self) -> int:
        """Underruns and overflows."""
        return self.underruns + self.overflows

    def __add__(self, other: StreamCounters) -> StreamCounters:
        return StreamCounters(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


class AudioStream(Protocol):
    """What a pump needs of a stream. One thread calls it; ``counters`` and ``latency`` may be read from any."""

    @property
    def latency(self) -> DeviceLatency:
        """What the driver states."""
        ...

    @property
    def counters(self) -> StreamCounters:
        """What went wrong so far."""
        ...

    def start(self) -> None:
        """Begin; frame 0 of both directions is in one and the same call of the device."""
        ...

    def catch_up(self, limit_frames: int) -> int:
        """Throw away captured frames where more than the limit wait; gives how many, 0 as a rule."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Wait for a block; False if there is none in time. Raises DeviceLostError if the device's clock stands."""
        ...

    def read(self) -> F32:
        """Give the next block, shape (input channels, block); valid until the next call."""
        ...

    def write(self, block: F32) -> None:
        """Play a block, shape (output channels, block), in answer to the one that was read last."""
        ...

    def close(self, timeout_s: float) -> bool:
        """Stop; False if the driver hangs and was left behind."""
        ...
