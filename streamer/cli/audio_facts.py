"""The facts about sound on this machine that ``doctor`` judges."""

from __future__ import annotations

import os
import platform
import sysconfig
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from engine.errors import DeviceError
from engine.machine import package_version
from engine.priority import PUMP_LEVEL, PriorityReport, is_container, raise_priority
from streamer.audio.device import Device
from streamer.audio.devices import list_devices, list_loopbacks
from streamer.audio.portaudio import library, mixer_library
from streamer.cli.audio_findings import AudioFacts, GovernorFacts

__all__ = [
    "audio_facts",
    "governor_facts",
    "has_pulse_plugin",
    "has_pulse_server",
    "is_free_threaded",
    "priority_facts",
    "sound_cards",
]

_LOOPBACK_PACKAGES = {"Linux": "SoundCard", "Windows": "PyAudioWPatch", "Darwin": "catap"}
_CARDS, _CPUS = Path("/dev/snd"), Path("/sys/devices/system/cpu")
_LIBRARIES = (Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib"))
_PLUGINS = ("libasound_module_pcm_pulse.so", "libasound_module_pcm_pipewire.so")


def audio_facts() -> AudioFacts:
    """Look for what live sound needs. Opens no device and starts no server."""
    missing: Literal["", "sounddevice", "PortAudio"] = ""
    error = portaudio = callback_error = ""
    hosts: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    try:
        portaudio, hosts, devices = _ask_portaudio(library())
        mixer_library()
    except DeviceError as refusal:
        if portaudio:
            callback_error = _in_a_line(refusal.__cause__ or refusal)
        else:
            missing = "sounddevice" if isinstance(refusal.__cause__, ImportError) else "PortAudio"
            error = _in_a_line(refusal)
    except Exception as refusal:  # PortAudio's own class of errors cannot be named where its import is what fails
        error = _in_a_line(refusal)
    loopbacks, loopback_error = _ask_loopback(devices)
    system = platform.system()
    return AudioFacts(
        system=system,
        missing=missing,
        error=error,
        portaudio=portaudio,
        callback_error=callback_error,
        hosts=hosts,
        devices=devices,
        cards=sound_cards(_CARDS),
        is_container=is_container(),
        has_pulse_server=has_pulse_server(os.environ),
        has_pulse_plugin=has_pulse_plugin(_LIBRARIES),
        loopbacks=loopbacks,
        loopback_error=loopback_error,
        has_loopback_package=_is_installed(_LOOPBACK_PACKAGES.get(system, "")),
    )


def _ask_loopback(devices: tuple[Device, ...]) -> tuple[tuple[str, ...], str]:
    try:
        return tuple(device.name for device in list_loopbacks(devices)), ""
    except DeviceError as refusal:
        return (), _in_a_line(refusal)


def _ask_portaudio(sounddevice: Any) -> tuple[str, tuple[str, ...], tuple[Device, ...]]:
    _, text = sounddevice.get_portaudio_version()
    # "PortAudio V19.6.0-devel, revision 396fe4b6699ae929d3a685b3ef8a7e97396139a4": the revision says nothing to a user.
    named = text.partition(", revision")[0].strip()
    return named, tuple(host["name"] for host in sounddevice.query_hostapis()), list_devices()


def sound_cards(folder: Path) -> Literal["seen", "refused", "absent"]:
    """Tell whether Linux has sound cards, and whether this user may open them."""
    # Every card has a control; the sequencer and the timer are there without one.
    cards = list(folder.glob("controlC*")) if folder.is_dir() else []
    if not cards:
        return "absent"
    return "seen" if any(os.access(card, os.R_OK | os.W_OK) for card in cards) else "refused"


def has_pulse_server(environ: Mapping[str, str]) -> bool:
    """Tell whether PulseAudio, or PipeWire in its place, is named in the environment or has its socket in place."""
    if environ.get("PULSE_SERVER"):
        return True
    folder = environ.get("PULSE_RUNTIME_PATH") or (environ.get("XDG_RUNTIME_DIR", "/nonexistent") + "/pulse")
    return Path(folder, "native").exists()


def has_pulse_plugin(folders: Iterable[Path]) -> bool:
    """Tell whether ALSA has a way to PulseAudio or PipeWire."""
    places = [folder for root in folders for folder in (root / "alsa-lib", *root.glob("*/alsa-lib"))]
    return any((place / name).exists() for place in places for name in _PLUGINS)


def priority_facts() -> PriorityReport:
    """Let a thread that ends at once ask for what the pump of a live session asks for."""
    reports: list[PriorityReport] = []
    thread = threading.Thread(target=lambda: reports.append(raise_priority("trial", PUMP_LEVEL)))
    thread.start()
    thread.join()
    return reports[0]


def governor_facts(folder: Path = _CPUS) -> GovernorFacts:
    """Read how the clocks of the cores are governed."""
    return GovernorFacts(
        driver=next(iter(sorted(_values(folder, "scaling_driver"))), ""),
        governors=_values(folder, "scaling_governor"),
        preferences=_values(folder, "energy_performance_preference"),
    )


def is_free_threaded() -> bool:
    """Tell whether this Python was built to run without its global lock."""
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def _values(folder: Path, name: str) -> frozenset[str]:
    found = set()
    for path in folder.glob(f"cpu[0-9]*/cpufreq/{name}"):
        try:
            found.add(path.read_text().strip())
        except OSError:
            continue
    return frozenset(found)


def _is_installed(name: str) -> bool:
    return bool(name and package_version(name))


def _in_a_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
