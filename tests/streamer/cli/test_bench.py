"""``stemstream bench``: what it is given, what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamer.bench import run
from tests.engine.onnx_exports import save_tiny
from tests.streamer.bench.scripted import Script
from tests.streamer.cli.conftest import Command, files_in, write_noise


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Stands for the measured processes."""
    made = Script()
    monkeypatch.setattr(run, "RowProcess", lambda task, patience_s: made(task))
    return made


@pytest.fixture
def options(tmp_path: Path, song: Path) -> list[str | Path]:
    return ["bench", "-m", save_tiny(tmp_path), "--audio", song, "-d", "cpu", "--quick"]


def test_it_prints_the_report_and_writes_it_with_figures_and_plots(
    tmp_path: Path, command: Command, script: Script, options: list[str | Path]
) -> None:
    out = tmp_path / "out"
    ended = command(*options, "-o", out, "--table", "5", "--table", "1")
    assert ended.code == 0
    assert "### 1. Batch sizes" in ended.out
    assert "### 5. Precisions" in ended.out
    assert "### 2." not in ended.out
    assert "stemstream bench --model model.ckpt --quick --device cpu --audio song.wav --table 5 --table 1" in ended.out
    assert files_in(out) == ["bench-1.svg", "bench-5.svg", "bench.json", "bench.md"]
    assert (out / "bench.md").read_text().startswith(ended.out[:500])
    assert str(out / "bench.md") in ended.err


def test_json_is_what_was_written(tmp_path: Path, command: Command, script: Script, options: list[str | Path]) -> None:
    ended = command(*options, "-o", tmp_path / "out", "--table", "1", "--json")
    assert json.loads(ended.out) == json.loads((tmp_path / "out" / "bench.json").read_text())


def test_reports_that_are_there_are_kept_unless_asked(
    tmp_path: Path, command: Command, script: Script, options: list[str | Path]
) -> None:
    wanted = [*options, "-o", tmp_path / "out", "--table", "1"]
    assert command(*wanted).code == 0
    before = (tmp_path / "out" / "bench.json").read_bytes()
    ended = command(*wanted)
    assert (ended.code, "holds the reports of an earlier run" in ended.error) == (2, True)
    assert (tmp_path / "out" / "bench.json").read_bytes() == before
    assert command(*wanted, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (["--table", "8"], 2, "table 8 is not known: use 1, 2, 3, 4, 5, 6, 7"),
        (["--table", "x"], 2, "Invalid value for '--table'"),
        (["--full-size"], 2, "--quick and --full-size were given: give one of them"),
        (["-m", "gone.ckpt"], 4, "gone.ckpt"),
        (["-d", "cuda:7"], 4, "device 'cuda:7' is not here"),
        (["--audio", "gone.wav"], 2, "--audio 'gone.wav' is not there"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_nothing_is_written(
    tmp_path: Path, command: Command, script: Script, options: list[str | Path], given: list[str], code: int, said: str
) -> None:
    ended = command(*options, "-o", tmp_path / "out", *given)
    assert (ended.code, said in ended.error) == (code, True)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_measured(
    tmp_path: Path, command: Command, script: Script, options: list[str | Path]
) -> None:
    file = write_noise(tmp_path / "file.wav")
    for out, code, said in ((file, 2, "is a file"), (file / "below", 1, "cannot be written to")):
        ended = command(*options, "-o", out)
        assert (ended.code, said in ended.error) == (code, True)
    assert script.ran == []


def test_interrupted_it_ends_with_130_and_keeps_what_was_measured(
    tmp_path: Path, command: Command, script: Script, options: list[str | Path]
) -> None:
    def cost(task: object, run: object) -> float:
        if len(script.ran) > 20:
            raise KeyboardInterrupt
        return 1.0

    script.cost = cost
    ended = command(*options, "-o", tmp_path / "out", "--table", "1")
    assert (ended.code, ended.errors) == (130, [])
    assert "Interrupted: rows that were not reached" in ended.out
    assert json.loads((tmp_path / "out" / "bench.json").read_text())["is_interrupted"] is True


def test_interrupted_at_once_it_leaves_nothing(
    tmp_path: Path, command: Command, script: Script, options: list[str | Path]
) -> None:
    def cost(task: object, run: object) -> float:
        raise KeyboardInterrupt

    script.cost = cost
    ended = command(*options, "-o", tmp_path / "out", "--table", "1")
    assert (ended.code, ended.errors) == (130, [])
    assert not (tmp_path / "out").exists()
