"""What the facts about sound on a machine mean: one finding each, with its remedy.

None is worse than a warning: who separates files needs no sound device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from engine.priority import PriorityReport
from streamer.audio.device import Device, Direction
from streamer.cli.findings import Finding

__all__ = [
    "AudioFacts",
    "GovernorFacts",
    "check_audio",
    "check_governor",
    "check_idle_threads",
    "check_interpreter",
    "check_priority",
]

_INSTALL = "run pip install 'stemstream[live]'"
_JACK = "JACK Audio Connection Kit"
_THROUGH_ALSA = frozenset({"ALSA", "OSS"})
# Drivers whose "powersave" follows the load; how eagerly, their preference says.
_ADAPTIVE_DRIVERS = ("intel_pstate", "amd-pstate-epp")
_THRIFTY = frozenset({"power", "balance_power"})
_PERFORM = "run 'powerprofilesctl set performance' or 'sudo cpupower frequency-set -g performance'"


@dataclass(frozen=True)
class AudioFacts:
    """What there is for live sound.

    Attributes
    ----------
    system : str
        As ``platform.system`` names it.
    missing : {"", "sounddevice", "PortAudio"}
        What is not there to look for devices with.
    error : str
        What went wrong with it.
    portaudio : str
        Its version; empty if it did not start.
    callback_error : str
        Why rtmixer does not run; empty if it does.
    hosts : tuple of str
        Host APIs of this PortAudio that work here.
    devices : tuple of Device
    cards : {"seen", "refused", "absent"}
        Sound cards of Linux: whether there are any, and whether this user may open them.
    is_container : bool
    has_pulse_server : bool
        Whether PulseAudio, or PipeWire in its place, can be reached.
    has_pulse_plugin : bool
        Whether ALSA can lead to it.
    loopbacks : tuple of str
        Names of the devices that give what the computer plays.
    loopback_error : str
        Why there are none.
    has_loopback_package : bool
        Whether the package that gives loopback on this system is installed.
    """

    system: str = "Linux"
    missing: Literal["", "sounddevice", "PortAudio"] = ""
    error: str = ""
    portaudio: str = ""
    callback_error: str = ""
    hosts: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    cards: Literal["seen", "refused", "absent"] = "seen"
    is_container: bool = False
    has_pulse_server: bool = False
    has_pulse_plugin: bool = False
    loopbacks: tuple[str, ...] = ()
    loopback_error: str = ""
    has_loopback_package: bool = False


@dataclass(frozen=True)
class GovernorFacts:
    """How the processor's clock is governed, over all cores; empty where the system does not tell.

    Attributes
    ----------
    driver : str
    governors, preferences : frozenset of str
        ``powersave``, ``schedutil`` and so on; ``balance_power`` and so on, where the driver has preferences.
    """

    driver: str = ""
    governors: frozenset[str] = frozenset()
    preferences: frozenset[str] = frozenset()


def check_audio(facts: AudioFacts) -> list[Finding]:
    """Judge everything about devices; without PortAudio, only that it is missing."""
    library = _check_portaudio(facts)
    if facts.missing or not facts.portaudio:
        return [library]
    return [
        library,
        _check_callback(facts),
        _check_hosts(facts),
        *(
            (_check_direction(facts, "input"), _check_direction(facts, "output"))
            if facts.devices
            else (_check_devices(facts),)
        ),
        _check_loopback(facts),
    ]


def _check_portaudio(facts: AudioFacts) -> Finding:
    if facts.missing == "sounddevice":
        return Finding("portaudio", "warn", "the package sounddevice is not installed: no live sound", _INSTALL)
    if facts.missing == "PortAudio":
        remedy = "run apt install libportaudio2" if facts.system == "Linux" else "run pip install -U sounddevice"
        return Finding("portaudio", "warn", "the library PortAudio was not found: no live sound", remedy)
    if not facts.portaudio:
        return Finding(
            "portaudio",
            "warn",
            f"does not start ({facts.error}): no live sound",
            "restart the sound server, or log in again, and look once more",
        )
    return Finding("portaudio", "ok", facts.portaudio)


def _check_callback(facts: AudioFacts) -> Finding:
    if facts.callback_error:
        return Finding(
            "sound callback",
            "warn",
            f"in Python, since rtmixer does not run ({facts.callback_error}): busy threads can cost sound",
            "run pip install --only-binary rtmixer rtmixer",
        )
    return Finding("sound callback", "ok", "in C, by rtmixer")


def _check_hosts(facts: AudioFacts) -> Finding:
    if not facts.hosts:
        return Finding("sound hosts", "warn", "PortAudio has no host API here", "install PortAudio again")
    counts = [(host, sum(device.host_api == host for device in facts.devices)) for host in facts.hosts]
    message = ", ".join(f"{host} ({count})" for host, count in counts)
    if facts.system == "Linux":
        if _JACK not in facts.hosts:
            message += "; no JACK server runs"
        if facts.has_pulse_server and not facts.has_pulse_plugin and set(facts.hosts) <= _THROUGH_ALSA | {_JACK}:
            return Finding(
                "sound hosts",
                "warn",
                f"{message}; PulseAudio or PipeWire runs, and nothing leads from ALSA to it",
                "run apt install libasound2-plugins",
            )
    return Finding("sound hosts", "ok", message)


def _check_devices(facts: AudioFacts) -> Finding:
    message = "no sound device was found"
    if facts.system != "Linux":
        remedy = "plug one in, and allow this program the microphone in the system's privacy settings"
        return Finding("sound devices", "warn", message, remedy)
    if facts.has_pulse_server and not facts.has_pulse_plugin:
        return Finding("sound devices", "warn", message, "run apt install libasound2-plugins")
    if facts.cards == "refused":
        return Finding(
            "sound devices",
            "warn",
            f"{message}: this user may not open those in /dev/snd",
            "run 'sudo usermod -aG audio $USER' and log in again",
        )
    if facts.cards == "absent" and facts.is_container:
        return Finding(
            "sound devices",
            "warn",
            f"{message}: this container has no /dev/snd",
            "start it with --device /dev/snd, or share the sound server's socket and name it in PULSE_SERVER",
        )
    return Finding(
        "sound devices",
        "warn",
        message,
        "plug in a sound card, or start a sound server: "
        "'systemctl --user start pipewire pipewire-pulse', 'pulseaudio --start' or jackd",
    )


def _check_direction(facts: AudioFacts, direction: Direction) -> Finding:
    able = [device for device in facts.devices if device.max_channels(direction)]
    proposed = [device.name for device in able if device.is_default(direction)]
    does, way = ("records", "as mic:NAME") if direction == "input" else ("plays", "with --output NAME")
    topic = f"sound {direction}"
    if not able:
        part = "a microphone" if direction == "input" else "loudspeakers"
        return Finding(
            topic, "warn", f"no device {does}", f"plug in {part}, or switch the card's profile in the sound settings"
        )
    if not proposed:
        return Finding(
            topic,
            "warn",
            f"{len(able)} to choose from, none is the default",
            f"name one {way}, from what 'stemstream devices' lists, or set the system's default",
        )
    return Finding(topic, "ok", f"{proposed[0]}, and {len(able) - 1} more")


def _check_loopback(facts: AudioFacts) -> Finding:
    if facts.loopbacks:
        return Finding("loopback", "ok", ", ".join(facts.loopbacks))
    message = "what other programs play cannot be heard"
    if facts.system == "Linux" and not facts.has_pulse_server:
        return Finding(
            "loopback",
            "warn",
            f"{message}: neither PulseAudio nor PipeWire runs",
            "run 'systemctl --user start pipewire pipewire-pulse' or 'pulseaudio --start'; with JACK connect the ports",
        )
    if not facts.has_loopback_package:
        remedy = "run pip install 'stemstream[loopback]'"
        if facts.system == "Linux":
            remedy += (
                ", or name the monitor of a sink in ~/.asoundrc: "
                'pcm.headphones_monitor { type pulse device "NAME_OF_THE_SINK.monitor" }'
            )
        return Finding("loopback", "warn", message, remedy)
    return Finding(
        "loopback",
        "warn",
        f"{message} ({facts.loopback_error or 'there is no output'})",
        "switch an output on in the sound settings, or restart the sound server",
    )


def check_priority(report: PriorityReport) -> Finding:
    """Judge what a thread got that asked for real-time priority."""
    if report.granted:
        return Finding("priority", "ok", f"real-time is granted: {report.policy}")
    return Finding(
        "priority",
        "warn",
        f"{report.policy} instead of {report.wanted} ({report.reason}): live sound will stutter beside other programs",
        report.remedy,
    )


def check_governor(facts: GovernorFacts) -> Finding:
    """Judge whether the processor's clock is held down."""
    if not facts.governors:
        return Finding("cpu clock", "ok", "the system does not say how it is governed")
    message = f"{', '.join(sorted(facts.governors))} of {facts.driver or 'an unknown driver'}"
    thrifty = sorted(facts.preferences & _THRIFTY)
    if thrifty:
        return Finding(
            "cpu clock", "warn", f"{message}, which prefers {', '.join(thrifty)}: slow to speed up", _PERFORM
        )
    if "powersave" in facts.governors and facts.driver not in _ADAPTIVE_DRIVERS:
        return Finding("cpu clock", "warn", f"{message}: the lowest speed at all times", _PERFORM)
    return Finding("cpu clock", "ok", message)


def check_idle_threads(environ: Mapping[str, str]) -> Finding:
    """Judge whether the user's settings let a model's threads spin while they wait."""
    spinning = [f"{name}={value}" for name, value in environ.items() if _spins(name.upper(), value.strip().lower())]
    if spinning:
        names = " ".join(setting.partition("=")[0] for setting in spinning)
        return Finding(
            "idle threads",
            "warn",
            f"{', '.join(spinning)} keeps PyTorch's threads busy between windows, which live sound suffers from",
            f"run 'unset {names}' before live sound",
        )
    return Finding("idle threads", "ok", "they sleep")


def _spins(name: str, value: str) -> bool:
    if name == "OMP_WAIT_POLICY":
        return value == "active"
    if name == "KMP_LIBRARY":
        return value == "turnaround"
    if name in ("GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        return value.strip("0") != ""
    return False


def check_interpreter(is_free_threaded: bool) -> Finding:
    """Judge the build of Python."""
    if is_free_threaded:
        return Finding(
            "python build", "warn", "free-threaded, which is untested", "install the standard build of Python"
        )
    return Finding("python build", "ok", "standard")
