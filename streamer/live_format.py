"""What a live session asks of its devices: rate, channels, ring and outputs, from the wishes of its user."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from engine.errors import ConfigurationError, DeviceError, LifecycleError
from streamer.audio.callback_stream import CallbackStream
from streamer.audio.devices import Device, find_pair, list_devices, share_clock
from streamer.audio.feedback import check_feedback
from streamer.audio.portaudio import mixer_library
from streamer.audio.rtmixer_stream import RtmixerStream
from streamer.audio.stream import AudioStream, StreamFormat
from streamer.file_session import Clock
from streamer.operating_point import Host
from streamer.output_map import OutputMap

__all__ = ["Engine", "LiveWishes", "default_ring_blocks", "open_stream", "reopen_stream", "settle_format"]

Engine = Literal["auto", "rtmixer", "callback"]

_RING_S = 0.016
"""Longer than a thread that runs Python keeps the interpreter, and than a busy system mostly keeps a thread waiting."""
_MAX_RING_S = 1.0
_MANY_CHANNELS = 10**9
"""More than text can ask for."""
_CLOSE_S = 2.0


@dataclass(frozen=True)
class LiveWishes:
    """What a user says of devices; None leaves the choice to the session.

    Attributes
    ----------
    source, output : str, int or None
        As for ``find_pair``.
    sample_rate, ring_blocks : int or None
    block_frames : int
    outputs : OutputMap, str, sequence of str, or None
        What comes out where; text as for ``OutputMap.parse``.
    device_latency : {"low", "high"} or float
    engine : {"auto", "rtmixer", "callback"}
    """

    source: str | int
    output: str | int | None
    sample_rate: int | None
    block_frames: int
    ring_blocks: int | None
    outputs: OutputMap | str | Iterable[str] | None
    device_latency: Literal["low", "high"] | float
    engine: Engine

    def __post_init__(self) -> None:
        if self.engine not in ("auto", "rtmixer", "callback"):
            raise ConfigurationError(f"engine={self.engine!r} is not known: use auto, rtmixer or callback")


def settle_format(
    wishes: LiveWishes, heard: Device, played: Device, model_channels: int, stems: Sequence[str]
) -> tuple[StreamFormat, OutputMap]:
    """Settle what is asked of two devices.

    Parameters
    ----------
    wishes : LiveWishes
    heard, played : Device
    model_channels : int
        Of the model's input.
    stems : sequence of str
        What can be given to channels of its own.

    Raises
    ------
    ConfigurationError
        If a value is not allowed.
    DeviceError
        If the output has too few channels.
    """
    clock = heard if share_clock(heard, played) else played
    rate = clock.default_sample_rate if wishes.sample_rate is None else wishes.sample_rate
    channels = min(2, heard.max_input_channels, model_channels)
    block = wishes.block_frames
    Host(rate, channels, block, fixed_blocks=True, realtime=True)
    ring = default_ring_blocks(rate, block) if wishes.ring_blocks is None else wishes.ring_blocks
    most = max(2, math.floor(_MAX_RING_S * rate / block))
    if not isinstance(ring, int) or isinstance(ring, bool) or not 1 <= ring <= most:
        raise ConfigurationError(f"ring_blocks={ring!r} is not supported: give a whole number from 1 to {most}")
    outputs = _settle_outputs(wishes.outputs, played, stems)
    return (
        StreamFormat(heard, played, rate, channels, outputs.device_channels, block, ring, wishes.device_latency),
        outputs,
    )


def _settle_outputs(wish: OutputMap | str | Iterable[str] | None, played: Device, stems: Sequence[str]) -> OutputMap:
    most = played.max_output_channels
    if wish is None:
        # One channel goes to both loudspeakers.
        return OutputMap.of_mix(min(2, most))
    if isinstance(wish, OutputMap):
        return wish
    wanted = [wish] if isinstance(wish, str) else list(wish)
    try:
        asked = OutputMap.parse(wanted, stems=stems, device_channels=most)
    except ConfigurationError as refusal:
        try:
            highest = _highest(OutputMap.parse(wanted, stems=stems, device_channels=_MANY_CHANNELS))
        except ConfigurationError:
            raise refusal from None
        raise DeviceError(
            f"output device {played.name!r} has {most} channel(s), and channel {highest} was asked for: "
            "choose another device, or other channels"
        ) from refusal
    return OutputMap(_highest(asked), asked.mix, asked.stems)


def _highest(outputs: OutputMap) -> int:
    return max(number for numbers in (outputs.mix, *outputs.stems.values()) for number in numbers)


def default_ring_blocks(sample_rate: int, block_frames: int) -> int:
    """Give a depth of the ring that rides out what other threads do: 16 ms, and at least two blocks."""
    return max(2, math.ceil(_RING_S * sample_rate / block_frames))


def open_stream(asked: StreamFormat, engine: Engine = "auto", *, clock: Clock | None = None) -> AudioStream:
    """Open a stream: one where input and output share a clock, and two with a bridge between them where they do not.

    Its callback is C, or Python where rtmixer does not run.

    Raises
    ------
    DeviceError
        If a part is missing or a device refuses what is asked.
    """
    if not share_clock(asked.input, asked.output):
        return _open_two(asked, engine, clock)
    if engine == "callback":
        return CallbackStream(asked, clock=clock)
    try:
        mixer_library()
    except DeviceError:
        if engine == "rtmixer":
            raise
        return CallbackStream(asked, clock=clock)
    return RtmixerStream(asked, clock=clock)


def reopen_stream(
    wishes: LiveWishes, asked: StreamFormat, *, allow_feedback: bool, clock: Clock | None = None
) -> tuple[AudioStream, Device, Device]:
    """Look for the devices of a stream that was lost, and open and start another one on them.

    Raises
    ------
    DeviceError
        If they are not there, refuse, or would feed back.
    """
    try:
        devices = list_devices(refreshes=True)
    except LifecycleError:
        # Another session holds PortAudio; what it lists is all there is to choose from.
        devices = list_devices()
    heard, played = find_pair(devices, wishes.source, wishes.output)
    # Where headphones went away, another default can be what the input hears.
    check_feedback(heard, played, allowed=allow_feedback)
    stream = open_stream(replace(asked, input=heard, output=played), wishes.engine, clock=clock)
    try:
        stream.start()
    except DeviceError:
        stream.close(_CLOSE_S)
        raise
    return stream, heard, played


def _open_two(asked: StreamFormat, engine: Engine, clock: Clock | None) -> AudioStream:
    from streamer.audio.loopback import open_capture
    from streamer.audio.two_clock_stream import open_two_clock_stream

    capture = None
    if asked.input.backend != "portaudio":
        capture = open_capture(
            asked.input,
            sample_rate=asked.sample_rate,
            channels=asked.input_channels,
            block_frames=asked.block_frames,
            clock=clock,
        )
    try:
        return open_two_clock_stream(asked, capture, engine, clock=clock)
    except BaseException:
        if capture is not None:
            capture.close(_CLOSE_S)
        raise
