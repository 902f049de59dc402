"""Keys come one by one from a terminal, which is afterwards as it was; from anything else none come."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from streamer.cli import keyboard as module
from streamer.cli.keyboard import Keyboard

PATIENCE_S = 20.0


class Terminal:
    """A terminal that stands in for standard input."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.far_end, self.descriptor = os.openpty()
        self.file = os.fdopen(self.descriptor, "r", encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", self.file)

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.descriptor)

    def type(self, text: str) -> None:
        os.write(self.far_end, text.encode())
        assert select.select([self.descriptor], [], [], PATIENCE_S)[0]

    def close(self) -> None:
        self.file.close()
        os.close(self.far_end)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    made = Terminal(monkeypatch)
    yield made
    made.close()


def is_raw(settings: list[Any]) -> bool:
    return not settings[3] & (termios.ICANON | termios.ECHO)


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("1", ["1"]),
        ("19!s2q", ["1", "9", "!", "s", "2", "q"]),
        (" ", ["space"]),
        ("\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        ("\x1bOA\x1bOB\x1bOC\x1bOD", ["up", "down", "right", "left"]),
        ("m\x1b[Aq", ["m", "up", "q"]),
    ],
)
def test_keys_come_as_they_are_pressed_without_enter(terminal: Terminal, typed: str, keys: list[str]) -> None:
    with Keyboard() as keyboard:
        assert keyboard.is_there
        assert list(keyboard.pressed()) == []
        terminal.type(typed)
        assert list(keyboard.pressed()) == keys
        assert list(keyboard.pressed()) == []


def test_an_arrow_that_comes_in_parts_is_one_key(terminal: Terminal) -> None:
    with Keyboard() as keyboard:
        for part in ("\x1b", "["):
            terminal.type(part)
            assert list(keyboard.pressed()) == []
        terminal.type("A1")
        assert list(keyboard.pressed()) == ["up", "1"]


def test_keys_are_not_shown_and_ctrl_c_stays_ctrl_c(terminal: Terminal) -> None:
    with Keyboard():
        assert is_raw(terminal.settings())
        assert terminal.settings()[3] & termios.ISIG


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_the_terminal_is_put_back_however_it_ends(terminal: Terminal, error: type[BaseException] | None) -> None:
    before, handler = terminal.settings(), signal.getsignal(signal.SIGCONT)
    try:
        with Keyboard() as keyboard:
            assert terminal.settings() != before
            if error is not None:
                raise error
    except (ValueError, KeyboardInterrupt):
        pass
    assert terminal.settings() == before
    assert signal.getsignal(signal.SIGCONT) == handler
    assert not keyboard.is_there
    assert list(keyboard.pressed()) == []


def test_after_ctrl_z_and_fg_the_keys_work_again(terminal: Terminal) -> None:
    before = terminal.settings()
    with Keyboard() as keyboard:
        # What a shell does while the program stands still, and what the system tells it when it goes on.
        termios.tcsetattr(terminal.descriptor, termios.TCSANOW, before)
        signal.raise_signal(signal.SIGCONT)
        assert is_raw(terminal.settings())
        terminal.type("q")
        assert list(keyboard.pressed()) == ["q"]
    assert terminal.settings() == before


def test_a_job_in_the_background_leaves_the_terminal_alone(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    before = terminal.settings()
    group = os.getpgrp()
    monkeypatch.setattr(os, "tcgetpgrp", lambda descriptor: group + 1)
    with Keyboard() as keyboard:
        assert terminal.settings() == before
        terminal.type("q\n")
        assert list(keyboard.pressed()) == []
        monkeypatch.setattr(os, "tcgetpgrp", lambda descriptor: group)
        signal.raise_signal(signal.SIGCONT)
        assert is_raw(terminal.settings())
        assert "q" in keyboard.pressed()
    assert terminal.settings() == before


def test_keys_come_on_another_thread_too(terminal: Terminal) -> None:
    before, found = terminal.settings(), []

    def read() -> None:
        with Keyboard() as keyboard:
            terminal.type("1")
            found.extend(keyboard.pressed())

    thread = threading.Thread(target=read)
    thread.start()
    thread.join(PATIENCE_S)
    assert found == ["1"]
    assert terminal.settings() == before


def test_a_terminal_that_went_away_gives_no_keys(terminal: Terminal) -> None:
    with Keyboard() as keyboard:
        far_end, terminal.far_end = terminal.far_end, os.open(os.devnull, os.O_RDONLY)
        os.close(far_end)
        assert list(keyboard.pressed()) == []


@pytest.mark.parametrize("stdin", ["a file", None])
def test_without_a_terminal_there_are_no_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stdin: str | None
) -> None:
    (tmp_path / "keys").write_text("1q")
    with (tmp_path / "keys").open() as file:
        monkeypatch.setattr(sys, "stdin", None if stdin is None else file)
        with Keyboard() as keyboard:
            assert not keyboard.is_there
            assert list(keyboard.pressed()) == []
        # Nobody has read from it.
        assert file.read() == "1q"


# Windows


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was typed on a Windows console."""
    waiting: list[str] = []
    fake: Any = ModuleType("msvcrt")
    fake.kbhit = lambda: bool(waiting)
    fake.getwch = lambda: waiting.pop(0)
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    stdin = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr(module, "sys", SimpleNamespace(platform="win32", stdin=stdin))
    return waiting


def test_on_windows_arrows_are_two_characters(typed: list[str]) -> None:
    with Keyboard() as keyboard:
        assert keyboard.is_there
        # F1, too, is two characters, and no key of ours.
        typed += ["1", "\xe0", "H", "\xe0", "P", "\x00", "M", "\xe0", "K", "\x00", ";", " ", "q"]
        assert list(keyboard.pressed()) == ["1", "up", "down", "right", "left", "space", "q"]
        assert list(keyboard.pressed()) == []


def test_on_windows_ctrl_c_stays_ctrl_c(typed: list[str]) -> None:
    with Keyboard() as keyboard:
        typed += ["\x03"]
        with pytest.raises(KeyboardInterrupt):
            keyboard.pressed()
