"""rtmixer's interface over a scripted device, with the callback's rules as its source has them.

An action whose ring runs empty or full is taken off the list; those that were queued last are served first.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.streamer.scripted_device import RATE, STATED, ScriptedDevice

F32 = npt.NDArray[np.float32]


class RingBuffer:
    """Single reader, single writer; sizes are powers of two."""

    def __init__(self, elementsize: int, *, buffer: F32) -> None:
        size, channels = buffer.shape
        assert elementsize == 4 * channels
        assert size & (size - 1) == 0
        self.buffer = buffer
        self.read_index = self.write_index = 0

    @property
    def read_available(self) -> int:
        return self.write_index - self.read_index

    @property
    def write_available(self) -> int:
        return len(self.buffer) - self.read_available

    def advance_read_index(self, frames: int) -> None:
        assert frames <= self.read_available
        self.read_index += frames

    def advance_write_index(self, frames: int) -> None:
        assert frames <= self.write_available
        self.write_index += frames

    def flush(self) -> None:
        self.read_index = self.write_index = 0

    def places(self, index: int, frames: int) -> npt.NDArray[np.int64]:
        return (index + np.arange(frames)) % len(self.buffer)


class Action(SimpleNamespace):
    """One that is recording or playing; compared by what it is, not by what it holds."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


def rtmixer_of(device: ScriptedDevice) -> ModuleType:
    """Give a module that stands in for rtmixer."""

    class MixerAndRecorder:
        latency = tuple(frames / RATE for frames in STATED)

        def __init__(self, **options: Any) -> None:
            self.options = options
            self._queued: list[Action] = []
            self._served: list[Action] = []

        @property
        def actions(self) -> list[Action]:
            return [*self._queued, *self._served]

        def record_ringbuffer(self, ring: RingBuffer) -> Action:
            action = self._queue(ring, is_playing=False)
            # In a stream that runs, the device may come between the two calls that queue both directions.
            device.advance(device.period)
            return action

        def play_ringbuffer(self, ring: RingBuffer) -> Action:
            return self._queue(ring, is_playing=True)

        def cancel(self, action: Action) -> None:
            self._queued = [each for each in self._queued if each is not action]
            self._served = [each for each in self._served if each is not action]

        def start(self) -> None:
            device.open(self._serve)

        def close(self) -> None:
            device.close()

        def _queue(self, ring: RingBuffer, *, is_playing: bool) -> Action:
            counted = SimpleNamespace(input_overflows=0, output_underflows=0, input_underflows=0, output_overflows=0)
            action = Action(ring=ring, is_playing=is_playing, stats=counted)
            self._queued.append(action)
            return action

        def _serve(self, captured: F32, played: F32, frames: int, *_: object) -> None:
            played.fill(0.0)
            for action in self._queued:
                self._served.insert(0, action)
            self._queued = []
            for action in list(self._served):
                ring = action.ring
                if action.is_playing:
                    n = min(frames, ring.read_available)
                    played[:n] = ring.buffer[ring.places(ring.read_index, n)]
                    ring.read_index += n
                else:
                    n = min(frames, ring.write_available)
                    ring.buffer[ring.places(ring.write_index, n)] = captured[:n]
                    ring.write_index += n
                if n < frames:
                    self._served.remove(action)

    module: Any = ModuleType("rtmixer")
    module.RingBuffer = RingBuffer
    module.MixerAndRecorder = MixerAndRecorder
    given: ModuleType = module
    return given
