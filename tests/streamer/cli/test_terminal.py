"""What is said on a terminal, in a pipe, and when Ctrl-C is heard."""

from __future__ import annotations

import io
import os
import signal
import sys

import pytest

from engine.offline import Progress
from streamer.cli.file_bars import watched_files
from streamer.cli.terminal import one_line, print_error, print_result, watched_progress


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_characters_that_move_the_cursor_are_escaped() -> None:
    assert one_line("a\nb\x1b[31m\u202e\udce9 é") == "a\\nb\\x1b[31m\\u202e\\udce9 é"


def test_markup_in_names_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_result("[bold]song[/bold].wav")
    assert capsys.readouterr().out == "[bold]song[/bold].wav\n"


def test_errors_are_red_on_a_terminal_unless_colours_are_unwanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stderr", Screen())
    print_error("no")
    assert sys.stderr.getvalue() == "\x1b[31merror: \x1b[0mno\n"  # type: ignore[attr-defined]
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", Screen())
    print_error("no")
    assert sys.stderr.getvalue() == "error: no\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize("columns", ["20", "60"])
def test_a_bar_is_drawn_on_a_terminal_with_the_name_as_it_is(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stderr", Screen())
    screen = sys.stderr
    with watched_progress("[red]a.wav") as progress:
        progress(Progress(0.5, 1.0))
        progress(Progress(float("nan"), float("nan")))
    drawn = screen.getvalue()  # type: ignore[attr-defined]
    assert "%" in drawn or columns == "20"
    assert "[red]a.wav" in drawn or columns == "20"


def test_in_a_pipe_there_is_one_line_and_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with watched_progress("playing a.wav") as progress:
        progress(Progress(0.5, 1.0))
    assert capsys.readouterr().err == "playing a.wav\n"


def test_where_both_streams_are_closed_nothing_is_said_and_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    print_error("no")
    print_result("yes")
    seen = []
    with watched_progress("playing a.wav") as progress, watched_files(2):
        progress(Progress(0.5, 1.0))
        seen.append("what follows")
    assert seen == ["what follows"]


def press_ctrl_c(times: int, reached: list[str]) -> None:
    with watched_progress("a") as progress:
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
        reached.append("what follows")
        progress(Progress(0.5, 1.0))
        reached.append("what follows the progress")


def test_ctrl_c_is_kept_until_the_next_progress() -> None:
    reached: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c(1, reached)
    assert reached == ["what follows"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_after_the_last_progress_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt), watched_progress("a"):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_second_ctrl_c_is_obeyed_at_once() -> None:
    reached: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c(2, reached)
    assert reached == []
