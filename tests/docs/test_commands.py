"""Every command and every piece of Python in the documentation works as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from streamer.cli import main
from streamer.song import compose_song
from tests.docs.pages import ROOT, Block, blocks, commands

RUN_ELSEWHERE = {
    "python3 -m venv .venv": "tests/examples/test_plugin.py makes an environment",
    ".venv/bin/pip install .": "tests/examples/test_plugin.py installs both packages into it",
    "pip install .": "tests/examples/test_plugin.py installs both packages into it",
    "stemstream separate SONG.flac -o stems -m midside": "tests/examples/test_plugin.py runs the plug-in",
    "stemstream separate SONG.flac -o stems -m model.ckpt --config config.yaml": "streamer/cli/test_checkpoints.py",
    "stemstream play SONG.flac --output none --pace fast -m model.ckpt --config config.yaml": "the same",
    "stemstream export model.ckpt -o model.onnx --config config.yaml": "the same",
    "stemstream export model.ckpt -o model.onnx --config config.yaml --overwrite --check SONG.flac": "the same",
    "stemstream separate SONG.flac -o stems -m model.onnx": "streamer/cli/test_export.py separates with an export",
    "stemstream models download mdx23c-vocals": "tests/streamer/cli/test_model_files.py has a server for it",
    "stemstream separate SONG.flac -o stems -m mdx23c-vocals": "tests/engine/test_model_store.py loads one by its name",
    "stemstream bench --quick": "streamer/cli/test_bench.py has scripted processes",
    "stemstream bench -o bench/matrix": "the same, and tests/streamer/bench/test_run.py measures every table",
    "stemstream bench --full-size -o bench/full-size": "the same",
    "stemstream bench --full-size --table 1 --table 5": "the same",
    "stemstream bench --table 7 --table 3": "the same",
    "python benchmarks/add_bench.py bench/matrix bench/full-size": "tests/benchmarks/test_add_bench.py",
    "pip install 'stemstream[torch]'": "`make test` installs it",
    "python examples/live_mute_vocals.py --seconds 2 --allow-feedback": "devices/test_documents.py has a sound server",
    "uv venv": "needs uv",
    "uv pip install .": "needs uv",
    "uv run --no-sync stemstream demo": "needs uv",
}
# tests/devices/test_documents.py has a sound server for this page, and for the command.
LIVE = ROOT / "docs" / "live.md"
FASTER = {"demo": ["--seconds", "1", "--pace", "fast"]}
COMMANDS = sorted({command for _, command in commands()})


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("song") / "SONG.flac"
    composed = compose_song(1.0, sample_rate=44_100)
    soundfile.write(path, composed.mixture.T, composed.sample_rate)
    return path


@pytest.fixture
def folder(tmp_path: Path, song: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a song in it, where the reader stands."""
    shutil.copy(song, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stemstream(arguments: list[str], folder: Path) -> None:
    assert main([*arguments, *FASTER.get(arguments[0], [])]) == 0


def make(arguments: list[str], folder: Path) -> None:
    subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, check=True, capture_output=True)


def python(arguments: list[str], folder: Path) -> None:
    program = ROOT / arguments[0]
    if program.parent == ROOT / "examples":
        subprocess.run([sys.executable, program, *arguments[1:]], cwd=folder, check=True, capture_output=True)
        return
    # A benchmark takes its time; that it is there and knows these options is what can be checked here.
    said = subprocess.run([sys.executable, program, "--help"], cwd=ROOT, check=True, capture_output=True, text=True)
    for option in (argument for argument in arguments if argument.startswith("--")):
        assert option.split("=")[0] in said.stdout


RUNNERS: dict[str, Callable[[list[str], Path], None]] = {
    "stemstream": stemstream,
    ".venv/bin/stemstream": stemstream,
    "make": make,
    "python": python,
}


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c not in RUN_ELSEWHERE and not c.startswith("stemstream live ")]
)
def test_a_command_works(command: str, folder: Path) -> None:
    program, *arguments = shlex.split(command)
    assert program in RUNNERS, f"say in RUNNERS or RUN_ELSEWHERE how {command!r} is run"
    RUNNERS[program](arguments, folder)


def test_no_command_that_is_run_elsewhere_has_gone() -> None:
    assert set(RUN_ELSEWHERE) <= set(COMMANDS)


def test_each_command_of_the_table_exists(capsys: pytest.CaptureFixture[str]) -> None:
    names = re.findall(r"^\| `([a-z ]+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) >= 5
    for name in names:
        assert main([*name.split(), "--help"]) == 0


def test_the_extras_that_are_named_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for extra in re.findall(r"'\.\[(\w+)\]'", readme):
        assert extra in project["optional-dependencies"]


@pytest.mark.parametrize("block", [b for b in blocks("python") if b.page != LIVE], ids=str)
def test_a_piece_of_python_runs_and_prints_what_stands_below_it(
    block: Block, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Compiled with its place, so that a traceback names the page.
    code = compile("\n" * block.line + block.text, str(block.page), "exec")
    exec(code, {"__name__": "__main__"})  # noqa: S102 - the documentation's own code
    said = capsys.readouterr().out
    following = block.page.read_text(encoding="utf-8").split(block.text, 1)[1].removeprefix("```\n\n")
    if following.startswith("```text\n"):
        assert said == following.removeprefix("```text\n").split("```")[0]
