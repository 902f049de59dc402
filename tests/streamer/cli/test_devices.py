"""``stemstream devices`` lists what PortAudio shows, or says what is missing."""

from __future__ import annotations

import json
import sys

import pytest

from streamer.cli import main
from tests.streamer.audio.loopback.scripted_soundcard import ScriptedServer
from tests.streamer.audio.loopback.test_pulse import install
from tests.streamer.scripted_device import ScriptedDevice, sounddevice_of


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> ScriptedDevice:
    device = ScriptedDevice()
    monkeypatch.setitem(sys.modules, "sounddevice", sounddevice_of(device))
    monkeypatch.setitem(sys.modules, "soundcard", None)
    monkeypatch.setattr(sys, "platform", "linux")
    return device


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, device: ScriptedDevice) -> ScriptedServer:
    server = ScriptedServer("speakers", "hdmi")
    server.sinks["hdmi"] = "Display"
    install(server, monkeypatch)
    return server


def test_loopbacks_follow_with_numbers_of_their_own(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    said = capsys.readouterr()
    _, speakers, display = said.out.splitlines()
    assert speakers == ("  1  Monitor of Loudspeakers  PulseAudio    2 in    0 out   48000 Hz  default loopback")
    assert (display.split()[0], display.split()[-1]) == ("2", "loopback")
    assert said.err == ""


def test_json_tells_of_a_loopback_how_it_is_heard(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--json"]) == 0
    _, speakers, _ = json.loads(capsys.readouterr().out)["devices"]
    told = {name: speakers[name] for name in ("backend", "key", "sink", "is_default_loopback", "is_monitor")}
    assert told == {
        "backend": "soundcard",
        "key": "speakers.monitor",
        "sink": "Loudspeakers",
        "is_default_loopback": True,
        "is_monitor": True,
    }


def test_what_loopback_lacks_is_noted(device: ScriptedDevice, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        line == "loopback needs the package soundcard, which is not installed: run pip install 'stemstream[loopback]'"
    )


def test_a_line_tells_number_name_host_channels_rate_and_what_is_special(
    device: ScriptedDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["devices"]) == 0
    assert capsys.readouterr().out == "  0  loop  virtual    2 in    2 out   48000 Hz  default input, default output\n"


def test_json_holds_every_field(device: ScriptedDevice, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["devices"]
    assert (entry["index"], entry["name"], entry["max_input_channels"], entry["is_monitor"]) == (0, "loop", 2, False)


def test_where_there_is_none_it_says_so(device: ScriptedDevice, capsys: pytest.CaptureFixture[str]) -> None:
    device.is_alive = False
    assert main(["devices"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1] == "no sound device was found: plug one in, or start the sound server"


def test_a_missing_part_ends_it_with_the_code_for_devices(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["devices"]) == 3
    assert "pip install 'stemstream[live]'" in capsys.readouterr().err
