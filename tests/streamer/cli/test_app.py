"""The command as a whole: help, version, and one line and one code for every way of ending."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from engine import registry
from streamer.cli import main
from tests.streamer.cli.conftest import Command, run_process

COMMANDS = (("demo",), ("separate",), ("play",), ("models",), ("models", "list"), ("doctor",))
HEAVY = ("numpy", "torch", "onnxruntime", "sounddevice", "av", "soundfile")


def test_no_help_imports_what_takes_time_to_load() -> None:
    code = (
        "import json, sys\n"
        "from streamer.cli import main\n"
        f"codes = [main([*words, '--help']) for words in [(), *{COMMANDS!r}]]\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(json.dumps([codes, loaded]), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr) == [[0] * (1 + len(COMMANDS)), []]


def test_a_package_of_the_same_name_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").touch()
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from streamer.cli import main; sys.exit(main(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: stemstream is not whole (No module named 'engine.errors'): ")
    assert f"import engine leads to {tmp_path}/engine/__init__.py, not to " in line
    assert line.endswith("install stemstream again")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: Command, words: tuple[str, ...]) -> None:
    ended = command(*words, "--help")
    assert ended.code == 0
    assert f"Usage: stemstream {' '.join(words)}" in ended.out
    assert command(*words, "-h").out == ended.out


@pytest.mark.parametrize("words", [(), ("models",)])
def test_a_missing_command_is_a_usage_error_that_shows_the_help(command: Command, words: tuple[str, ...]) -> None:
    ended = command(*words)
    assert ended.code == 2
    assert "Commands" in ended.out


def test_the_version_is_printed(command: Command) -> None:
    ended = command("--version")
    assert ended.code == 0
    assert ended.out.startswith("stemstream ")
    assert ended.err == ""


def test_the_installed_command_is_this_one() -> None:
    (script,) = entry_points(group="console_scripts", name="stemstream")
    assert script.load() is main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("separate",), "Missing argument 'FILE'"),
        (("separate", "a.wav"), "Missing option '--out'"),
        (("separate", "a.wav", "-o", "x", "--bogus"), "No such option: --bogus"),
        (("separate", "a.wav", "-o", "x", "--ext", "mp3"), "'mp3' is not one of 'wav', 'flac'"),
        (("separate", "a.wav", "-o", "x", "--jobs", "two"), "Invalid value for '--jobs'"),
        (("play", "a.wav", "--pace", "slow"), "'slow' is not one of 'realtime', 'fast'"),
        (("sing",), "No such command 'sing'"),
    ],
)
def test_bad_usage_is_told_in_one_line_with_where_to_look(command: Command, words: tuple[str, ...], said: str) -> None:
    ended = command(*words)
    assert ended.code == 2
    assert said in ended.error
    assert ended.error.endswith("--help")
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1


def test_the_process_ends_with_code_2_on_bad_usage() -> None:
    ended = run_process("separate", "--bogus")
    assert ended.code == 2
    assert "--bogus" in ended.error


def test_a_fault_of_the_program_is_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("it\nbroke")

    monkeypatch.setattr(registry, "available_models", fail)
    ended = command("models", "list")
    assert ended.code == 1
    assert ended.error == "error: unexpected RuntimeError (it broke): run again with --debug and report it"
    debugged = command("models", "list", "--debug")
    assert debugged.code == 1
    assert "Traceback (most recent call last):" in debugged.err
    assert debugged.errors == ended.errors


def test_warnings_and_log_lines_are_one_clean_line_each(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn() -> tuple[()]:
        warnings.warn("the model is slow", RuntimeWarning, stacklevel=1)
        for _ in range(3):
            logging.getLogger("stemstream.worker").warning("window %d\nfailed", 4)
        return ()

    monkeypatch.setattr(registry, "available_models", warn)
    ended = command("models", "list", "--json")
    assert not [entry for entry in json.loads(ended.out)["models"] if "distribution" in entry]
    assert ended.err.splitlines() == ["warning: the model is slow", "warning: window 4\\nfailed"]


def test_a_reader_that_went_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = run_process("models", "list", stdout=writing)
    os.close(writing)
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_results_that_cannot_be_written_are_told() -> None:
    with open("/dev/full", "w") as full:
        ended = run_process("models", "list", stdout=full)
    assert ended.code == 1
    assert "standard output cannot be written (No space left on device)" in ended.error
    assert len(ended.err.splitlines()) == 1
