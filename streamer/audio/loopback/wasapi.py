"""What is played to an output of Windows, through PyAudioWPatch, a PortAudio with WASAPI's loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from engine.errors import DeviceError, DeviceLostError
from streamer.audio.device import Device
from streamer.audio.loopback.closing import closed_in_time
from streamer.audio.loopback.packets import PATIENCE_S, PacketRing
from streamer.audio.stream import F32
from streamer.file_session import Clock

__all__ = ["WasapiCapture", "list_loopback_devices"]

_SUFFIX = " [Loopback]"


def _library() -> Any:
    try:
        import pyaudiowpatch
    except ImportError as error:
        raise DeviceError(
            "loopback needs the package PyAudioWPatch, which is not installed: run pip install 'stemstream[loopback]'"
        ) from error
    return pyaudiowpatch


@contextmanager
def _portaudio() -> Iterator[Any]:
    """Give PyAudioWPatch's PortAudio, started anew so that it knows what is there now."""
    manager = _library().PyAudio()
    try:
        yield manager
    finally:
        manager.terminate()


def list_loopback_devices(first_index: int) -> tuple[Device, ...]:
    """Give a loopback for each output of WASAPI, numbered from ``first_index`` on; any thread.

    Raises
    ------
    DeviceError
        If PyAudioWPatch or WASAPI is missing.
    """
    with _portaudio() as manager:
        try:
            found = list(manager.get_loopback_device_info_generator())
        except OSError as error:
            raise DeviceError(f"loopback needs WASAPI, which is not there ({error}): use mic:NAME") from error
        try:
            default = manager.get_default_wasapi_loopback()["name"]
        except (OSError, LookupError):  # no output at all, or none that is the default
            default = ""
    return tuple(
        Device(
            index=first_index + number,
            name=info["name"],
            host_api="Windows WASAPI",
            max_input_channels=info["maxInputChannels"],
            max_output_channels=0,
            default_sample_rate=round(info["defaultSampleRate"]),
            low_input_latency_s=info["defaultLowInputLatency"],
            high_input_latency_s=info["defaultHighInputLatency"],
            backend="wasapi",
            key=info["name"],
            sink=info["name"].removesuffix(_SUFFIX),
            is_default_loopback=info["name"] == default,
        )
        for number, info in enumerate(found)
    )


class WasapiCapture:
    """Hears what is played to an output, at the rate of that output. While nothing is played, it hears silence.

    Parameters
    ----------
    device : Device
        Of `list_loopback_devices`.
    channels : int
        1 or 2; more are mixed down.
    block_frames : int
        Frames of each packet.
    clock : Clock, optional
        Left out: the machine's own.

    Raises
    ------
    DeviceError
        If the device refuses.
    """

    def __init__(self, device: Device, *, channels: int, block_frames: int, clock: Clock | None = None) -> None:
        self._library = _library()
        self._device = device
        self._manager = self._library.PyAudio()
        try:
            found = [i for i in self._manager.get_loopback_device_info_generator() if i["name"] == device.key]
            if not found:
                raise DeviceError(f"{device.name!r} is gone: choose one that stemstream devices lists")
            self.sample_rate = round(found[0]["defaultSampleRate"])
            self.channels = channels
            self._source_channels = int(found[0]["maxInputChannels"])
            self._stream = self._manager.open(
                rate=self.sample_rate,
                channels=self._source_channels,
                format=self._library.paFloat32,
                input=True,
                input_device_index=found[0]["index"],
                frames_per_buffer=block_frames,
                start=False,
                stream_callback=self._take,
            )
        except OSError as error:
            self._manager.terminate()
            raise self._refusal(error) from error
        except DeviceError:
            self._manager.terminate()
            raise
        self.latency_frames = round(self._stream.get_input_latency() * self.sample_rate)
        self.flags = 0
        self._ring = PacketRing(
            sample_rate=self.sample_rate,
            source_channels=self._source_channels,
            channels=channels,
            patience_s=PATIENCE_S,
            clock=clock,
        )
        self._has_started, self._is_closed, self._has_hung = False, False, False

    def start(self) -> None:
        """Begin to capture; raises DeviceError if the device refuses."""
        self._ring.begin()
        try:
            self._stream.start_stream()
        except OSError as error:
            raise self._refusal(error) from error
        self._has_started = True

    @property
    def written(self) -> int:
        """Frames captured since the start, and the silence between them."""
        return self._ring.written

    def copy(self, start: int, out: F32) -> bool:
        """Copy frames ``[start, start + n)`` into ``out``, shape (channels, n); False if they are gone or not there."""
        return self._ring.copy(start, out)

    @property
    def error(self) -> DeviceLostError | None:
        """Why nothing comes any more: the stream ends by itself only where its output was unplugged or changed."""
        if not self._has_started or self._is_closed:
            return None
        try:
            if self._stream.is_active():
                return None
        except OSError:  # PortAudio does not know the stream any more
            pass
        return DeviceLostError(
            f"the loopback {self._device.name!r} was lost: check that the output is plugged in and turned on"
        )

    def close(self, timeout_s: float) -> bool:
        """Stop; False if the driver hangs and was left behind. A second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._has_hung = not closed_in_time(self._end, timeout_s)
        return not self._has_hung

    def _end(self) -> None:
        self._stream.close()
        self._manager.terminate()

    def _take(self, in_data: bytes, frame_count: int, time_info: object, status_flags: int) -> tuple[None, int]:
        """Take a packet; PortAudio's thread."""
        self._ring.append(np.frombuffer(in_data, np.float32).reshape(frame_count, self._source_channels))
        if status_flags:
            self.flags += 1
        return None, int(self._library.paContinue)

    def _refusal(self, error: OSError) -> DeviceError:
        return DeviceError(
            f"{self._device.name!r} cannot be opened ({' '.join(map(str, error.args))}): close programs that use "
            "the output in exclusive mode, or choose another loopback"
        )
