"""Audio devices: what there is, and which one is meant by a name, a number or ``loopback``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from engine.errors import DeviceError
from streamer.audio.device import Device, Direction
from streamer.audio.loopback import list_loopbacks
from streamer.audio.portaudio import library, listing, refresh

__all__ = ["Device", "find_device", "find_pair", "find_source", "list_devices", "list_loopbacks", "share_clock"]

_CARD = re.compile(r"\(hw:(\d+)")


def list_devices(*, refreshes: bool = False) -> tuple[Device, ...]:
    """Give the devices that PortAudio knows, in its order; any thread.

    Parameters
    ----------
    refreshes : bool
        Look anew; otherwise what was there when PortAudio started, or was refreshed last.

    Raises
    ------
    DeviceError
        If PortAudio or sounddevice is missing; DeviceLostError if it hangs.
    LifecycleError
        If ``refreshes`` while a stream is open.
    """
    sounddevice = library()
    if refreshes:
        refresh()
    with listing():
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
    exact = [device for device in fitting if plain in _names(device)]
    partial = [device for device in fitting if any(plain in name for name in _names(device))]
    return _only(exact or partial, fitting, repr(wish), direction)


def find_source(devices: Sequence[Device], source: str | int) -> Device:
    """Find the device that a session listens to.

    Parameters
    ----------
    devices : sequence of Device
    source : str or int
        ``mic``, ``mic:NAME``, ``mic:3`` or a number: an input. ``loopback``, ``loopback:NAME`` or ``loopback:3``: what
        the computer plays, by one of ``list_loopbacks``. Without a name that of the default output; a name is looked
        for among PortAudio's own monitors first, since these can run on the clock of the output.

    Raises
    ------
    DeviceError
        As `find_device` and ``list_loopbacks`` do, or if ``source`` is none of these.
    """
    if isinstance(source, int):
        return find_device(devices, source, "input")
    kind, colon, name = source.partition(":")
    if kind not in ("mic", "loopback") or (colon and not name):
        raise DeviceError(f"source {source!r} is not known: use mic, mic:NAME, mic:3, loopback or loopback:NAME")
    if kind == "mic":
        return find_device(devices, name or None, "input")
    loopbacks = list_loopbacks(devices)
    if not name:
        of_default = [device for device in loopbacks if device.is_default_loopback]
        return _only(of_default[:1] or loopbacks, loopbacks, "loopback", "input")
    try:
        return find_device([device for device in loopbacks if device.backend == "portaudio"], name, "input")
    except DeviceError:
        return find_device(loopbacks, name, "input")


def find_pair(devices: Sequence[Device], source: str | int, output: str | int | None = None) -> tuple[Device, Device]:
    """Find the input and the output of a session; `share_clock` tells whether they run on one clock.

    Parameters
    ----------
    devices : sequence of Device
    source : str or int
        As for `find_source`.
    output : str, int or None
        As for `find_device`. None: the system's default where it runs on the input's clock, then the input's own
        device, then the default on a clock of its own.

    Raises
    ------
    DeviceError
        If one cannot be found.
    """
    heard = find_source(devices, source)
    if output is not None:
        return heard, find_device(devices, output, "output")
    own = [heard] if heard.max_output_channels else []
    default = [device for device in devices if device.is_default_output and device.max_output_channels]
    for played in (*default, *own):
        if share_clock(heard, played):
            return heard, played
    return heard, find_device(devices, None, "output")


def share_clock(heard: Device, played: Device) -> bool:
    """Whether an input and an output can be one stream: devices of one host API, and not of two sound cards.

    What does not come through PortAudio never shares a clock with what does.
    """
    if (heard.backend, played.backend) != ("portaudio", "portaudio"):
        return False
    if heard.index == played.index:
        return True
    cards = {found[1] for device in (heard, played) if (found := _CARD.search(device.name))}
    return heard.host_api == played.host_api and len(cards) < 2


def _names(device: Device) -> list[str]:
    names = (device.name, f"{device.name}, {device.host_api}", device.key)
    return [name.casefold() for name in names if name]


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
