"""Two models are told apart by their files, and by the version of the package where there is no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ModelError
from engine.model_identity import model_identity
from engine.registry import available_models
from tests.engine.told_models import WholeWindow


def filed(path: Path, content: bytes = b"weights") -> WholeWindow:
    path.write_bytes(content)
    model = WholeWindow()
    model.path = path  # type: ignore[attr-defined]
    return model


def test_the_bytes_of_the_file_tell_models_apart_and_its_place_does_not(tmp_path: Path) -> None:
    one = model_identity(filed(tmp_path / "a.ckpt"), "a")
    assert model_identity(filed(tmp_path / "b.ckpt"), "b") == one
    assert model_identity(filed(tmp_path / "c.ckpt", b"weighty"), "c") != one
    assert one.startswith("whole window ")


def test_the_config_counts_wherever_it_is_from(tmp_path: Path) -> None:
    model = filed(tmp_path / "a.ckpt")
    plain = model_identity(model, "a")
    (tmp_path / "given.yaml").write_text("a: 1")
    given = model_identity(model, "a", tmp_path / "given.yaml")
    (tmp_path / "a.yaml").write_text("a: 1")
    assert model_identity(model, "a") == given != plain
    (tmp_path / "a.yaml").write_text("a: 2")
    assert model_identity(model, "a") != given


def test_a_model_without_a_file_is_that_of_its_package() -> None:
    (entry,) = [entry for entry in available_models() if entry.name == "spatial"]
    said = model_identity(WholeWindow(), "spatial")
    assert said == f"whole window of {entry.distribution} {entry.version}"


def test_a_file_that_has_gone_is_told(tmp_path: Path) -> None:
    model = filed(tmp_path / "a.ckpt")
    (tmp_path / "a.ckpt").unlink()
    with pytest.raises(ModelError, match=r"a.ckpt' cannot be read .*check the path"):
        model_identity(model, "a")
