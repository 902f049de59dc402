"""The monitors of PulseAudio's and PipeWire's sinks, through SoundCard: Linux.

SoundCard connects to the server when it is imported and stays with this connection. What it does not do is done here:
it is connected anew when the server was started again, and an operation that a lost server never began is not given
back to libpulse, which would end the process.
"""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from engine.errors import DeviceError, DeviceLostError
from streamer.audio.device import Device
from streamer.audio.loopback.packets import PacketRing
from streamer.audio.stream import F32
from streamer.file_session import Clock, WallClock

__all__ = ["PulseCapture", "list_monitors"]

_SUFFIX = ".monitor"
_RATE = 48_000
"""What is proposed: the server converts to whatever is asked, and SoundCard does not tell its own rate."""
_LOOK_S = 0.5
_lock = threading.Lock()


def _library() -> Any:
    """Give the package soundcard with a server that answers; any thread.

    Raises
    ------
    DeviceError
        If a part is missing; the message says what to install or start.
    """
    try:
        with _lock, _named_program():
            import soundcard
            from soundcard import pulseaudio
    except ImportError as error:
        raise DeviceError(
            "loopback needs the package soundcard, which is not installed: run pip install 'stemstream[loopback]'"
        ) from error
    except OSError as error:
        raise DeviceError("loopback needs the library libpulse, which was not found: apt install libpulse0") from error
    except AssertionError as error:
        raise _no_server() from error
    with _lock:
        if not _is_connected(pulseaudio, pulseaudio._pulse):
            _connect_anew(pulseaudio)
        _keep_operations_safe(pulseaudio)
    return soundcard


@contextmanager
def _named_program() -> Iterator[None]:
    """Let SoundCard find a name for this client: it takes the one of the program, and fails under ``python -c``."""
    given = getattr(sys, "argv", [])
    sys.argv = ["stemstream"]
    try:
        yield
    finally:
        sys.argv = given


def _is_connected(pulseaudio: Any, connection: Any) -> bool:
    return bool(connection._pa_context_get_state(connection.context) == pulseaudio._pa.PA_CONTEXT_READY)


def _connect_anew(pulseaudio: Any) -> None:
    connection = pulseaudio._PulseAudio.__new__(pulseaudio._PulseAudio)
    # The assertion is SoundCard's own check, which `python -O` leaves out.
    with _named_program(), suppress(AssertionError):
        connection.__init__()
    if not _is_connected(pulseaudio, connection):
        connection._shutdown()
        raise _no_server()
    pulseaudio._pulse = connection
    atexit.register(connection._shutdown)


def _keep_operations_safe(pulseaudio: Any) -> None:
    give_back = pulseaudio._PulseAudio._pa_operation_unref
    if getattr(give_back, "is_safe", False):
        return

    def give_back_begun(connection: Any, operation: Any) -> None:
        if operation != pulseaudio._ffi.NULL:
            give_back(connection, operation)

    give_back_begun.is_safe = True  # type: ignore[attr-defined]
    pulseaudio._PulseAudio._pa_operation_unref = give_back_begun


def _no_server() -> DeviceError:
    return DeviceError(
        "loopback needs a PulseAudio or PipeWire server, and none answers: start one "
        "(PipeWire answers where pipewire-pulse is installed), or use mic:NAME"
    )


def list_monitors(first_index: int) -> tuple[Device, ...]:
    """Give the monitors of all sinks, numbered from ``first_index`` on; any thread.

    Raises
    ------
    DeviceError
        If SoundCard, libpulse or a server is missing.
    """
    soundcard = _library()
    try:
        default = soundcard.default_speaker().id
    except (KeyError, IndexError):  # a server without sinks
        default = ""
    found: list[tuple[str, str, int]] = []
    for source in soundcard.all_microphones(include_loopback=True):
        try:
            if source.isloopback:
                found.append((source.id, source.name, source.channels))
        except IndexError:  # it went away meanwhile
            continue
    names = [name for _, name, _ in found]
    return tuple(
        Device(
            index=first_index + number,
            name=name if names.count(name) == 1 else f"{name} ({key})",
            host_api="PulseAudio",
            max_input_channels=channels,
            max_output_channels=0,
            default_sample_rate=_RATE,
            backend="soundcard",
            key=key,
            sink=name.removeprefix("Monitor of "),
            is_default_loopback=key == default + _SUFFIX,
        )
        for number, (key, name, channels) in enumerate(found)
    )


class PulseCapture:
    """Hears a monitor: a thread of its own takes what the server sends and puts it into a ring.

    The server converts to the rate and the channels that are asked for. ``latency_frames`` is what it collects before
    it sends; what it states itself, at the start, is how long the first packet lay there. A sink that goes away ends
    the capture, though the server would go on with another source, which may be a microphone.

    Parameters
    ----------
    device : Device
        Of `list_monitors`.
    sample_rate, channels : int
    block_frames : int
        What the server is asked to send at once.
    clock : Clock, optional
        Left out: the machine's own.

    Raises
    ------
    DeviceError
        If SoundCard, libpulse or a server is missing.
    """

    def __init__(
        self, device: Device, *, sample_rate: int, channels: int, block_frames: int, clock: Clock | None = None
    ) -> None:
        self.sample_rate = sample_rate
        self.channels = channels
        self.latency_frames = block_frames
        self.flags = 0
        self.error: DeviceLostError | None = None
        self._device = device
        self._block_frames = block_frames
        self._clock = WallClock() if clock is None else clock
        self._ring = PacketRing(sample_rate=sample_rate, source_channels=channels, channels=channels, clock=clock)
        self._soundcard = _library()
        self._recorder: Any = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stemstream-loopback", daemon=True)

    def start(self) -> None:
        """Connect to the monitor and begin; raises DeviceError if the server refuses."""
        name = self._device.name
        try:
            source = self._soundcard.get_microphone(self._device.key, include_loopback=True)
            if source.id != self._device.key:  # SoundCard takes what is similar in place of what is gone
                raise IndexError(self._device.key)
            recorder = source.recorder(self.sample_rate, channels=self.channels, blocksize=self._block_frames)
            self._recorder = recorder.__enter__()
        except IndexError as error:
            raise DeviceError(f"{name!r} is gone: choose one that stemstream devices lists") from error
        except RuntimeError as error:
            raise DeviceError(f"{name!r} cannot be opened ({error}): choose another one, or another rate") from error
        self._ring.begin()
        self._thread.start()

    @property
    def written(self) -> int:
        """Frames captured since the start."""
        return self._ring.written

    def copy(self, start: int, out: F32) -> bool:
        """Copy frames ``[start, start + n)`` into ``out``, shape (channels, n); False if they are gone or not there."""
        return self._ring.copy(start, out)

    def close(self, timeout_s: float) -> bool:
        """Stop; False if the server sends nothing and the thread was left behind."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # the outermost place of this thread: SoundCard raises a different one each way
            if not self._end.is_set():
                said = " ".join(str(error).split())
                # A server that dies within a packet is to SoundCard a fault of shapes, which tells a user nothing.
                cause = f"Recording failed: {said}" if isinstance(error, ValueError) else said
                self.error = self._lost(f"SoundCard said: {cause}")
        finally:
            self._recorder.__exit__(None, None, None)

    def _serve(self) -> None:
        looked_s = self._clock.now()
        while not self._end.is_set():
            self._ring.append(self._recorder.record(numframes=None))
            now = self._clock.now()
            if now - looked_s < _LOOK_S:
                continue
            looked_s = now
            if all(source.id != self._device.key for source in self._soundcard.all_microphones(include_loopback=True)):
                self.error = self._lost("its sink is gone")
                return

    def _lost(self, reason: str) -> DeviceLostError:
        return DeviceLostError(
            f"the loopback {self._device.name!r} was lost ({reason}): check that the output is there "
            "and that its sound server runs"
        )
