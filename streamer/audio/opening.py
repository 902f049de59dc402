"""Opening a stream, and what a driver's refusal means in words that help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.errors import DeviceError
from streamer.audio.device import Device
from streamer.audio.portaudio import library, stream_closed, stream_opened
from streamer.audio.stream import StreamFormat

__all__ = ["OneWay", "opened", "started"]

_RATES = (44_100, 48_000, 88_200, 96_000, 176_400, 192_000, 32_000, 22_050, 16_000, 8_000)
# PortAudio's numbers: paInvalidSampleRate, paInvalidChannelCount, paDeviceUnavailable.
_RATE, _CHANNELS, _BUSY = -9997, -9998, -9985
# A server's callback brings its own period; asking for another one costs a period, and longer ones are not served.
_HOSTS_WITH_ONE_PERIOD = ("JACK Audio Connection Kit",)
_SHORT = {"input": "in", "output": "out"}


@dataclass(frozen=True)
class OneWay:
    """What is asked of one direction of a device, in a stream of its own or together with another one.

    Attributes
    ----------
    direction : {"input", "output"}
    device : Device
    sample_rate : int
        In Hz.
    channels : int
    block_frames : int
    latency : {"low", "high"} or float
        What is asked of the driver, in seconds where it is a number.
    """

    direction: Literal["input", "output"]
    device: Device
    sample_rate: int
    channels: int
    block_frames: int
    latency: Literal["low", "high"] | float = "low"


def opened(asked: StreamFormat | OneWay, make: Callable[..., Any], **options: Any) -> Any:
    """Open a stream.

    Parameters
    ----------
    asked : StreamFormat or OneWay
        Both directions, or one.
    make : callable
        Takes the keyword arguments of ``sounddevice.Stream``; of ``InputStream`` or ``OutputStream`` for one direction.
    **options
        More of them.

    Raises
    ------
    DeviceError
        If the device refuses; the message says what it takes.
    """
    sounddevice = library()
    ways = _ways(asked)
    for way in ways:
        _check_channels(way)
    first = ways[0]
    has_period = first.device.host_api in _HOSTS_WITH_ONE_PERIOD
    indices, channels = tuple(way.device.index for way in ways), tuple(way.channels for way in ways)
    # Counted before it is there, so that PortAudio is not started again under it meanwhile.
    stream_opened()
    try:
        return make(
            device=indices if len(ways) > 1 else indices[0],
            channels=channels if len(ways) > 1 else channels[0],
            samplerate=first.sample_rate,
            blocksize=0 if has_period else first.block_frames,
            latency=first.latency,
            **options,
        )
    except BaseException as error:
        try:
            if isinstance(error, sounddevice.PortAudioError):
                raise _refusal(ways, error) from error
            raise
        finally:
            stream_closed()


def started(asked: StreamFormat | OneWay, stream: Any) -> None:
    """Start a stream; raises as `opened` does."""
    try:
        stream.start()
    except library().PortAudioError as error:
        raise _refusal(_ways(asked), error) from error


def _ways(asked: StreamFormat | OneWay) -> tuple[OneWay, ...]:
    if isinstance(asked, OneWay):
        return (asked,)
    rest = (asked.block_frames, asked.device_latency)
    return (
        OneWay("input", asked.input, asked.sample_rate, asked.input_channels, *rest),
        OneWay("output", asked.output, asked.sample_rate, asked.output_channels, *rest),
    )


def _check_channels(way: OneWay) -> None:
    most = way.device.max_channels(way.direction)
    if way.channels > most:
        raise DeviceError(
            f"{way.direction} device {way.device.name!r} has {most} channel(s), {way.channels} are needed: "
            "choose another device, or fewer channels"
        )


def _refusal(ways: Sequence[OneWay], error: Exception) -> DeviceError:
    code = error.args[1] if len(error.args) > 1 else None
    names = " and ".join(dict.fromkeys(f"{way.device.name!r}" for way in ways))
    if code == _RATE:
        taken = ", ".join(map(str, _rates_of(ways))) or "none that was tried"
        return DeviceError(f"{names} refused {ways[0].sample_rate} Hz: rates taken are {taken}; use one as sample_rate")
    if code == _CHANNELS:
        wanted = " and ".join(f"{way.channels} {_SHORT[way.direction]}" for way in ways)
        stated = " and ".join(f"{way.device.max_channels(way.direction)} {_SHORT[way.direction]}" for way in ways)
        # The unit stands after the first number.
        wanted = wanted.replace(" ", " channel(s) ", 1)
        return DeviceError(f"{names} refused {wanted}: up to {stated} are stated; use fewer")
    if code == _BUSY:
        return DeviceError(f"{names} is in use or unplugged: close the program that uses it, or choose another device")
    text = " ".join(str(error.args[0] if error.args else error).split())
    return DeviceError(f"{names} cannot be opened ({text}): choose another device, rate or block length")


def _rates_of(ways: Sequence[OneWay]) -> list[int]:
    sounddevice = library()
    checks = {"input": sounddevice.check_input_settings, "output": sounddevice.check_output_settings}
    taken = []
    for rate in sorted(_RATES):
        try:
            for way in ways:
                checks[way.direction](way.device.index, way.channels, "float32", samplerate=rate)
        except (sounddevice.PortAudioError, ValueError):
            continue
        taken.append(rate)
    return taken
