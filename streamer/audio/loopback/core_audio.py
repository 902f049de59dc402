"""Taps of Core Audio, through catap: macOS 14.2 and later."""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np

from engine.errors import DeviceError, DeviceLostError
from streamer.audio.device import Device
from streamer.audio.loopback.closing import closed_in_time
from streamer.audio.loopback.packets import PATIENCE_S, PacketRing
from streamer.audio.stream import F32
from streamer.file_session import Clock

__all__ = ["TapCapture", "list_taps"]

_log = logging.getLogger("stemstream")

_RATE = 48_000
_DOUBT_S = 5.0
"""Zeros for so long while another program plays mean that macOS does not let this one hear it."""
_PERMISSION = (
    "allow this program, or the terminal it runs in, under System Settings > Privacy & Security > "
    "Screen & System Audio Recording"
)


def _library() -> Any:
    try:
        import catap
    except ModuleNotFoundError as error:
        raise DeviceError(
            "loopback needs the package catap, which is not installed: run pip install 'stemstream[loopback]'"
        ) from error
    except ImportError as error:
        raise DeviceError(
            f"loopback needs macOS 14.2 or later ({error}): install a loopback driver such as BlackHole, "
            "let the system play to it, and use mic:BlackHole"
        ) from error
    return catap


def list_taps(first_index: int) -> tuple[Device, ...]:
    """Give a tap of all programs and one of each output, numbered from ``first_index`` on; any thread.

    Raises
    ------
    DeviceError
        If catap is missing, or macOS is too old for it.
    """
    catap = _library()
    try:
        skips_own_sound = catap.find_process_by_pid(os.getpid()) is not None
        outputs = [device for device in catap.list_audio_devices() if device.output_streams]
    except OSError as error:
        raise DeviceError(
            f"Core Audio does not answer ({error}): restart the computer's sound, or the computer"
        ) from error
    default = [device for device in outputs if device.is_default_output]
    rate = round(default[0].output_streams[0].sample_rate) if default else _RATE
    taps = [("System audio", "", "", 2, rate)]
    for device in outputs:
        stream = device.output_streams[0]
        taps.append((f"Tap of {device.name}", device.uid, device.name, stream.num_channels, round(stream.sample_rate)))
    return tuple(
        Device(
            index=first_index + number,
            name=name,
            host_api="Core Audio",
            max_input_channels=channels,
            max_output_channels=0,
            default_sample_rate=sample_rate,
            backend="catap",
            key=key,
            sink=sink,
            is_default_loopback=not key,
            skips_own_sound=skips_own_sound,
        )
        for number, (name, key, sink, channels, sample_rate) in enumerate(taps)
    )


class TapCapture:
    """Hears what programs play, all of them or those on one output, but for what this program plays itself.

    The programs are heard as before: nothing is muted.

    Parameters
    ----------
    device : Device
        Of `list_taps`.
    channels : int
        1 or 2; more are mixed down.
    clock : Clock, optional
        Left out: the machine's own.

    Raises
    ------
    DeviceError
        If the tap cannot be made, or gives what cannot be used.

    Notes
    -----
    The tap runs from construction on, since only then its rate is known; frames count from ``start``.
    """

    def __init__(self, device: Device, *, channels: int, clock: Clock | None = None) -> None:
        self._library = _library()
        self._device = device
        self._heard_frames, self._has_doubted = 0, False
        self._has_started, self._is_closed, self._has_hung = False, False, False
        try:
            self._session = self._make_session()
            self._session.start()
        except (OSError, RuntimeError, ValueError) as error:
            raise DeviceError(
                f"{device.name!r} cannot be tapped ({' '.join(str(error).split())}): {_PERMISSION}"
            ) from error
        given = self._session.stream_format
        if given is None or not given.is_float:
            self._session.close()
            raise DeviceError(f"{device.name!r} gives no float samples, which is not supported: choose another tap")
        self.sample_rate = round(given.sample_rate)
        self.channels = channels
        self.latency_frames = 0
        self._source_channels = int(given.num_channels)
        self._ring = PacketRing(
            sample_rate=self.sample_rate,
            source_channels=self._source_channels,
            channels=channels,
            patience_s=PATIENCE_S,
            clock=clock,
        )

    def _make_session(self) -> Any:
        catap = self._library
        own = catap.find_process_by_pid(os.getpid())
        if self._device.skips_own_sound and own is None:
            raise RuntimeError("this program is no player any more for macOS, so its sound cannot be left out")
        options: dict[str, Any] = {"exclude": [] if own is None else [own], "on_buffer": self._take}
        if not self._device.key:
            return catap.record_system_audio(**options)
        output = catap.find_audio_device_by_uid(self._device.key)
        if output is None:
            raise DeviceError(f"{self._device.name!r} is gone: choose one that stemstream devices lists")
        return catap.record_device(output, **options)

    def start(self) -> None:
        """Count frames from here."""
        self._ring.begin()
        self._has_started = True

    @property
    def written(self) -> int:
        """Frames captured since the start, and the silence between them."""
        return self._ring.written if self._has_started else 0

    def copy(self, start: int, out: F32) -> bool:
        """Copy frames ``[start, start + n)`` into ``out``, shape (channels, n); False if they are gone or not there."""
        return self._ring.copy(start, out)

    @property
    def flags(self) -> int:
        """Faults that catap told of: the first one ends the capture."""
        return int(self._session.capture_failed)

    @property
    def error(self) -> DeviceLostError | None:
        """Why nothing comes any more: an output that went away, or another rate of it, ends a tap."""
        if self._is_closed or not self._session.capture_failed:
            return None
        return DeviceLostError(
            f"the loopback {self._device.name!r} was lost: its output went away or changed its format, "
            "or the program was held up for long"
        )

    def close(self, timeout_s: float) -> bool:
        """Stop; False if the driver hangs and was left behind. A second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._has_hung = not closed_in_time(self._session.close, timeout_s)
        return not self._has_hung

    def _take(self, buffer: Any) -> None:
        """Take a packet; a thread of catap's own."""
        if not self._has_started:  # the ring may not even be there
            return
        self._ring.append(np.frombuffer(buffer.data, np.float32).reshape(buffer.frame_count, self._source_channels))
        self._heard_frames += buffer.frame_count
        if not self._has_doubted and self._heard_frames > _DOUBT_S * self.sample_rate:
            self._has_doubted = True
            self._doubt()

    def _doubt(self) -> None:
        """Say so where macOS gives nothing but zeros though another program plays: it refuses without an error."""
        if not self._session.captured_only_silence:
            return
        others = [each for each in self._library.list_audio_processes() if each.pid != os.getpid()]
        if any(each.is_outputting for each in others):
            _log.warning("%r gives only silence though a program plays: %s", self._device.name, _PERMISSION)
