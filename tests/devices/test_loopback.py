"""What is played to a real sink is heard through SoundCard, sample by sample, and losses are told."""

from __future__ import annotations

import importlib.util
import json

import pytest

from tests.devices.conftest import SCRIPT, Server

pytestmark = pytest.mark.device

PROGRAM = "heard_as_loopback.py"


@pytest.fixture(autouse=True)
def _soundcard() -> None:
    if importlib.util.find_spec("soundcard") is None:
        pytest.skip("soundcard is not installed: pip install 'stemstream[loopback]'")


def test_what_is_played_to_a_sink_is_heard_bit_for_bit_and_without_a_gap(pulse: Server) -> None:
    result = pulse.run(PROGRAM)
    pieces = result["pieces"]
    assert [piece["wrong"] for piece in pieces] == [0] * 16
    assert len({piece["delay"] for piece in pieces}) == 1
    assert (result["gone"], result["error"], result["closed"]) == (0, "", True)


def test_a_sink_that_goes_away_is_told(pulse: Server) -> None:
    result = pulse.run(PROGRAM, lose="sink")
    assert result["error"] == (
        "the loopback 'Monitor of Null Output (va_passing.monitor)' was lost (its sink is gone): "
        "check that the output is there and that its sound server runs"
    )
    assert result["closed"]


def test_a_server_that_is_killed_is_told_and_taken_up_again_without_ending_the_program(pulse: Server) -> None:
    result = pulse.run(PROGRAM, lose="server", pid=pulse.pid_file, script=SCRIPT)
    assert "was lost (SoundCard said: Recording failed" in result["error"]
    assert result["without"].startswith("loopback needs a PulseAudio or PipeWire server, and none answers")
    assert result["again"] > 0
    assert result["error_again"] == ""
    assert result["closed"]
    assert result["closed_again"]


def test_the_list_shows_each_sink_as_a_loopback(pulse: Server) -> None:
    done = pulse.call("-m", "streamer.cli", "devices", "--json")
    assert done.returncode == 0, done.stderr
    devices = json.loads(done.stdout)["devices"]
    found = {device["key"]: device["is_default_loopback"] for device in devices if device["backend"] == "soundcard"}
    assert found == {"va_loop.monitor": True, "va_out.monitor": False}
    assert len({device["index"] for device in devices}) == len(devices)
