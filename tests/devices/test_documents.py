"""What the documentation and the examples say about live sound works where there is a sound server."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.devices.conftest import ROOT, Server
from tests.docs.pages import Block, blocks, commands

pytestmark = pytest.mark.device

COMMANDS = sorted({command for _, command in commands() if command.startswith("stemstream live ")})
DEVICES = {"headphones": "va_loop_sink", "interface": "va_test", "loopback": "loopback:va_out"}
"""What stands on the server for the devices that a reader may have."""
EXAMPLE = ROOT / "examples" / "live_mute_vocals.py"


@pytest.mark.parametrize("block", [b for b in blocks("python") if b.page == ROOT / "docs" / "live.md"], ids=str)
def test_a_piece_of_python_runs(block: Block, pulse: Server) -> None:
    done = pulse.call("-c", block.text)
    assert done.returncode == 0, done.stderr
    assert " ms, " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_works(command: str, pulse: Server, tmp_path: Path) -> None:
    _, *arguments = shlex.split(command)
    named = [re.sub("headphones|interface|^loopback$", lambda found: DEVICES[found[0]], word) for word in arguments]
    named = [str(tmp_path / word) if word == "takes" else word for word in named]
    done = pulse.call("-m", "streamer.cli", *named, "--allow-silence", "--duration", "1")
    assert done.returncode == 0, done.stderr
    assert "coverage" in done.stdout


def test_the_example_takes_the_vocals_out(pulse: Server) -> None:
    done = pulse.call(EXAMPLE, "--seconds", "2", "--allow-feedback")
    assert done.returncode == 0, done.stderr
    assert "without vocals" in done.stdout
    assert "coverage" in done.stdout


def test_the_example_tells_in_one_line_what_there_is_in_place_of_an_unknown_device(pulse: Server) -> None:
    done = pulse.call(EXAMPLE, "--input", "mic:missing")
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("input device 'missing' was not found: there are ")
    assert "va_loop (ALSA, " in line
