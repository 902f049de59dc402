"""A lock keeps others out, and none outlives the one who holds it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, NoReturn

import pytest

from engine import file_lock
from engine.file_lock import locked


def never() -> NoReturn:
    raise AssertionError("it waited")


def test_a_lock_that_is_held_keeps_others_out(tmp_path: Path) -> None:
    def waiting() -> None:
        raise TimeoutError

    with locked(tmp_path / "lock"), pytest.raises(TimeoutError), locked(tmp_path / "lock", waiting):
        never()


def test_a_lock_file_that_was_left_behind_does_not_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("")
    with locked(tmp_path / "lock", waiting=never):
        pass
    assert not (tmp_path / "lock").exists()


def test_a_file_that_its_holder_removed_meanwhile_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real, files = tmp_path / "lock", file_lock._lock, []

    def lock(file: IO[bytes]) -> bool:
        files.append(file)
        if len(files) == 1:
            path.unlink()
        return real(file)

    monkeypatch.setattr(file_lock, "_lock", lock)
    monkeypatch.setattr(file_lock, "_POLL_S", 0.0)
    with locked(path):
        assert path.exists()
        assert os.path.samestat(os.fstat(files[-1].fileno()), path.stat())
    assert len(files) == 2


def test_a_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), locked(tmp_path / "lock"):
        raise ValueError("no")
    with locked(tmp_path / "lock", waiting=never):
        pass
