"""Audio devices: what there is, and which one is meant by a name, a number or ``loopback``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from engine.errors import DeviceError
from streamer.audio.portaudio import library, refresh

__all__ = ["Device", "find_device", "find_pair", "find_source", "list_devices"]

Direction = Literal["input", "output"]

_MONITOR = re.compile(r"(?<![^\W_])monitor(?![^\W_])", re.IGNORECASE)
_CARD = re.compile(r"\(hw:(\d+)")


@dataclass(frozen=True)
class Device:
    """An audio device as PortAudio shows it.

    Attributes
    ----------
    index : int
        Its number in the list; another one after devices came or went.
    name, host_api : str
    max_input_channels, max_output_channels : int
        0 where it cannot record, or cannot play.
    default_sample_rate : int
        In Hz.
    low_input_latency_s, low_output_latency_s, high_input_latency_s, high_output_latency_s : float
        What its driver proposes for live use and for robust use.
    is_default_input, is_default_output : bool
    """

    index: int
    name: str
    host_api: str
    max_input_channels: int
    max_output_channels: int
    default_sample_rate: int
    low_input_latency_s: float = 0.0
    low_output_latency_s: float = 0.0
    high_input_latency_s: float = 0.0
    high_output_latency_s: float = 0.0
    is_default_input: bool = False
    is_default_output: bool = False

    @property
    def is_monitor(self) -> bool:
        """Whether it gives what is played to a sink, as PulseAudio and PipeWire name such sources."""
        return self.max_input_channels > 0 and _MONITOR.search(self.name) is not None

    def max_channels(self, direction: Direction) -> int:
        """Give the most channels that it records or plays."""
        return self.max_input_channels if direction == "input" else self.max_output_channels

    def is_default(self, direction: Direction) -> bool:
        """Whether the system proposes it."""
        return self.is_default_input if direction == "input" else self.is_default_output

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.index} {self.name} ({self.host_api}, {self.max_input_channels} in, {self.max_output_channels} out)"
        )


def list_devices(*, refreshes: bool = False) -> tuple[Device, ...]:
    """Give the devices that PortAudio knows, in its order; any thread.

    Parameters
    ----------
    refreshes : bool
        Look anew; otherwise what was there when PortAudio started, or was refreshed last.

    Raises
    ------
    DeviceError
        If PortAudio or sounddevice is missing.
    LifecycleError
        If ``refreshes`` while a stream is open.
    """
    sounddevice = library()
    if refreshes:
        refresh()
    hosts = sounddevice.query_hostapis()
    default_input, default_output = sounddevice.default.device
    found = sounddevice.query_devices()
    # Where the system names no default, or one that is gone, none is marked.
    defaults = [_default(hosts, default_input, "input"), _default(hosts, default_output, "output")]
    return tuple(_device(entry, hosts, defaults) for entry in found)


def find_device(devices: Sequence[Device], wish: str | int | None, direction: Direction) -> Device:
    """Find the device that is meant.

    Parameters
    ----------
    devices : sequence of Device
    wish : str, int or None
        A part of the name, in upper or lower case, where the whole name wins; ``name, host API`` to tell devices of
        one name apart; a number of the list, also as text; None for the system's default.
    direction : {"input", "output"}
        Only devices that record, or only those that play, are meant.

    Raises
    ------
    DeviceError
        If there is none, or more than one; the message lists them.
    """
    fitting = [device for device in devices if device.max_channels(direction) > 0]
    if not fitting:
        raise DeviceError(
            f"there is no {direction} device: plug one in or start the sound server, and look for devices again"
        )
    if wish is None:
        return _default_of(fitting, direction)
    if isinstance(wish, int) or wish.isdecimal():
        numbered = [device for device in fitting if device.index == int(wish)]
        return _only(numbered, fitting, f"number {wish}", direction)
    plain = wish.casefold()
    exact = [d for d in fitting if plain in (d.name.casefold(), f"{d.name}, {d.host_api}".casefold())]
    partial = [d for d in fitting if plain in f"{d.name}, {d.host_api}".casefold()]
    return _only(exact or partial, fitting, repr(wish), direction)


def find_source(devices: Sequence[Device], source: str | int) -> Device:
    """Find the device that a session listens to.

    Parameters
    ----------
    devices : sequence of Device
    source : str or int
        ``mic``, ``mic:NAME``, ``mic:3`` or a number: an input. ``loopback`` or ``loopback:NAME``: what is played to a
        sink, by the monitor source that PulseAudio or PipeWire has for it.

    Raises
    ------
    DeviceError
        As `find_device` does, or if ``source`` is none of these.
    """
    if isinstance(source, int):
        return find_device(devices, source, "input")
    kind, colon, name = source.partition(":")
    if kind not in ("mic", "loopback") or (colon and not name):
        raise DeviceError(f"source {source!r} is not known: use mic, mic:NAME, mic:3, loopback or loopback:NAME")
    if kind == "mic":
        return find_device(devices, name or None, "input")
    monitors = [device for device in devices if device.is_monitor]
    if not monitors:
        raise DeviceError(
            "PortAudio shows no monitor of a sink here, so loopback has nothing to listen to: "
            "name the monitor source in an ALSA configuration, or use mic:NAME"
        )
    if name:
        return find_device(monitors, name, "input")
    return _only(monitors, monitors, "loopback", "input")


def find_pair(devices: Sequence[Device], source: str | int, output: str | int | None = None) -> tuple[Device, Device]:
    """Find the input and the output of a session; both have to run on one clock.

    Parameters
    ----------
    devices : sequence of Device
    source : str or int
        As for `find_source`.
    output : str, int or None
        As for `find_device`. None: the system's default where it runs on the input's clock, otherwise the input's own
        device.

    Raises
    ------
    DeviceError
        If one cannot be found, or if they are known to run on two clocks.
    """
    heard = find_source(devices, source)
    if output is None:
        proposed = [d for d in devices if d.is_default_output and d.max_output_channels]
        for device in (*proposed, *([heard] if heard.max_output_channels else [])):
            if _is_one_clock(heard, device):
                return heard, device
        raise DeviceError(f"no output was given, and the default does not go with {heard}: name an output of its kind")
    played = find_device(devices, output, "output")
    if not _is_one_clock(heard, played):
        raise DeviceError(
            f"input {heard} and output {played} run on two clocks, which is not supported: "
            f"choose both from {heard.host_api} and from one sound card"
        )
    return heard, played


def _is_one_clock(heard: Device, played: Device) -> bool:
    if heard.index == played.index:
        return True
    cards = {found[1] for device in (heard, played) if (found := _CARD.search(device.name))}
    return heard.host_api == played.host_api and len(cards) < 2


def _default_of(fitting: Sequence[Device], direction: Direction) -> Device:
    for device in fitting:
        if device.is_default(direction):
            return device
    return _only(fitting, fitting, "the default", direction)


def _only(found: Sequence[Device], fitting: Sequence[Device], wish: str, direction: Direction) -> Device:
    if len(found) == 1:
        return found[0]
    if not found:
        raise DeviceError(
            f"{direction} device {wish} was not found: there are {_listed(fitting)}; use one of these names or numbers"
        )
    raise DeviceError(
        f"{direction} device {wish} can be any of {_listed(found)}: give more of the name, or the number in front of it"
    )


def _listed(devices: Sequence[Device]) -> str:
    return "; ".join(str(device) for device in devices)


def _default(hosts: Sequence[dict[str, Any]], given: int, direction: Direction) -> int:
    """Give the index of the default device: what the user set, or the first host API's own; -1 for none."""
    if isinstance(given, int) and given >= 0:
        return given
    return next((int(h[f"default_{direction}_device"]) for h in hosts if h[f"default_{direction}_device"] >= 0), -1)


def _device(entry: dict[str, Any], hosts: Sequence[dict[str, Any]], defaults: Sequence[int]) -> Device:
    return Device(
        index=entry["index"],
        name=entry["name"],
        host_api=hosts[entry["hostapi"]]["name"],
        max_input_channels=entry["max_input_channels"],
        max_output_channels=entry["max_output_channels"],
        default_sample_rate=round(entry["default_samplerate"]),
        low_input_latency_s=entry["default_low_input_latency"],
        low_output_latency_s=entry["default_low_output_latency"],
        high_input_latency_s=entry["default_high_input_latency"],
        high_output_latency_s=entry["default_high_output_latency"],
        is_default_input=entry["index"] == defaults[0],
        is_default_output=entry["index"] == defaults[1],
    )
