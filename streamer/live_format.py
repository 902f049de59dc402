"""What a live session asks of its devices: rate, channels, ring and outputs, from the wishes of its user."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from engine.errors import ConfigurationError, DeviceError
from streamer.audio.callback_stream import CallbackStream
from streamer.audio.devices import Device, share_clock
from streamer.audio.portaudio import mixer_library
from streamer.audio.rtmixer_stream import RtmixerStream
from streamer.audio.stream import AudioStream, StreamFormat
from streamer.file_session import Clock
from streamer.operating_point import Host
from streamer.output_map import OutputMap

__all__ = ["Engine", "LiveWishes", "default_ring_blocks", "open_stream", "settle_format", "start_early", "start_late"]

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
        if not _is_name(self.source):
            raise ConfigurationError(
                f"source={self.source!r} is no input: give mic, mic:NAME, loopback, loopback:NAME, or a device's number"
            )
        if self.output is not None and not _is_name(self.output):
            raise ConfigurationError(
                f"output={self.output!r} is no output: give a device's name or number, or None for the default"
            )
        wish = self.device_latency
        is_number = isinstance(wish, int | float) and not isinstance(wish, bool)
        if wish not in ("low", "high") and not (is_number and 0 < float(wish) < math.inf):
            raise ConfigurationError(f"device_latency={wish!r} is not known: use low, high, or seconds above 0")
        if self.outputs is not None and not isinstance(self.outputs, OutputMap | str):
            parts = tuple(self.outputs) if isinstance(self.outputs, Iterable) else (self.outputs,)
            if not all(isinstance(part, str) for part in parts):
                raise ConfigurationError(
                    f"outputs={self.outputs!r} is no map of outputs: give text such as 'vocals=1,2 drums=3,4', "
                    "or an OutputMap"
                )
            # What can be read only once is read here.
            object.__setattr__(self, "outputs", parts)


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


def _is_name(wish: object) -> bool:
    return isinstance(wish, str | int) and not isinstance(wish, bool)


def default_ring_blocks(sample_rate: int, block_frames: int) -> int:
    """Give a depth of the ring that rides out what other threads do: 16 ms, and at least two blocks."""
    return max(2, math.ceil(_RING_S * sample_rate / block_frames))


def open_stream(
    asked: StreamFormat,
    engine: Engine = "auto",
    *,
    should_stop: Callable[[], bool] | None = None,
    clock: Clock | None = None,
) -> AudioStream:
    """Open a stream: one where input and output share a clock, and two with a bridge between them where they do not.

    Its callback is C, or Python where rtmixer does not run. ``should_stop`` ends a beginning that takes its time.

    Raises
    ------
    DeviceError
        If a part is missing or a device refuses what is asked.
    """
    if not share_clock(asked.input, asked.output):
        return _open_two(asked, engine, should_stop, clock)
    if engine == "callback":
        return CallbackStream(asked, clock=clock)
    try:
        mixer_library()
    except DeviceError:
        if engine == "rtmixer":
            raise
        return CallbackStream(asked, clock=clock)
    return RtmixerStream(asked, clock=clock)


@runtime_checkable
class _Aligned(Protocol):
    """A stream whose latency is known only once its devices run."""

    def rejoin(self) -> None:
        """Begin anew where the devices are now."""
        ...


def start_early(stream: AudioStream) -> None:
    """Start a stream whose latency shows only then, before anything is prepared that has to know it."""
    if isinstance(stream, _Aligned):
        stream.start()


def start_late(stream: AudioStream) -> None:
    """Start any other stream once all is prepared, so that its first frame is the session's; let go of what piled up.

    Raises
    ------
    DeviceError
        If the device refuses, or has gone meanwhile.
    """
    if isinstance(stream, _Aligned):
        stream.rejoin()
    else:
        stream.start()


def _open_two(
    asked: StreamFormat, engine: Engine, should_stop: Callable[[], bool] | None, clock: Clock | None
) -> AudioStream:
    from streamer.audio.loopback import open_capture
    from streamer.audio.two_devices import open_two_clock_stream

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
        return open_two_clock_stream(asked, capture, engine, should_stop=should_stop, clock=clock)
    except BaseException:
        if capture is not None:
            capture.close(_CLOSE_S)
        raise
