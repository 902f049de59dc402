"""``stemstream cache``: what is kept is listed, and goes when it is told to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.streamer.cli.conftest import Command, files_in


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMSTREAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def play(command: Command, song: Path, tiny: Path) -> None:
    assert command("play", song, "--output", "none", "--finish", "exit", "-m", tiny).code == 0


def test_songs_are_listed_with_their_model_and_length(folder: Path, song: Path, tiny: Path, command: Command) -> None:
    assert command("cache", "list").err.startswith("0 song(s), 0.0 MB in ")
    play(command, song, tiny)
    listed = command("cache", "list")
    assert "0.5 s  song.wav" in listed.out
    assert "tiny" in listed.out
    assert str(folder) in listed.err
    facts = json.loads(command("cache", "list", "--json").out)
    assert [(entry["title"], entry["frames"]) for entry in facts["entries"]] == [("song.wav", 22_051)]
    assert facts["size_bytes"] == facts["entries"][0]["size_bytes"] > 0


def test_what_is_kept_is_used_and_goes_when_told_to(folder: Path, song: Path, tiny: Path, command: Command) -> None:
    play(command, song, tiny)
    again = json.loads(command("play", song, "--output", "none", "-m", tiny, "--json").out)
    assert (again["counters"]["windows"], again["coverage"]) == (0, 1.0)
    assert command("cache", "clear").out.startswith("removed 1 song(s)")
    assert not [name for name in files_in(folder) if name.endswith(".flac")]
    assert json.loads(command("cache", "clear", "--json").out)["removed"] == 0


def test_without_the_cache_nothing_is_kept(folder: Path, song: Path, tiny: Path, command: Command) -> None:
    assert command("play", song, "--output", "none", "--finish", "exit", "--no-cache", "-m", tiny).code == 0
    assert json.loads(command("cache", "list", "--json").out)["entries"] == []
