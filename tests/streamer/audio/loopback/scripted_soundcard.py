"""A server with sinks behind SoundCard's interface on Linux: sinks come and go, and so does the server.

A test compares the signatures here with those of the package that is installed.
"""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
READY, FAILED = 4, 5


class ScriptedServer:
    """What the fake asks: the sinks by their names, and the sound of each monitor."""

    def __init__(self, *sinks: str, description: str = "Loudspeakers") -> None:
        self.sinks = {name: description for name in sinks}
        self.default = sinks[0] if sinks else ""
        self.is_alive = True
        self.refuses = False
        self.is_checked = True
        """Whether assertions hold, as they do but under ``python -O``."""
        self.chunks: list[F32 | Exception | None] = []
        """What the recorder gives, one after the other; after the last one it waits for more."""
        self.is_drained = threading.Event()
        self.goes_on = threading.Event()
        self.asked: list[tuple[str, int, int, int]] = []
        self.exits = 0
        self.connections = 0

    def hang_up(self) -> None:
        """Let a recorder that waits return, as a stream does that is closed."""
        self.goes_on.set()


def soundcard_of(server: ScriptedServer) -> tuple[ModuleType, ModuleType]:
    """Give modules that stand in for soundcard and soundcard.pulseaudio; raises as their import does."""

    class _PulseAudio:
        def __init__(self) -> None:
            server.connections += 1
            self.context = READY if server.is_alive else FAILED
            if server.is_checked:
                assert self._pa_context_get_state(self.context) == READY

        def _pa_context_get_state(self, context: int) -> int:
            return context if server.is_alive else FAILED

        def _pa_operation_unref(self, operation: object) -> None:
            if operation is None:
                raise SystemError("libpulse ends the process")

        def _shutdown(self) -> None:
            pass

        def ask(self) -> None:
            """Do as every request does."""
            connected = self._pa_context_get_state(self.context) == READY
            self._pa_operation_unref("operation" if connected else None)

    class _Microphone:
        def __init__(self, id: str) -> None:
            self.id = id

        def _info(self) -> str:
            pulseaudio._pulse.ask()
            found = [text for name, text in server.sinks.items() if f"{name}.monitor" == self.id]
            if not found:
                raise IndexError("list index out of range")
            return found[0]

        @property
        def name(self) -> str:
            return "Microphone" if self.id == "mic" else f"Monitor of {self._info()}"

        @property
        def channels(self) -> int:
            return 2

        @property
        def isloopback(self) -> bool:
            return self.id != "mic" and self._info() != ""

        def recorder(self, samplerate: int, channels: Any = None, blocksize: Any = None) -> _Recorder:
            server.asked.append((self.id, samplerate, channels, blocksize))
            return _Recorder(self.id, channels)

    class _Recorder:
        def __init__(self, id: str, channels: int) -> None:
            self._channels = channels

        def __enter__(self) -> _Recorder:
            if server.refuses:
                raise RuntimeError("Stream creation failed. Stream is in status 3")
            return self

        def __exit__(self, exc_type: object, exc_value: object, traceback: object) -> None:
            server.exits += 1

        def record(self, numframes: Any = None) -> F32:
            assert numframes is None
            if not server.chunks:
                server.is_drained.set()
                server.goes_on.wait(30.0)
                return np.zeros((0, self._channels), np.float32)
            chunk = server.chunks.pop(0)
            if isinstance(chunk, Exception):
                raise chunk
            assert chunk is not None
            return chunk

    def all_microphones(include_loopback: bool = False, exclude_monitors: bool = True) -> list[_Microphone]:
        pulseaudio._pulse.ask()
        monitors = [_Microphone(f"{name}.monitor") for name in server.sinks] if include_loopback else []
        return [*monitors, _Microphone("mic")]

    def get_microphone(id: str, include_loopback: bool = False, exclude_monitors: bool = True) -> _Microphone:
        # SoundCard takes what is similar.
        for microphone in all_microphones(include_loopback):
            if id in (microphone.id, microphone.id[: len(id)]) or id.split(".")[0] in microphone.id:
                return microphone
        raise IndexError(f"no soundcard with id {id}")

    def default_speaker() -> _Microphone:
        pulseaudio._pulse.ask()
        if not server.sinks:
            raise KeyError("default sink id")
        return _Microphone(server.default)

    soundcard: Any = ModuleType("soundcard")
    pulseaudio: Any = ModuleType("soundcard.pulseaudio")
    pulseaudio._PulseAudio = _PulseAudio
    pulseaudio._Microphone = _Microphone
    pulseaudio._Recorder = _Recorder
    pulseaudio._pulse = _PulseAudio()
    pulseaudio._pa = type("_pa", (), {"PA_CONTEXT_READY": READY})
    pulseaudio._ffi = type("_ffi", (), {"NULL": None})
    for module in (soundcard, pulseaudio):
        module.all_microphones = all_microphones
        module.get_microphone = get_microphone
        module.default_speaker = default_speaker
    soundcard.pulseaudio = pulseaudio
    return soundcard, pulseaudio
