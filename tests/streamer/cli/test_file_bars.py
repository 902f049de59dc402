"""The files under way are seen: as bars on a terminal, as lines elsewhere."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path

import pytest

from engine.progress import Progress
from streamer.cli.file_bars import watched_files


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_says_once_that_a_file_begins(capsys: pytest.CaptureFixture[str]) -> None:
    with watched_files(2) as watch:
        watch({})
        watch({Path("a.wav"): Progress(0.1, 5.0)})
        watch({Path("a.wav"): Progress(0.2, 4.0), Path("b.wav"): Progress(0.0, float("nan"))})
    assert capsys.readouterr().err.splitlines() == ["separating a.wav", "separating b.wav"]


def test_each_file_has_a_bar_and_all_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with watched_files(2) as watch:
        watch({Path("[red]a.wav"): Progress(0.25, 3_723.0)})
        watch({Path("[red]a.wav"): Progress(0.5, 60.0), Path("b.wav"): Progress(float("nan"), float("nan"))})
        watch({Path("b.wav"): Progress(0.9, 1.0)})
    said = terminal.getvalue()
    assert "2 files" in said
    assert "separating [red]a.wav" in said
    assert "separating b.wav" in said
    assert "50%" in said


def test_ctrl_c_ends_the_batch_at_the_next_look() -> None:
    def interrupted() -> None:
        with watched_files(1) as watch:
            watch({})
            os.kill(os.getpid(), signal.SIGINT)
            watch({})

    with pytest.raises(KeyboardInterrupt):
        interrupted()
