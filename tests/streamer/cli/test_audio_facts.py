"""The facts about sound that ``doctor`` gathers: on this machine, and on others that are faked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DeviceError
from engine.priority import PUMP_LEVEL
from streamer.audio.device import Device
from streamer.cli import audio_facts as gathering
from streamer.cli.audio_facts import (
    audio_facts,
    governor_facts,
    has_pulse_plugin,
    has_pulse_server,
    priority_facts,
    sound_cards,
)
from streamer.cli.audio_findings import GovernorFacts

MONITOR = Device(0, "Monitor of Speakers", "ALSA", 2, 0, 48_000)


class PortAudio:
    """The parts of sounddevice that are asked."""

    @staticmethod
    def get_portaudio_version() -> tuple[int, str]:
        return 1246720, "PortAudio V19.6.0-devel, revision 396fe4b6699ae929d3a685b3ef8a7e97396139a4"

    @staticmethod
    def query_hostapis() -> tuple[dict[str, Any], ...]:
        return ({"name": "ALSA"}, {"name": "OSS"})


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "library", PortAudio)
    monkeypatch.setattr(gathering, "mixer_library", lambda: None)
    monkeypatch.setattr(gathering, "list_devices", lambda: (MONITOR,))
    monkeypatch.setattr(gathering, "list_loopbacks", lambda devices: devices)


def failing(error: Exception, cause: Exception | None = None) -> Any:
    def fail(*arguments: object) -> None:
        raise error from cause

    return fail


@pytest.mark.usefixtures("portaudio")
def test_portaudio_tells_its_version_hosts_and_devices() -> None:
    facts = audio_facts()
    assert (facts.missing, facts.error, facts.callback_error) == ("", "", "")
    assert facts.portaudio == "PortAudio V19.6.0-devel"
    assert facts.hosts == ("ALSA", "OSS")
    assert (facts.devices, facts.loopbacks) == ((MONITOR,), ("Monitor of Speakers",))


@pytest.mark.usefixtures("portaudio")
@pytest.mark.parametrize(
    ("cause", "missing"), [(ImportError("no module"), "sounddevice"), (OSError("no library"), "PortAudio")]
)
def test_what_is_missing_is_told_apart(monkeypatch: pytest.MonkeyPatch, cause: Exception, missing: str) -> None:
    monkeypatch.setattr(gathering, "library", failing(DeviceError("missing"), cause))
    facts = audio_facts()
    assert (facts.missing, facts.portaudio) == (missing, "")


@pytest.mark.usefixtures("portaudio")
def test_a_portaudio_that_does_not_start_is_a_fact_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "library", failing(RuntimeError("Error initializing\nPortAudio")))
    facts = audio_facts()
    assert (facts.missing, facts.portaudio, facts.error) == ("", "", "Error initializing PortAudio")


@pytest.mark.usefixtures("portaudio")
def test_rtmixer_that_does_not_run_leaves_the_devices_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "mixer_library", failing(DeviceError("missing"), ImportError("no rtmixer")))
    facts = audio_facts()
    assert (facts.missing, facts.callback_error, facts.devices) == ("", "no rtmixer", (MONITOR,))


@pytest.mark.usefixtures("portaudio")
def test_a_loopback_that_is_refused_is_a_fact_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "list_loopbacks", failing(DeviceError("no server")))
    facts = audio_facts()
    assert (facts.loopbacks, facts.loopback_error) == ((), "no server")


def test_facts_of_this_machine_agree_with_each_other() -> None:
    facts = audio_facts()
    assert bool(facts.portaudio) != bool(facts.missing or facts.error)
    assert {device.host_api for device in facts.devices} <= set(facts.hosts)


def test_cards_are_absent_refused_or_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "snd"
    assert sound_cards(folder) == "absent"
    folder.mkdir()
    (folder / "timer").touch()
    assert sound_cards(folder) == "absent"
    (folder / "controlC0").touch()
    assert sound_cards(folder) == "seen"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert sound_cards(folder) == "refused"


def test_a_pulse_server_is_known_by_its_name_or_its_socket(tmp_path: Path) -> None:
    assert not has_pulse_server({})
    assert has_pulse_server({"PULSE_SERVER": "tcp:somewhere"})
    assert not has_pulse_server({"XDG_RUNTIME_DIR": str(tmp_path)})
    (tmp_path / "pulse").mkdir()
    (tmp_path / "pulse" / "native").touch()
    assert has_pulse_server({"XDG_RUNTIME_DIR": str(tmp_path)})
    assert has_pulse_server({"PULSE_RUNTIME_PATH": str(tmp_path / "pulse")})


@pytest.mark.parametrize("folder", ["alsa-lib", "x86_64-linux-gnu/alsa-lib"])
@pytest.mark.parametrize("name", ["libasound_module_pcm_pulse.so", "libasound_module_pcm_pipewire.so"])
def test_alsas_way_to_a_server_is_found_where_distributions_put_it(tmp_path: Path, folder: str, name: str) -> None:
    place = tmp_path / folder
    place.mkdir(parents=True)
    assert not has_pulse_plugin([tmp_path])
    (place / name).touch()
    assert has_pulse_plugin([tmp_path])


def test_the_governor_is_read_of_every_core(tmp_path: Path) -> None:
    assert governor_facts(tmp_path) == GovernorFacts()
    for core, governor in ((0, "powersave"), (1, "performance")):
        folder = tmp_path / f"cpu{core}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{governor}\n")
        (folder / "scaling_driver").write_text("intel_pstate\n")
    assert governor_facts(tmp_path) == GovernorFacts("intel_pstate", frozenset({"powersave", "performance"}))


def test_the_trial_of_priority_leaves_this_thread_as_it_was() -> None:
    before = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    report = priority_facts()
    assert (report.thread, report.wanted) == ("trial", f"SCHED_FIFO {PUMP_LEVEL}")
    assert (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority) == before
