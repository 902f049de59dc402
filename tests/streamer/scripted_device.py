"""A sound device in virtual time with sounddevice's interface: it loops back, stalls, jumps and dies on demand."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from streamer.audio.devices import Device
from streamer.testing import VirtualClock

F32 = npt.NDArray[np.float32]
RATE = 48_000
STATED = (32, 64)

LOOP = Device(0, "loop", "virtual", 2, 2, RATE, is_default_input=True, is_default_output=True)


class ScriptedDevice:
    """Calls the callback of the stream that is open, one period after the other, while somebody sleeps.

    It is the clock of those who use it: ``sleep_until`` moves time on. What is played comes back after ``delay``
    frames; ``sound`` instead is what is heard where it is given.
    """

    def __init__(self, *, period: int = 64, delay: int = 96, sound: F32 | None = None) -> None:
        self.period = period
        self.delay = delay
        self.sound = sound
        self._played = np.zeros((2, RATE), np.float32)
        self._played_frames = 0
        self.kept = self.played
        """What a test keeps of it."""
        self.frames = 0
        self.is_alive = True
        self.clock = VirtualClock(RATE)
        """The same time, for scripted workers."""
        self.events: dict[int, Callable[[], None]] = {}
        """What happens when the clock reaches a frame."""
        self._callback: Callable[..., None] | None = None

    @property
    def played(self) -> F32:
        """Everything that the stream in use has played."""
        return self._played[:, : self._played_frames]

    def now(self) -> float:
        return self.frames / RATE

    def sleep_until(self, moment_s: float) -> None:
        while self.frames / RATE < moment_s:
            self.advance(self.period)

    def advance(self, frames: int) -> None:
        """Let time pass, period by period."""
        for _ in range(0, frames, self.period):
            self.frames += self.period
            self.clock.advance(self.period)
            for frame in [f for f in list(self.events) if f <= self.frames]:
                self.events.pop(frame)()
            if self._callback is not None and self.is_alive:
                self._call(self._callback)

    def open(self, callback: Callable[..., None]) -> None:
        self._callback = callback
        self._played = np.zeros((2, RATE), np.float32)
        self._played_frames = 0

    def close(self) -> None:
        self._callback = None

    def _call(self, callback: Callable[..., None]) -> None:
        out = np.full((self.period, 2), np.nan, np.float32)
        callback(self._heard().T.copy(), out, self.period, None, None)
        begin, self._played_frames = self._played_frames, self._played_frames + self.period
        if self._played_frames > self._played.shape[1]:
            self._played = np.concatenate([self._played, np.zeros_like(self._played)], axis=1)
        self._played[:, begin : self._played_frames] = out.T

    def _heard(self) -> F32:
        begin = self._played_frames - (self.delay if self.sound is None else 0)
        source = self.played if self.sound is None else self.sound
        heard = np.zeros((2, self.period), np.float32)
        there = source[:, max(0, begin) : max(0, begin + self.period)]
        first = max(0, -begin)
        heard[:, first : first + there.shape[1]] = there
        return heard


def sounddevice_of(device: ScriptedDevice, **refusal: Any) -> ModuleType:
    """Give a module that stands in for sounddevice; ``code`` and ``text`` refuse every stream."""
    module: Any = ModuleType("sounddevice")

    class PortAudioError(Exception):
        pass

    class Stream:
        latency = tuple(frames / RATE for frames in STATED)

        def __init__(self, **options: Any) -> None:
            if not device.is_alive:
                raise PortAudioError("unplugged", -9985)
            if refusal:
                raise PortAudioError(refusal["text"], refusal["code"])
            self.options = options
            module.opened.append(options)

        def start(self) -> None:
            device.open(self.options["callback"])

        def close(self) -> None:
            device.close()

    def check(index: int, channels: int, dtype: str, samplerate: int) -> None:
        if samplerate not in (44_100, 48_000):
            raise PortAudioError("Invalid sample rate", -9997)

    entry = {
        "name": LOOP.name,
        "index": 0,
        "hostapi": 0,
        "max_input_channels": 2,
        "max_output_channels": 2,
        "default_samplerate": float(RATE),
    }
    for kind in ("low_input", "low_output", "high_input", "high_output"):
        entry[f"default_{kind}_latency"] = 0.0
    module.opened = []
    module.refreshes = 0
    module.PortAudioError = PortAudioError
    module.Stream = Stream
    module.default = SimpleNamespace(device=(-1, -1))
    module.query_hostapis = lambda: ({"name": "virtual", "default_input_device": 0, "default_output_device": 0},)
    module.query_devices = lambda: [entry] if device.is_alive else []
    module.check_input_settings = module.check_output_settings = check
    module._exit_handler = lambda: None
    module._terminate = lambda: None

    def initialize() -> None:
        module.refreshes += 1

    module._initialize = initialize
    found: ModuleType = module
    return found
