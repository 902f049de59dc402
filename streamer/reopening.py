"""Taking up again a device that was lost: the same one where it is there, another one only where that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine.errors import DeviceError, LifecycleError
from streamer.audio.device import Device, Direction
from streamer.audio.devices import find_pair, list_devices, list_loopbacks
from streamer.audio.feedback import check_feedback
from streamer.audio.stream import AudioStream, StreamFormat
from streamer.calibration import Calibration, CalibrationKey, load_calibration
from streamer.events import EventKind
from streamer.file_session import Clock
from streamer.live_format import LiveWishes, open_stream
from streamer.live_stats import LiveLatency

__all__ = ["Reopened", "reopen_stream"]

_CLOSE_S = 2.0


@dataclass(frozen=True)
class Reopened:
    """A stream that took the place of another one; it is started.

    Attributes
    ----------
    stream : AudioStream
    asked : StreamFormat
        With the devices that it is on now.
    calibration : Calibration or None
        What was measured for it.
    news : dict of EventKind to str
        Which device it is, and the latency where it is another one.
    """

    stream: AudioStream
    asked: StreamFormat
    calibration: Calibration | None
    news: dict[EventKind, str]


def reopen_stream(
    wishes: LiveWishes,
    asked: StreamFormat,
    before: LiveLatency,
    allow_feedback: bool,
    should_stop: Callable[[], bool] | None = None,
    clock: Clock | None = None,
) -> Reopened:
    """Look for the devices of a stream that was lost, and open and start another one on them.

    Parameters
    ----------
    wishes : LiveWishes
        Where a device is not there any more, it is looked for as at first: another default may do, and another device
        that only has its number may not.
    asked : StreamFormat
        Of the stream that was lost.
    before : LiveLatency
        With that stream.
    allow_feedback : bool
    should_stop, clock
        As for ``open_stream``.

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
    heard, played = _former(devices, asked.input, "input"), _former(devices, asked.output, "output")
    if heard is None or played is None:
        wanted = ((heard, asked.input, wishes.source), (played, asked.output, wishes.output))
        for found, lost, wish in wanted:
            if found is None and _is_number(wish):
                raise DeviceError(f"the device {lost.name!r} is not there: plug it in, or start its sound server")
        others = find_pair(devices, wishes.source, wishes.output)
        heard, played = heard or others[0], played or others[1]
    # Where headphones went away, another default can be what the input hears.
    check_feedback(heard, played, allowed=allow_feedback)
    former, asked = asked, replace(asked, input=heard, output=played)
    stream = open_stream(asked, wishes.engine, should_stop=should_stop, clock=clock)
    try:
        stream.start()
    except DeviceError:
        stream.close(_CLOSE_S)
        raise
    calibration = load_calibration(CalibrationKey.of(asked, stream.latency))
    after = LiveLatency.of(stream, asked, calibration, before.processor)
    return Reopened(stream, asked, calibration, _news(former, asked, before, after))


def _news(former: StreamFormat, asked: StreamFormat, before: LiveLatency, after: LiveLatency) -> dict[EventKind, str]:
    names, others = _names(asked), _names(former)
    news: dict[EventKind, str] = {
        "returned": f"the device {names} is back" if names == others else f"{names} was taken up in place of {others}"
    }
    if before.total_frames != after.total_frames:
        times = f"{1000 * before.total_s:.1f} ms became {1000 * after.total_s:.1f} ms"
        news["latency"] = f"the device's latency is another one than before: {times}"
    return news


def _former(devices: Sequence[Device], former: Device, direction: Direction) -> Device | None:
    """Find a device by its name and host API: numbers and defaults change when devices come and go."""
    known = devices if former.backend == "portaudio" else list_loopbacks(devices)
    called = (former.name, former.host_api, former.backend, former.key)
    same = [
        device
        for device in known
        if (device.name, device.host_api, device.backend, device.key) == called and device.max_channels(direction)
    ]
    # Of two that are called the same the one with the same number is more likely.
    same.sort(key=lambda device: device.index != former.index)
    return same[0] if same else None


def _is_number(wish: str | int | None) -> bool:
    return isinstance(wish, int) or (wish is not None and wish.rpartition(":")[2].isdecimal())


def _names(asked: StreamFormat) -> str:
    return " and ".join(dict.fromkeys(repr(device.name) for device in (asked.input, asked.output)))
