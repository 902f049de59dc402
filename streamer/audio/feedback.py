"""Whether what is played comes back to what is heard: which inputs and outputs do not go together.

A name is all that most systems tell of a device, so words decide:

- A loopback with the output that it hears is a loop, and so is one that hears all outputs, unless it leaves out what
  this program plays. Those that a system proposes, or that only pass sound on to it, count as its default output.
- A microphone with loudspeakers may howl. A microphone is an input that is called so, or is built in, or is the
  system's default; loudspeakers are outputs that are called so, or are built in, or in a display, or the default.
- What is worn on the head is neither. What leads to a socket (line, digital, USB, an interface) is neither unless it is
  called so: what is plugged in there is not known.
- JACK and virtual cables are patch bays: there is no microphone in them.
"""

from __future__ import annotations

import re

from engine.errors import DeviceError
from streamer.audio.device import Device

__all__ = ["check_feedback", "feedback_risk"]


def _words(*words: str) -> re.Pattern[str]:
    """Make a pattern that finds words that begin like these; names join words with underscores and dots too."""
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(words)})", re.IGNORECASE)


_PATCH_BAY = _words(
    "null", "dummy", "virtual", "loopback", "blackhole", "soundflower", "(?:vb.?)?cable", "voicemeeter", "jack audio"
)
_WORN = _words("head.?phone", "head.?set", "ear.?phone", "ear.?bud", "ear.?piece", "airpods", "buds", "hands.?free")
_SOCKET = _words("line(?![a-z])", "usb", "interface", "s.?pdif", "digital", "optical", "aux(?![a-z])", "iec958")
_BUILT_IN = _words("built.?in", "internal", "onboard", "analog", "hda(?![a-z])", "realtek", "macbook")
_MICROPHONE = _words("mics?(?![a-z])", "microphone", "webcam", "camera")
_LOUDSPEAKER = _words("speaker", "loudspeaker", "hdmi", "display", "tv(?![a-z])", "soundbar")
_EITHER = re.compile(r"speakers? ?/ ?headphones?|headphones? ?/ ?speakers?", re.IGNORECASE)
"""What Windows calls one output of a laptop with a socket."""
_DEFAULT_ROUTE = re.compile(
    r"default|sysdefault|pulse|pulseaudio|pipewire|microsoft sound mapper.*|primary sound (?:capture )?driver",
    re.IGNORECASE,
)
_MONITOR_OF = re.compile(r"^monitor of |[\W_]+monitor$", re.IGNORECASE)
_MME_NAME_LETTERS = 31
"""What Windows' oldest interface leaves of a name."""


def feedback_risk(heard: Device, played: Device) -> str:
    """Tell why what is played would be heard again; empty where nothing is known against it.

    Parameters
    ----------
    heard, played : Device
        Input and output of a session.

    Returns
    -------
    str
        One clause without a full stop.
    """
    if heard.is_monitor:
        if not heard.skips_own_sound and _hears(heard, played):
            return f"{heard.name!r} gives what is played to {played.name!r}, so the output goes back into the input"
        return ""
    if _is_microphone(heard) and _is_loudspeaker(played):
        return f"the microphone {heard.name!r} would hear the loudspeakers {played.name!r} and may howl"
    return ""


def check_feedback(heard: Device, played: Device, *, allowed: bool) -> None:
    """Refuse an input and an output that do not go together.

    Parameters
    ----------
    heard, played : Device
    allowed : bool
        Take them all the same.

    Raises
    ------
    DeviceError
        If there is a risk and it is not allowed; the message says what helps.
    """
    reason = "" if allowed else feedback_risk(heard, played)
    if not reason:
        return
    where = "where something else keeps them apart" if heard.is_monitor else "with headphones"
    raise DeviceError(
        f"{reason}: choose another output, or allow it with --allow-feedback (allow_feedback=True) {where}"
    )


def _hears(heard: Device, played: Device) -> bool:
    """Whether a loopback gives what this output plays."""
    sinks = {_plain(name) for name in (heard.sink, *_sinks_in(heard)) if name}
    if not sinks:
        return True
    output = _plain(played.name)
    if output in sinks or (len(played.name) == _MME_NAME_LETTERS and any(s.startswith(output) for s in sinks)):
        return True
    return heard.is_default_loopback and (played.is_default_output or _is_default_route(played.name))


def _sinks_in(heard: Device) -> list[str]:
    """Give the sinks that the names of a monitor speak of."""
    names = (heard.key, heard.name if heard.backend == "portaudio" else "")
    return [_MONITOR_OF.sub("", name) for name in names if name]


def _is_microphone(heard: Device) -> bool:
    name = heard.name
    if _is_patch_bay(heard) or _WORN.search(name):
        return False
    if _MICROPHONE.search(name):
        return True
    return not _SOCKET.search(name) and (_is_built_in(name) or heard.is_default_input)


def _is_loudspeaker(played: Device) -> bool:
    name = played.name
    if _is_patch_bay(played) or (_WORN.search(name) and not _EITHER.search(name)):
        return False
    if _LOUDSPEAKER.search(name):
        return True
    return not _SOCKET.search(name) and (_is_built_in(name) or played.is_default_output)


def _is_built_in(name: str) -> bool:
    return _BUILT_IN.search(name) is not None or _is_default_route(name)


def _is_default_route(name: str) -> bool:
    return _DEFAULT_ROUTE.fullmatch(name) is not None


def _is_patch_bay(device: Device) -> bool:
    return _PATCH_BAY.search(f"{device.name}, {device.host_api}") is not None or device.name.casefold() == "jack"


def _plain(name: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", name.casefold()).split())
