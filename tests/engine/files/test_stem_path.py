"""Stem file names: whatever a title holds, the file stays in the folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigurationError, OutputError
from engine.files.stem_path import check_inside, stem_path

TEMPLATES = ("{track}/{stem}.{ext}", "{track} - {stem}.{ext}", "{stem}/{track}.{ext}", "a/{track}{stem}.{ext}")


def made(track: str = "Song", stem: str = "vocals", ext: str = "wav", template: str = TEMPLATES[0]) -> str:
    return stem_path("out", template, track=track, stem=stem, ext=ext).as_posix()


def test_the_default_is_a_folder_per_track() -> None:
    assert stem_path("out", track="My Song", stem="bass", ext="flac") == Path("out/My Song/bass.flac")


@pytest.mark.parametrize(
    ("track", "expected"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("/absolute", "_absolute"),
        ("C:\\Windows", "C__Windows"),
        ("..", "_"),
        ("...", "_"),
        ("", "_"),
        ("   ", "_"),
        ("What?*<|>", "What_____"),
        ("two\nlines\0", "two_lines_"),
        ("T.N.T.", "T.N.T"),
        ("con", "_con"),
        ("Aux.live", "_Aux.live"),
        ("COM7", "_COM7"),
        ("concert", "concert"),
        ("Ça plane pour moi, 東京", "Ça plane pour moi, 東京"),
        ("\udcff", "_"),
    ],
)
def test_titles_become_safe_names(track: str, expected: str) -> None:
    assert made(track=track) == f"out/{expected}/vocals.wav"


def test_stems_and_suffixes_become_safe_too() -> None:
    assert made(stem="../x", ext="../wav") == "out/Song/_x._wav"
    assert made(ext=".wav") == "out/Song/vocals.wav"


def test_long_titles_are_cut_and_stay_apart() -> None:
    first, second = made(track="é" * 300 + "1"), made(track="é" * 300 + "2")
    assert first != second
    assert first == made(track="é" * 300 + "1")
    assert len(first.split("/")[1].encode()) <= 120


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{album}/{stem}.{ext}", r"\{album\}.*allowed are \{track\}, \{stem\}, \{ext\}"),
        ("{track.__class__}", "allowed are"),
        ("{track[0]}", "allowed are"),
        ("{}", "allowed are"),
        ("{0}", "allowed are"),
        ("{stem:>99}", r"\{stem:>99\}.*allowed are"),
        ("{stem!r}", r"\{stem!r\}.*allowed are"),
        ("{stem", "malformed"),
        ("stem}", "malformed"),
        ("", "names no file"),
        ("./", "names no file"),
        ("../{stem}.{ext}", "leaves the folder"),
        ("a/../../{stem}.{ext}", "leaves the folder"),
        ("..\\{stem}.{ext}", "leaves the folder"),
        ("/home/{stem}.{ext}", "absolute"),
        ("C:/{stem}.{ext}", "':'"),
        ("{stem}?.{ext}", r"'\?'"),
        ("x" * 300, "at most 240"),
    ],
)
def test_wrong_templates_are_refused(template: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        made(template=template)
    assert "\n" not in str(caught.value)


def test_braces_may_be_doubled() -> None:
    assert made(template="{{{stem}}}.{ext}") == "out/{vocals}.wav"


def test_backslashes_in_a_template_are_folders() -> None:
    assert made(template="{track}\\{stem}.{ext}") == "out/Song/vocals.wav"


@given(st.text(max_size=300), st.text(max_size=80), st.text(max_size=20), st.sampled_from(TEMPLATES))
def test_no_value_leaves_the_folder(track: str, stem: str, ext: str, template: str) -> None:
    path = stem_path("out", template, track=track, stem=stem, ext=ext)
    inside = path.relative_to("out")
    assert len(inside.parts) == template.count("/") + 1
    for name in inside.parts:
        assert name not in ("", ".", "..")
        assert PurePosixPath(name).name == name
        assert PureWindowsPath(name).name == name
        assert not PureWindowsPath(name).drive
        assert len(name.encode()) <= 240
        assert not name.endswith((".", " "))


def test_the_suffix_of_the_song_can_keep_songs_of_one_name_apart() -> None:
    names = [
        stem_path("out", "{track}.{suffix}/{stem}.{ext}", track="a", stem="b", ext="wav", suffix=suffix).as_posix()
        for suffix in (".FLAC", "mp3", "")
    ]
    assert names == ["out/a.flac/b.wav", "out/a.mp3/b.wav", "out/a._/b.wav"]


def test_folders_between_are_made_safe_like_titles() -> None:
    path = stem_path("out", track="a", stem="b", ext="wav", subfolders=("..", "x/y", "Live: 1", "nul"))
    assert path.as_posix() == "out/_/x_y/Live_ 1/_nul/a/b.wav"


def test_a_link_that_leads_out_of_the_folder_is_noticed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "out" / "x", tmp_path / "outside"
    inside.mkdir(parents=True)
    outside.mkdir()
    (tmp_path / "out" / "link").symlink_to(outside)
    (tmp_path / "out" / "near").symlink_to(inside)
    check_inside(tmp_path / "out", inside / "a.wav")
    check_inside(tmp_path / "out", tmp_path / "out" / "near" / "a.wav")
    check_inside(tmp_path / "out", tmp_path / "out" / "not" / "yet" / "a.wav")
    with pytest.raises(OutputError, match="lies outside of"):
        check_inside(tmp_path / "out", tmp_path / "out" / "link" / "a.wav")
    with pytest.raises(OutputError, match="lies outside of"):
        check_inside(tmp_path / "out", tmp_path / "out2" / "a.wav")
