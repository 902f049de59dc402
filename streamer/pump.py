"""The loop that moves blocks from a stream through the processor and the mixer and back, and outlives the device."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.errors import DeviceError, DeviceLostError
from streamer.audio.stream import AudioStream, StreamCounters
from streamer.file_session import Clock, WallClock
from streamer.mixer import Mixer
from streamer.processor import StemProcessor

__all__ = ["Pump", "PumpCounters"]

_log = logging.getLogger("stemstream")

_WAIT_S = 0.1
_RETRY_S = 0.5
_CLOSE_S = 2.0


@dataclass(frozen=True)
class PumpCounters:
    """What a pump did.

    Attributes
    ----------
    blocks, frames : int
        Moved.
    epochs : int
        Streams that were begun: 1, and one more for each jump of the device's clock and each return of the device.
    skipped_frames : int
        Captured frames that were thrown away at jumps.
    returns : int
        Times that the device was lost and came back.
    """

    blocks: int = 0
    frames: int = 0
    epochs: int = 1
    skipped_frames: int = 0
    returns: int = 0


class Pump:
    """Moves blocks; the one thread that calls ``run`` or ``step`` is the one that touches the processor.

    Parameters
    ----------
    stream : AudioStream
        Open and started.
    processor : StemProcessor
        Prepared for ``block_frames``, fixed.
    mixer : Mixer
    block_frames, output_channels : int
    jump_frames : int
        Where more captured frames wait than these, the device's clock counts as jumped: what waits is thrown away and
        a new epoch begins.
    reopen : callable, optional
        Gives a stream in place of one that was lost, open and started, or raises DeviceError while there is none.
        Left out: a lost device ends the loop.
    end : threading.Event
        Ends the loop.
    clock : Clock, optional
        Left out: the machine's own.
    """

    def __init__(
        self,
        stream: AudioStream,
        processor: StemProcessor,
        mixer: Mixer,
        *,
        block_frames: int,
        output_channels: int,
        jump_frames: int,
        end: threading.Event,
        clock: Clock | None = None,
        reopen: Callable[[], AudioStream] | None = None,
    ) -> None:
        self.stream = stream
        """The stream in use; another one after a device was lost and came back."""
        self.error: DeviceLostError | None = None
        """Why there is no sound at the moment."""
        self._processor = processor
        self._mixer = mixer
        self._mixed = np.zeros((output_channels, block_frames), np.float32)
        self._jump_frames = jump_frames
        self._end = end
        self._clock = WallClock() if clock is None else clock
        self._reopen = reopen
        self._block_frames = block_frames
        self._blocks, self._epochs, self._skipped, self._returns = 0, 1, 0, 0
        self._former = StreamCounters()

    @property
    def counters(self) -> PumpCounters:
        """What was done so far; any thread."""
        return PumpCounters(self._blocks, self._blocks * self._block_frames, self._epochs, self._skipped, self._returns)

    @property
    def stream_counters(self) -> StreamCounters:
        """What went wrong in all streams so far; any thread."""
        return self._former + self.stream.counters

    def run(self) -> None:
        """Move blocks until the session ends.

        Raises
        ------
        DeviceLostError
            If the device is lost and cannot be opened again.
        Exception
            What the processor or the mixer raises: a fault of the program.
        """
        while not self._end.is_set():
            try:
                self.step()
            except DeviceLostError as lost:
                self.error = lost
                if self._reopen is None:
                    raise
                _log.warning("%s", lost)
                self._recover(self._reopen)

    def step(self) -> bool:
        """Move one block, if one comes within a tenth of a second; tells whether one did."""
        skipped = self.stream.catch_up(self._jump_frames)
        if skipped:
            self._skipped += skipped
            self._begin_epoch()
        if not self.stream.wait(_WAIT_S):
            return False
        stems = self._processor.process(self.stream.read())
        self._mixer.mix(stems, self._mixed)
        self.stream.write(self._mixed)
        self._blocks += 1
        return True

    def _begin_epoch(self) -> None:
        self._processor.reset()
        self._epochs += 1

    def _recover(self, reopen: Callable[[], AudioStream]) -> None:
        """Try to open the device again until it is there or the session ends."""
        self.stream.close(_CLOSE_S)
        while not self._end.is_set():
            self._clock.sleep_until(self._clock.now() + _RETRY_S)
            try:
                stream = reopen()
            except DeviceError as error:
                if isinstance(error, DeviceLostError):
                    raise
                continue
            self._former, self.stream = self.stream_counters, stream
            self._returns += 1
            self._begin_epoch()
            self.error = None
            _log.warning("the device is back")
            return
