"""The loopbacks of this system: PortAudio's own monitors, and what the system's part for it gives."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace

from engine.errors import DeviceError
from streamer.audio.capture import Capture
from streamer.audio.device import Device
from streamer.audio.loopback.core_audio import TapCapture, list_taps
from streamer.audio.loopback.pulse import PulseCapture, list_monitors
from streamer.audio.loopback.wasapi import WasapiCapture, list_loopback_devices
from streamer.file_session import Clock

__all__ = ["list_loopbacks", "open_capture"]

_NO_WORD = re.compile(r"[\W_]+")
_LISTS = {"linux": list_monitors, "win32": list_loopback_devices, "darwin": list_taps}


def list_loopbacks(devices: Sequence[Device] = ()) -> tuple[Device, ...]:
    """Give the inputs that hear what the computer plays; any thread.

    Parameters
    ----------
    devices : sequence of Device
        What ``list_devices`` gives. PortAudio's monitors among them come first, and the numbers of the others go on
        after all of these.

    Raises
    ------
    DeviceError
        If there is none; the message says what to install, where something is missing.
    """
    monitors = [device for device in devices if device.is_monitor]
    first = 1 + max((device.index for device in devices), default=-1)
    try:
        others = _system_loopbacks(first)
    except DeviceError:
        if not monitors:
            raise
        others = ()
    found = (*_with_default(monitors, others), *others)
    if not found:
        raise DeviceError("nothing here plays sound, so loopback has nothing to listen to: plug in an output")
    return found


def open_capture(
    device: Device, *, sample_rate: int, channels: int, block_frames: int, clock: Clock | None = None
) -> Capture:
    """Open a loopback that does not come through PortAudio; not started yet.

    Parameters
    ----------
    device : Device
        Of `list_loopbacks`.
    sample_rate : int
        What is wished, in Hz. A PulseAudio or PipeWire server converts to it; the others have the rate of the output,
        which the capture tells.
    channels : int
        1 or 2; more of the device are mixed down.
    block_frames : int
        What comes at once, as far as the driver lets itself be told.
    clock : Clock, optional
        Left out: the machine's own.

    Raises
    ------
    DeviceError
        If the device refuses, or is one of PortAudio's.
    """
    if device.backend == "soundcard":
        return PulseCapture(device, sample_rate=sample_rate, channels=channels, block_frames=block_frames, clock=clock)
    if device.backend == "wasapi":
        return WasapiCapture(device, channels=channels, block_frames=block_frames, clock=clock)
    if device.backend == "catap":
        return TapCapture(device, channels=channels, clock=clock)
    raise DeviceError(f"{device} is opened by PortAudio: use a stream")


def _system_loopbacks(first_index: int) -> tuple[Device, ...]:
    listing = _LISTS.get(sys.platform)
    if listing is None:
        raise DeviceError(
            f"loopback is not supported on {sys.platform}: use it on Linux, Windows or macOS, or mic:NAME"
        )
    return listing(first_index)


def _with_default(monitors: Sequence[Device], others: Sequence[Device]) -> list[Device]:
    """Mark the one of PortAudio's monitors that is the same as the system's default."""
    defaults = {_plain(name) for device in others if device.is_default_loopback for name in (device.name, device.key)}
    return [
        replace(device, is_default_loopback=True) if _plain(device.name) in defaults else device for device in monitors
    ]


def _plain(name: str) -> str:
    return _NO_WORD.sub(" ", name.casefold())
