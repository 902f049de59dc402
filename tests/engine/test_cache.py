"""What is fetched is kept where the environment says, or in the user's cache folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.cache import cache_folder, models_folder, other_models_folder


def test_the_cache_is_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSTREAM_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert models_folder() == tmp_path / "models"


def test_without_it_the_cache_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSTREAM_CACHE", "")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "home" / name))
    assert cache_folder() == tmp_path / "home" / "stemstream"


def test_a_home_folder_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AUDIO_SEPARATOR_MODEL_DIR", "~/models")
    assert other_models_folder() == tmp_path / "models"
    monkeypatch.delenv("AUDIO_SEPARATOR_MODEL_DIR")
    assert other_models_folder() is None
