"""``stemstream devices``: the sound devices of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import DeviceError
from streamer.cli.options import Debug, Json
from streamer.cli.terminal import print_json, print_note, print_result

if TYPE_CHECKING:
    from streamer.audio.device import Device

__all__ = ["devices"]


def devices(json: Json = False, debug: Debug = False) -> int:
    """List the sound devices with their numbers, names and channels, and what can be heard as loopback.

    A session takes a device by its number or by a part of its name, a loopback by loopback:NAME.
    """
    from streamer.audio.devices import list_devices, list_loopbacks

    found = list_devices()
    try:
        loopbacks = list_loopbacks(found)
    except DeviceError as error:
        loopbacks = ()
        print_note(str(error))
    # PortAudio's own monitors are among its devices: there they stay, with what is known of them.
    known = {device.index: device for device in (*found, *loopbacks)}
    every = list(known.values())
    if json:
        print_json({"devices": [{**device.as_dict(), "is_monitor": device.is_monitor} for device in every]})
        return 0
    if not found:
        print_note("no sound device was found: plug one in, or start the sound server")
    name = max((len(device.name) for device in every), default=0)
    host = max((len(device.host_api) for device in every), default=0)
    for device in every:
        channels = f"{device.max_input_channels:>3} in  {device.max_output_channels:>3} out"
        line = f"{device.index:>3}  {device.name:<{name}}  {device.host_api:<{host}}  {channels}"
        print_result(f"{line}  {device.default_sample_rate:>6} Hz  {_remark(device)}".rstrip())
    return 0


def _remark(device: Device) -> str:
    marks = {
        "default input": device.is_default_input,
        "default output": device.is_default_output,
        "default loopback": device.is_default_loopback,
        "loopback": device.is_monitor and not device.is_default_loopback,
    }
    return ", ".join(mark for mark, is_set in marks.items() if is_set)
