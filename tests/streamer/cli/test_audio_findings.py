"""What ``doctor`` makes of facts about sound: every finding, faked, with its remedy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.priority import PriorityReport
from streamer.audio.device import Device
from streamer.cli.audio_findings import (
    AudioFacts,
    GovernorFacts,
    check_audio,
    check_governor,
    check_idle_threads,
    check_interpreter,
    check_priority,
)
from streamer.cli.findings import Finding

MICROPHONE = Device(0, "Microphone", "ALSA", 2, 0, 48_000, is_default_input=True)
SPEAKERS = Device(1, "Speakers", "ALSA", 0, 2, 48_000, is_default_output=True)
WELL = AudioFacts(
    portaudio="PortAudio V19.7.0",
    hosts=("ALSA", "JACK Audio Connection Kit"),
    devices=(MICROPHONE, SPEAKERS),
    has_pulse_server=True,
    has_pulse_plugin=True,
    loopbacks=("Monitor of Speakers",),
    has_loopback_package=True,
)
SILENT = replace(WELL, devices=(), loopbacks=(), has_pulse_server=False)
DEAF = replace(WELL, loopbacks=())


def found(facts: AudioFacts, topic: str) -> Finding:
    (finding,) = (finding for finding in check_audio(facts) if finding.topic == topic)
    return finding


REFUSED = PriorityReport(
    "trial", "SCHED_FIFO 4", False, "SCHED_OTHER nice 0", "Operation not permitted", "put a line somewhere"
)


@pytest.mark.parametrize(
    ("finding", "message", "remedy"),
    [
        (
            found(replace(WELL, missing="sounddevice", portaudio=""), "portaudio"),
            "the package sounddevice is not installed",
            "pip install 'stemstream[live]'",
        ),
        (
            found(replace(WELL, missing="PortAudio", portaudio=""), "portaudio"),
            "the library PortAudio was not found",
            "apt install libportaudio2",
        ),
        (
            found(replace(WELL, missing="PortAudio", portaudio="", system="Darwin"), "portaudio"),
            "the library PortAudio was not found",
            "pip install -U sounddevice",
        ),
        (
            found(replace(WELL, portaudio="", error="Internal PortAudio error"), "portaudio"),
            "does not start (Internal PortAudio error)",
            "restart the sound server",
        ),
        (
            found(replace(WELL, callback_error="No module named 'rtmixer'"), "sound callback"),
            "in Python, since rtmixer does not run (No module named 'rtmixer')",
            "pip install --only-binary rtmixer rtmixer",
        ),
        (found(replace(WELL, hosts=()), "sound hosts"), "no host API", "install PortAudio again"),
        (
            found(replace(WELL, has_pulse_plugin=False), "sound hosts"),
            "nothing leads from ALSA to it",
            "apt install libasound2-plugins",
        ),
        (
            found(replace(SILENT, has_pulse_server=True, has_pulse_plugin=False), "sound devices"),
            "no sound device was found",
            "apt install libasound2-plugins",
        ),
        (
            found(replace(SILENT, cards="refused"), "sound devices"),
            "this user may not open those in /dev/snd",
            "sudo usermod -aG audio $USER",
        ),
        (
            found(replace(SILENT, cards="absent", is_container=True), "sound devices"),
            "this container has no /dev/snd",
            "--device /dev/snd",
        ),
        (
            found(replace(SILENT, cards="absent"), "sound devices"),
            "no sound device was found",
            "start a sound server: 'systemctl --user start pipewire pipewire-pulse'",
        ),
        (found(SILENT, "sound devices"), "no sound device was found", "'pulseaudio --start' or jackd"),
        (
            found(replace(SILENT, system="Darwin"), "sound devices"),
            "no sound device was found",
            "allow this program the microphone",
        ),
        (found(replace(WELL, devices=(SPEAKERS,)), "sound input"), "no device records", "plug in a microphone"),
        (found(replace(WELL, devices=(MICROPHONE,)), "sound output"), "no device plays", "plug in loudspeakers"),
        (
            found(replace(WELL, devices=(replace(MICROPHONE, is_default_input=False), SPEAKERS)), "sound input"),
            "1 to choose from, none is the default",
            "name one as mic:NAME, from what 'stemstream devices' lists",
        ),
        (
            found(replace(WELL, devices=(MICROPHONE, replace(SPEAKERS, is_default_output=False))), "sound output"),
            "1 to choose from, none is the default",
            "name one with --output NAME",
        ),
        (
            found(replace(DEAF, has_pulse_server=False), "loopback"),
            "neither PulseAudio nor PipeWire runs",
            "systemctl --user start pipewire pipewire-pulse",
        ),
        (
            found(replace(DEAF, has_loopback_package=False), "loopback"),
            "what other programs play cannot be heard",
            "pip install 'stemstream[loopback]', or name the monitor of a sink in ~/.asoundrc",
        ),
        (
            found(replace(DEAF, system="Windows", has_loopback_package=False), "loopback"),
            "what other programs play cannot be heard",
            "pip install 'stemstream[loopback]'",
        ),
        (
            found(replace(DEAF, loopback_error="the server refused"), "loopback"),
            "what other programs play cannot be heard (the server refused)",
            "switch an output on",
        ),
        (
            check_priority(REFUSED),
            "SCHED_OTHER nice 0 instead of SCHED_FIFO 4 (Operation not permitted)",
            "put a line somewhere",
        ),
        (
            check_governor(GovernorFacts("acpi-cpufreq", frozenset({"powersave"}))),
            "powersave of acpi-cpufreq: the lowest speed at all times",
            "sudo cpupower frequency-set -g performance",
        ),
        (
            check_governor(GovernorFacts("intel_pstate", frozenset({"powersave"}), frozenset({"balance_power"}))),
            "powersave of intel_pstate, which prefers balance_power",
            "powerprofilesctl set performance",
        ),
        (
            check_idle_threads({"OMP_WAIT_POLICY": "active", "KMP_BLOCKTIME": "200"}),
            "OMP_WAIT_POLICY=active, KMP_BLOCKTIME=200 keeps PyTorch's threads busy",
            "'unset OMP_WAIT_POLICY KMP_BLOCKTIME'",
        ),
        (check_idle_threads({"GOMP_SPINCOUNT": "infinite"}), "GOMP_SPINCOUNT=infinite", "'unset GOMP_SPINCOUNT'"),
        (check_idle_threads({"KMP_LIBRARY": "turnaround"}), "KMP_LIBRARY=turnaround", "'unset KMP_LIBRARY'"),
        (check_interpreter(True), "free-threaded, which is untested", "standard build of Python"),
    ],
)
def test_what_live_sound_lacks_is_a_warning_with_a_remedy(finding: Finding, message: str, remedy: str) -> None:
    assert finding.status == "warn"
    assert message in finding.message
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    "finding",
    [
        *check_audio(WELL),
        check_priority(PriorityReport("trial", "SCHED_FIFO 4", True, "SCHED_FIFO 4")),
        check_governor(GovernorFacts()),
        check_governor(GovernorFacts("acpi-cpufreq", frozenset({"schedutil"}))),
        check_governor(GovernorFacts("amd-pstate-epp", frozenset({"powersave"}), frozenset({"balance_performance"}))),
        check_idle_threads({}),
        check_idle_threads({"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0", "GOMP_SPINCOUNT": "0"}),
        check_interpreter(False),
    ],
)
def test_what_is_well_needs_no_remedy(finding: Finding) -> None:
    assert (finding.status, finding.remedy) == ("ok", "")
    assert finding.message


def test_without_portaudio_only_that_is_told() -> None:
    lacking = replace(WELL, missing="PortAudio", portaudio="")
    assert [finding.topic for finding in check_audio(lacking)] == ["portaudio"]


def test_hosts_are_told_with_the_number_of_their_devices() -> None:
    assert found(WELL, "sound hosts").message == "ALSA (2), JACK Audio Connection Kit (0)"
    assert found(replace(WELL, hosts=("ALSA",)), "sound hosts").message == "ALSA (2); no JACK server runs"
    assert found(replace(WELL, hosts=("Core Audio",), system="Darwin"), "sound hosts").message == "Core Audio (0)"


def test_the_default_devices_and_the_loopbacks_are_named() -> None:
    assert found(WELL, "sound input").message == "Microphone, and 0 more"
    assert found(WELL, "sound output").message == "Speakers, and 0 more"
    assert found(WELL, "loopback").message == "Monitor of Speakers"
