"""Every example runs as it is, on a file of the user's, and tells a wrong one in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamer.song import compose_song

EXAMPLES = Path(__file__).parents[2] / "examples"
# Those that need a sound device are run in tests/devices.
PROGRAMS = sorted(path for path in EXAMPLES.glob("*.py") if not path.name.startswith("live_"))
STEMS = ["vocals", "drums", "bass", "other"]


def run(name: str, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    soundfile.write(path, compose_song(1.5, sample_rate=44_100).mixture.T, 44_100, subtype="FLOAT")
    return path


def test_an_array_is_separated_into_files_of_the_same_length(song: Path, tmp_path: Path) -> None:
    done = run("array_in_array_out.py", song, "--out", "stems", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    audio, _ = soundfile.read(song, dtype="float32")
    stems = [soundfile.read(tmp_path / "stems" / f"{stem}.wav", dtype="float32")[0] for stem in STEMS]
    assert [line.split()[0] for line in done.stdout.splitlines()] == STEMS
    np.testing.assert_allclose(np.sum(stems, axis=0), audio, atol=1e-5)


def test_a_loop_gives_what_the_array_gives_without_the_delay(song: Path, tmp_path: Path) -> None:
    assert run("array_in_array_out.py", song, "--out", "stems", folder=tmp_path).returncode == 0
    done = run("processor_in_a_loop.py", song, "--stem", "drums", "--out", "drums.wav", "-b", "300", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "misses    0 of 221 blocks, coverage 100.00 %" in done.stdout
    expected, _ = soundfile.read(tmp_path / "stems" / "drums.wav", dtype="float32")
    streamed, _ = soundfile.read(tmp_path / "drums.wav", dtype="float32")
    np.testing.assert_allclose(streamed, expected, atol=1e-6)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_it_runs_without_a_file(program: Path, tmp_path: Path) -> None:
    done = run(program.name, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
@pytest.mark.parametrize("arguments", [("missing.wav",), ("--model", "missing")], ids=["file", "model"])
def test_what_is_not_there_is_told_in_one_line(program: Path, arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = run(program.name, *arguments, folder=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "missing" in done.stderr
