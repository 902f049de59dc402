"""Two devices in virtual time, each with a clock of its own, and one that the program sees: nothing waits for real."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from streamer.audio.device import Device
from tests.streamer.scripted_rtmixer import Action, RingBuffer

F32 = npt.NDArray[np.float32]
Signal = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.floating[Any]]]


class Side:
    """One direction of a device: its callback comes once a period of its own clock, later by some jitter.

    Frame n was at the plug at true time ``begin_s + n / true_rate``.
    """

    def __init__(
        self, *, rate: int, ppm: float, period: int, begin_s: float, jitter_s: float = 0.0, seed: int = 0
    ) -> None:
        self.rate, self.period = rate, period
        self.true_rate = rate * (1 + 1e-6 * ppm)
        self.begin_s, self.jitter_s = begin_s, jitter_s
        self.frames = 0
        self.lost = 0
        self.held_until_s = 0.0
        """Callbacks that would come before this moment come at it, one after the other."""
        self.drops_until_s = 0.0
        """Frames before this moment are lost in the driver."""
        self.is_alive = True
        self.serve: Callable[[int, int], None] | None = None
        """Called with the position of the period's first frame on the device's own axis, and its length."""
        self._random = np.random.default_rng(seed)

    def moment_of(self, frames: Any) -> Any:
        return self.begin_s + frames / self.true_rate

    def next_s(self) -> float:
        due = self.moment_of(self.frames + self.period)
        if self.jitter_s:
            due += self.jitter_s * self._random.random()
        return max(due, self.held_until_s)

    def call(self, now_s: float) -> None:
        begin = self.frames
        self.frames += self.period
        if self.moment_of(self.frames) <= self.drops_until_s:
            self.lost += self.period
        elif self.serve is not None and self.is_alive:
            self.serve(begin, self.period)


class TwoClocks:
    """An input and an output with interfaces of sounddevice and rtmixer, and the program's own clock.

    ``sleep_until`` comes back up to ``oversleep_s`` late, as a busy system does.
    """

    def __init__(
        self, heard: Side, played: Side, signal: Signal, *, channels: int = 1, oversleep_s: float = 0.0, seed: int = 1
    ) -> None:
        self.input, self.output = heard, played
        self.channels = channels
        self._signal = signal
        self._now = 0.0
        self._oversleep_s = oversleep_s
        self._random = np.random.default_rng(seed)
        self._kept: list[tuple[int, F32]] = []
        self._due = [(heard.next_s(), 0), (played.next_s(), 1)]
        heapq.heapify(self._due)
        self.events: list[tuple[float, Callable[[], None]]] = []
        """What happens at a moment; in order."""
        self.on_input: Callable[..., None] | None = None
        self.on_output: Callable[..., None] | None = None
        heard.serve, played.serve = self._capture, self._play

    @property
    def sound(self) -> F32:
        """Everything that was played, shape (channels, frames)."""
        return np.concatenate([block.T for _, block in self._kept], axis=1)

    @property
    def moments(self) -> npt.NDArray[np.float64]:
        """The true time of each frame that was played."""
        return np.concatenate([self.output.moment_of(begin + np.arange(len(block))) for begin, block in self._kept])

    def now(self) -> float:
        return self._now

    def sleep_until(self, moment_s: float) -> None:
        self.advance(moment_s - self._now + self._oversleep_s * self._random.random())

    def advance(self, seconds: float) -> None:
        """Let time pass, callback by callback."""
        until = self._now + seconds
        while self._due[0][0] <= until or (self.events and self.events[0][0] <= until):
            if self.events and self.events[0][0] <= self._due[0][0]:
                self._now, event = self.events.pop(0)
                event()
                continue
            self._now, which = heapq.heappop(self._due)
            side = (self.input, self.output)[which]
            if self._now < side.held_until_s:
                heapq.heappush(self._due, (side.held_until_s, which))
                continue
            side.call(self._now)
            heapq.heappush(self._due, (max(side.next_s(), self._now), which))
        self._now = until

    def _capture(self, begin: int, frames: int) -> None:
        if self.on_input is None:
            return
        moments = self.input.begin_s + np.arange(begin, begin + frames) / self.input.true_rate
        mono = self._signal(moments).astype(np.float32)
        self.on_input(np.repeat(mono[:, None], self.channels, axis=1), frames, None, None)

    def _play(self, begin: int, frames: int) -> None:
        if self.on_output is None:
            return
        out = np.full((frames, self.channels), np.nan, np.float32)
        self.on_output(out, frames, None, None)
        self._kept.append((begin, out))


def device_of(side: Side, index: int, direction: str) -> Device:
    """Give the device that PortAudio would list."""
    n = (2, 0) if direction == "input" else (0, 2)
    return Device(index, f"scripted {direction}", "virtual", *n, side.rate)


def sounddevice_of(clocks: TwoClocks, stated_s: float = 0.001) -> ModuleType:
    """Give a module that stands in for sounddevice, for streams of one direction."""

    class PortAudioError(Exception):
        pass

    def stream(direction: str) -> type:
        side = clocks.input if direction == "input" else clocks.output

        class Stream:
            latency = stated_s

            def __init__(self, **options: Any) -> None:
                self.options = options
                if options["samplerate"] != side.rate:
                    raise PortAudioError("Invalid sample rate", -9997)
                module.opened[direction] = options

            @property
            def active(self) -> bool:
                return side.is_alive

            def start(self) -> None:
                setattr(clocks, f"on_{direction}", self.options["callback"])

            def close(self) -> None:
                setattr(clocks, f"on_{direction}", None)

        return Stream

    module: Any = ModuleType("sounddevice")
    module.opened = {}
    module.PortAudioError = PortAudioError
    module.InputStream, module.OutputStream = stream("input"), stream("output")
    module._exit_handler = lambda: None

    def check(index: int, channels: int, dtype: str, samplerate: int) -> None:
        if samplerate not in (clocks.input.rate, clocks.output.rate):
            raise PortAudioError("Invalid sample rate", -9997)

    module.check_input_settings = module.check_output_settings = check
    found: ModuleType = module
    return found


def rtmixer_of(sounddevice: ModuleType) -> ModuleType:
    """Give a module that stands in for rtmixer's Mixer and Recorder, on one that stands in for sounddevice."""

    class Served:
        def __init__(self, **options: Any) -> None:
            self.actions: list[Action] = []
            make = sounddevice.OutputStream if type(self).__name__ == "Mixer" else sounddevice.InputStream
            self._stream = make(callback=self._serve, **options)
            self.latency = self._stream.latency
            self.start, self.close = self._stream.start, self._stream.close

        @property
        def active(self) -> bool:
            return bool(self._stream.active)

        def _queue(self, ring: RingBuffer) -> Action:
            action = Action(ring=ring, stats=SimpleNamespace(input_overflows=0, output_underflows=0))
            self.actions.append(action)
            return action

        def _serve(self, block: F32, frames: int, *_: object) -> None:
            raise NotImplementedError

    class Mixer(Served):
        def play_ringbuffer(self, ring: RingBuffer) -> Action:
            return self._queue(ring)

        def _serve(self, block: F32, frames: int, *_: object) -> None:
            block.fill(0.0)
            for action in list(self.actions):
                ring = action.ring
                n = min(frames, ring.read_available)
                block[:n] = ring.buffer[ring.places(ring.read_index, n)]
                ring.read_index += n
                if n < frames:
                    self.actions.remove(action)

    class Recorder(Served):
        def record_ringbuffer(self, ring: RingBuffer) -> Action:
            return self._queue(ring)

        def _serve(self, block: F32, frames: int, *_: object) -> None:
            for action in list(self.actions):
                ring = action.ring
                n = min(frames, ring.write_available)
                ring.buffer[ring.places(ring.write_index, n)] = block[:n]
                ring.write_index += n
                if n < frames:
                    self.actions.remove(action)

    module: Any = ModuleType("rtmixer")
    module.RingBuffer, module.Mixer, module.Recorder = RingBuffer, Mixer, Recorder
    given: ModuleType = module
    return given
