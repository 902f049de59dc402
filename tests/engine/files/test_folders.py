"""Of a folder come its songs: each once, in the order in which people count, and never what was made of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.files.folders import AUDIO_SUFFIXES, AudioInput, find_audio, natural_key
from engine.files.provenance import mark
from engine.files.writer import AudioWriter


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(*paths: Path, recursive: bool = False, out: Path = Path("elsewhere")) -> list[str]:
    inputs, _ = find_audio(paths, recursive=recursive, out=out)
    return [each.path.as_posix().split("songs/")[-1] for each in inputs]


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = tmp_path / "songs"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES)
def test_every_kind_of_audio_counts_in_any_case_of_letters(songs: Path, suffix: str) -> None:
    touch(songs, f"a{suffix}", f"b{suffix.upper()}")
    assert len(found(songs)) == 2


def test_other_files_and_hidden_ones_do_not_count(songs: Path) -> None:
    touch(songs, "a.wav", "cover.jpg", "a.txt", "b.wav.part", ".c.wav", "._a.wav", ".hidden/d.wav", "noext")
    assert found(songs, recursive=True) == ["a.wav"]


def test_people_count_two_before_ten(songs: Path) -> None:
    touch(songs, "10 z.wav", "2 b.wav", "1 a.wav", "b.wav", "A.wav", "Disc 10/1.wav", "Disc 2/1.wav")
    assert found(songs, recursive=True) == [
        *("1 a.wav", "2 b.wav", "10 z.wav", "A.wav", "b.wav"),
        *("Disc 2/1.wav", "Disc 10/1.wav"),
    ]


def test_names_of_all_kinds_can_be_sorted() -> None:
    assert sorted(["a1", "1a", "a", "1", "", "²"], key=natural_key) == ["", "1", "1a", "a", "a1", "²"]


def test_folders_in_folders_are_looked_into_only_where_that_is_wanted(songs: Path) -> None:
    touch(songs, "a.wav", "x/y/b.wav")
    assert found(songs) == ["a.wav"]
    inputs, _ = find_audio([songs], recursive=True, out=Path("out"))
    assert [each.subfolders for each in inputs] == [(), ("x", "y")]


def test_a_file_that_is_named_comes_as_it_is(songs: Path) -> None:
    touch(songs, "odd.xyz")
    inputs, empty = find_audio([songs / "odd.xyz", songs / "missing.wav"], recursive=False, out=Path("out"))
    assert inputs == (AudioInput(songs / "odd.xyz"), AudioInput(songs / "missing.wav"))
    assert not empty


def test_a_file_given_twice_comes_once(songs: Path) -> None:
    touch(songs, "a.wav", "b.wav")
    (songs / "link.wav").symlink_to(songs / "b.wav")
    assert found(songs / "b.wav", songs, songs / ".." / "songs" / "a.wav") == ["b.wav", "a.wav"]


def test_a_link_in_a_circle_is_not_followed(songs: Path) -> None:
    touch(songs, "x/a.wav")
    (songs / "x" / "again").symlink_to(songs)
    assert found(songs, recursive=True) == ["x/a.wav"]


@pytest.mark.parametrize("recursive", [False, True])
def test_a_folder_without_songs_says_what_was_looked_for(songs: Path, recursive: bool) -> None:
    touch(songs, "cover.jpg")
    inputs, (empty,) = find_audio([songs], recursive=recursive, out=Path("out"))
    assert not inputs
    assert f"{str(songs)!r} is a folder without songs: looked for files that end in .wav, .flac" in str(empty.error)
    assert ("--recursive looks into its folders too" in str(empty.error)) is not recursive


def test_a_folder_that_cannot_be_read_is_told_and_the_others_are_searched(
    songs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(songs, "a.wav", "closed/b.wav", "open/c.wav")
    scan = os.scandir

    def guarded(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", guarded)
    inputs, (failed,) = find_audio([songs], recursive=True, out=Path("out"))
    assert [each.path.name for each in inputs] == ["a.wav", "c.wav"]
    assert (failed.path, "cannot be read (Permission denied)" in str(failed.error)) == (songs / "closed", True)


def test_what_lies_in_the_output_folder_is_no_input(songs: Path) -> None:
    touch(songs, "a.wav", "stems/a/vocals.wav", "x/b.wav")
    assert found(songs, recursive=True, out=songs / "stems") == ["a.wav", "x/b.wav"]


def stem(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with AudioWriter(path, 8000, 1, comment=mark("vocals", "a model", "0123")) as writer:
        writer.write(np.zeros((1, 10), np.float32))


def test_stems_in_the_folder_of_the_songs_are_no_songs(songs: Path) -> None:
    touch(songs, "a.wav", "a/live.wav")
    stem(songs / "a" / "vocals.wav")
    assert found(songs, recursive=True, out=songs) == ["a.wav", "a/live.wav"]


def test_stems_can_be_separated_further(songs: Path) -> None:
    stem(songs / "a" / "drums.wav")
    assert found(songs, recursive=True, out=songs.parent / "kits") == ["a/drums.wav"]
    assert found(songs / "a", out=songs) == ["a/drums.wav"]
