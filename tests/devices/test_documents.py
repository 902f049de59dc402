"""What the documentation and the examples say about live sound works where there is a sound server."""

from __future__ import annotations

import pytest

from tests.devices.conftest import ROOT, Server
from tests.docs.pages import Block, blocks

pytestmark = pytest.mark.device

EXAMPLE = ROOT / "examples" / "live_mute_vocals.py"


@pytest.mark.parametrize("block", [b for b in blocks("python") if b.page == ROOT / "docs" / "live.md"], ids=str)
def test_a_piece_of_python_runs(block: Block, pulse: Server) -> None:
    done = pulse.call("-c", block.text)
    assert done.returncode == 0, done.stderr
    assert " ms, " in done.stdout


def test_the_example_takes_the_vocals_out(pulse: Server) -> None:
    done = pulse.call(EXAMPLE, "--seconds", "2")
    assert done.returncode == 0, done.stderr
    assert "without vocals" in done.stdout
    assert "coverage" in done.stdout


def test_the_example_tells_in_one_line_what_there_is_in_place_of_an_unknown_device(pulse: Server) -> None:
    done = pulse.call(EXAMPLE, "--input", "mic:missing")
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("input device 'missing' was not found: there are ")
    assert "va_loop (ALSA, " in line
