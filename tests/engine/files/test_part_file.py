"""A file in the making disturbs no other: its name is its own, and no link is followed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine.errors import OutputError
from engine.files.part_file import PartFile, whole_file, write_whole

WEEK_S = 7 * 24 * 3600


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_that_make_one_file_each_make_all_of_it(tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    with whole_file(target) as first:
        first.write(b"first" * 1000)
        with whole_file(target) as second:
            second.write(b"second")
            first.write(b"first")
            assert len(names(tmp_path)) == 2
        assert target.read_bytes() == b"second"
    assert target.read_bytes() == b"first" * 1001
    assert names(tmp_path) == ["a.wav"]


def test_a_link_in_the_place_of_a_part_file_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    tokens = iter(["00000000", "00000001"])
    monkeypatch.setattr("engine.files.part_file.secrets.token_hex", lambda _: next(tokens))
    (tmp_path / ".a.wav.00000000.part").symlink_to(victim)
    (tmp_path / "a.wav.part").symlink_to(victim)
    write_whole(tmp_path / "a.wav", "new")
    assert victim.read_text() == "mine"
    assert (tmp_path / "a.wav").read_text() == "new"
    assert names(tmp_path) == [".a.wav.00000000.part", "a.wav", "a.wav.part", "victim"]


def test_a_target_that_is_a_link_is_replaced_and_what_it_leads_to_is_not(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "a.wav").symlink_to(victim)
    write_whole(tmp_path / "a.wav", "new")
    assert victim.read_text() == "mine"
    assert not (tmp_path / "a.wav").is_symlink()


def test_a_placed_file_that_replaced_a_dangling_link_is_not_withdrawn(tmp_path: Path) -> None:
    (tmp_path / "a.wav").symlink_to(tmp_path / "nowhere")
    part = PartFile(tmp_path / "a.wav")
    part.sync()
    part.place()
    part.withdraw()
    assert names(tmp_path) == ["a.wav"]


def test_what_a_killed_process_left_goes_after_a_week(tmp_path: Path) -> None:
    old = (".a.wav.0123abcd.part", ".b.wav.0123abcd.part", "a.wav.0123abcd.part", ".a.wav.x.part")
    young = ".a.wav.89abcdef.part"
    for name in (*old, young):
        (tmp_path / name).write_text("half")
    for name in old:
        moment = time.time() - WEEK_S - 60
        os.utime(tmp_path / name, (moment, moment))
    moment = time.time() - WEEK_S + 3600
    os.utime(tmp_path / young, (moment, moment))
    write_whole(tmp_path / "a.wav", "new")
    assert names(tmp_path) == sorted([*old[1:], young, "a.wav"])


def test_the_longest_name_that_is_allowed_has_a_part_file_too(tmp_path: Path) -> None:
    name = "x" * 236 + ".wav"
    write_whole(tmp_path / name, "new")
    assert names(tmp_path) == [name]


def test_a_file_may_be_read_by_whom_the_system_lets(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "a.txt", "new")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644


def test_a_folder_that_cannot_be_written_is_told_with_the_files_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("engine.files.part_file._open_raw", refuse)
    with pytest.raises(OutputError, match=r"a.wav' cannot be written \(Permission denied\)"):
        PartFile(tmp_path / "a.wav")
