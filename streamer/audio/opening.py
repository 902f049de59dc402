"""Opening a stream, and what a driver's refusal means in words that help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.errors import DeviceError
from streamer.audio.devices import Device
from streamer.audio.portaudio import library, stream_opened
from streamer.audio.stream import StreamFormat

__all__ = ["opened", "started"]

_RATES = (44_100, 48_000, 88_200, 96_000, 176_400, 192_000, 32_000, 22_050, 16_000, 8_000)
# PortAudio's numbers: paInvalidSampleRate, paInvalidChannelCount, paDeviceUnavailable.
_RATE, _CHANNELS, _BUSY = -9997, -9998, -9985
# A server's callback brings its own period; asking for another one costs a period, and longer ones are not served.
_HOSTS_WITH_ONE_PERIOD = ("JACK Audio Connection Kit",)


def opened(asked: StreamFormat, make: Callable[..., Any], **options: Any) -> Any:
    """Open a stream.

    Parameters
    ----------
    asked : StreamFormat
    make : callable
        Takes the keyword arguments of ``sounddevice.Stream``.
    **options
        More of them.

    Raises
    ------
    DeviceError
        If the device refuses; the message says what it takes.
    """
    sounddevice = library()
    _check_channels(asked.input, asked.input_channels, "input")
    _check_channels(asked.output, asked.output_channels, "output")
    has_period = asked.input.host_api in _HOSTS_WITH_ONE_PERIOD
    try:
        stream = make(
            device=(asked.input.index, asked.output.index),
            channels=(asked.input_channels, asked.output_channels),
            samplerate=asked.sample_rate,
            blocksize=0 if has_period else asked.block_frames,
            latency=asked.device_latency,
            **options,
        )
    except sounddevice.PortAudioError as error:
        raise _refusal(asked, error) from error
    stream_opened()
    return stream


def started(asked: StreamFormat, stream: Any) -> None:
    """Start a stream; raises as `opened` does."""
    try:
        stream.start()
    except library().PortAudioError as error:
        raise _refusal(asked, error) from error


def _check_channels(device: Device, channels: int, direction: str) -> None:
    most = device.max_input_channels if direction == "input" else device.max_output_channels
    if channels > most:
        raise DeviceError(
            f"{direction} device {device.name!r} has {most} channel(s), {channels} are needed: "
            "choose another device, or fewer channels"
        )


def _refusal(asked: StreamFormat, error: Exception) -> DeviceError:
    code = error.args[1] if len(error.args) > 1 else None
    names = f"{asked.input.name!r}"
    if asked.output.index != asked.input.index:
        names += f" and {asked.output.name!r}"
    if code == _RATE:
        taken = ", ".join(map(str, _rates_of(asked))) or "none that was tried"
        return DeviceError(f"{names} refused {asked.sample_rate} Hz: rates taken are {taken}; use one as sample_rate")
    if code == _CHANNELS:
        return DeviceError(
            f"{names} refused {asked.input_channels} channel(s) in and {asked.output_channels} out: "
            f"up to {asked.input.max_input_channels} in and {asked.output.max_output_channels} out are stated; "
            "use fewer"
        )
    if code == _BUSY:
        return DeviceError(f"{names} is in use or unplugged: close the program that uses it, or choose another device")
    text = " ".join(str(error.args[0] if error.args else error).split())
    return DeviceError(f"{names} cannot be opened ({text}): choose another device, rate or block length")


def _rates_of(asked: StreamFormat) -> list[int]:
    sounddevice = library()
    taken = []
    for rate in sorted(_RATES):
        try:
            sounddevice.check_input_settings(asked.input.index, asked.input_channels, "float32", samplerate=rate)
            sounddevice.check_output_settings(asked.output.index, asked.output_channels, "float32", samplerate=rate)
        except (sounddevice.PortAudioError, ValueError):
            continue
        taken.append(rate)
    return taken
