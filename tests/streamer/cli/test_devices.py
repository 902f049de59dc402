"""``stemstream devices`` lists what PortAudio shows, or says what is missing."""

from __future__ import annotations

import json
import sys

import pytest

from streamer.cli import main
from tests.streamer.scripted_device import ScriptedDevice, sounddevice_of


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> ScriptedDevice:
    device = ScriptedDevice()
    monkeypatch.setitem(sys.modules, "sounddevice", sounddevice_of(device))
    return device


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
    assert (said.out, said.err) == ("", "no sound device was found: plug one in, or start the sound server\n")


def test_a_missing_part_ends_it_with_the_code_for_devices(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["devices"]) == 3
    assert "pip install 'stemstream[live]'" in capsys.readouterr().err
