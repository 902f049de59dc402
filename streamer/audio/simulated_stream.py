"""A stream without a device: what is played is heard again after a known time, and time passes only when it is used."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.errors import ConfigurationError
from streamer.audio.stream import F32, DeviceLatency, StreamCounters

__all__ = ["SimulatedStream"]


class SimulatedStream:
    """A full-duplex device with a cable from its output to its input, in virtual time.

    It is an ``AudioStream``: it keeps what that promises, never loses a frame, and waits for nobody.

    Parameters
    ----------
    channels : int
        Both ways.
    block_frames, ring_frames : int
    input_frames, output_frames : int
        The device's latency on its way in and out, which it also states.
    passes : callable, optional
        Told how many frames go by, before each block, so that others share the clock.

    Raises
    ------
    ConfigurationError
        If a length is not allowed.
    """

    def __init__(
        self,
        *,
        channels: int,
        block_frames: int,
        ring_frames: int,
        input_frames: int,
        output_frames: int,
        passes: Callable[[int], object] | None = None,
    ) -> None:
        if not 0 < block_frames <= ring_frames or min(input_frames, output_frames) < 0 or channels < 1:
            raise ConfigurationError(
                f"a ring of {ring_frames} frames, blocks of {block_frames}, {input_frames} in and {output_frames} out "
                "cannot be simulated: a ring holds a block at least, and no latency is below 0"
            )
        self._block_frames = block_frames
        self._ring_frames = ring_frames
        self._passes = passes
        self._latency = DeviceLatency(input_frames, output_frames)
        self._around = input_frames + output_frames
        self._block = np.zeros((channels, block_frames), np.float32)
        # From the oldest frame that is on its way to the newest that was written.
        self._cable = np.zeros((channels, self._around + ring_frames), np.float32)
        self._taken = 0

    @property
    def latency(self) -> DeviceLatency:
        """What was asked for: here it is true."""
        return self._latency

    @property
    def counters(self) -> StreamCounters:
        """Nothing goes wrong."""
        return StreamCounters()

    @property
    def captured_frame(self) -> int:
        """First frame of the block that was read last."""
        return self._taken - self._block_frames

    @property
    def rendered_frame(self) -> int:
        """Frame at which the block that was written last is played."""
        return self.captured_frame + self._ring_frames

    @property
    def margin_frames(self) -> int:
        """Frames that are left when a block is written: no time passes while it is worked on."""
        return self._ring_frames - self._block_frames

    def start(self) -> None:
        """Begin."""

    def catch_up(self, limit_frames: int) -> int:
        """Throw nothing away: nothing piles up."""
        return 0

    def wait(self, timeout_s: float) -> bool:
        """Let the time of a block pass."""
        if self._passes is not None:
            self._passes(self._block_frames)
        return True

    def read(self) -> F32:
        """Give what comes out of the cable."""
        self._block[...] = self._cable[:, : self._block_frames]
        self._cable[:, : -self._block_frames] = self._cable[:, self._block_frames :]
        self._cable[:, -self._block_frames :] = 0.0
        self._taken += self._block_frames
        return self._block

    def write(self, block: F32) -> None:
        """Put a block on its way."""
        begin = self._around + self._ring_frames - self._block_frames
        self._cable[:, begin : begin + self._block_frames] = block

    def close(self, timeout_s: float) -> bool:
        """End."""
        return True
