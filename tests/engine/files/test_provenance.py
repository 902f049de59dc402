"""A stem file is taken for done only if it says that it is what would be made now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.files.provenance import Expected, is_marked, mark
from engine.files.writer import AudioWriter

OF = "0123456789abcdef"
COMMENT = mark("vocals", "a model 0123", OF)


def written(path: Path, *, subtype: str = "FLOAT", frames: int = 100, comment: str | None = COMMENT) -> Path:
    with AudioWriter(path, 44_100, 2, subtype=subtype, frames_hint=None, comment=comment) as writer:
        writer.write(np.zeros((2, frames), np.float32))
    return path


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "FLOAT"), ("a.wav", "PCM_16"), ("a.flac", "PCM_24")])
def test_a_file_is_as_expected_where_all_agrees(tmp_path: Path, name: str, subtype: str) -> None:
    path = written(tmp_path / name, subtype=subtype)
    expected = Expected(44_100, 2, 100, subtype, COMMENT)
    assert expected.foreign(path) is None
    assert expected.difference(path) is None
    assert replace(expected, frames=None).difference(path) is None
    assert is_marked(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sample_rate": 48_000}, "has another length or format"),
        ({"channels": 1}, "has another length or format"),
        ({"frames": 99}, "has another length or format"),
        ({"subtype": "PCM_16"}, "has another length or format"),
        ({"comment": mark("vocals", "a model 0124", OF)}, "was made by another model or with other settings"),
        ({"comment": mark("drums", "a model 0123", OF)}, "was made by another model or with other settings"),
    ],
)
def test_whatever_differs_is_said(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    expected = replace(Expected(44_100, 2, 100, "FLOAT", COMMENT), **changes)
    path = written(tmp_path / "a.wav")
    assert expected.foreign(path) is None
    assert expected.difference(path) == said


def test_a_stem_of_another_file_is_told_from_one_of_other_settings(tmp_path: Path) -> None:
    for comment in (mark("vocals", "a model 0123", "fedcba9876543210"), "stemstream: vocals by a model 0123"):
        path = written(tmp_path / "a.wav", comment=comment)
        said = Expected(44_100, 2, 100, "FLOAT", COMMENT).foreign(path)
        assert said == "was made of another file, or before this one was changed"
        assert is_marked(path)


def test_a_file_of_somebody_elses_is_not_taken_for_ours(tmp_path: Path) -> None:
    for path in (written(tmp_path / "a.wav", comment=None), written(tmp_path / "b.wav", comment="by me")):
        assert Expected(44_100, 2, 100, "FLOAT", COMMENT).foreign(path) == "was not made by this program"
        assert not is_marked(path)


def test_a_file_that_is_no_audio_is_not_whole(tmp_path: Path) -> None:
    for path in (tmp_path / "a.wav", tmp_path / "missing.wav", tmp_path):
        if path.suffix and "missing" not in path.name:
            path.write_text("no audio")
        assert Expected(44_100, 2, 100, "FLOAT", COMMENT).foreign(path) == "is not a stem file"
        assert Expected(44_100, 2, 100, "FLOAT", COMMENT).difference(path) == "is not a whole stem file"
        assert not is_marked(path)


def test_a_comment_in_any_script_is_kept(tmp_path: Path) -> None:
    for name in ("modèle", "not text \udcff", "x" * 500):
        comment = mark("Sängerin 東京", name, OF)
        path = written(tmp_path / "a.wav", comment=comment)
        assert Expected(44_100, 2, 100, "FLOAT", comment).foreign(path) is None
        assert Expected(44_100, 2, 100, "FLOAT", comment).difference(path) is None
