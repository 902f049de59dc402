"""Every downloaded file is read and told from what it should be."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from engine.cache import models_folder
from engine.model_audit import AuditState, audit_models
from engine.public_models import PUBLIC_MODELS, PublicModel

BODY = b"weights"
WHOLE = replace(PUBLIC_MODELS[0], sha256=hashlib.sha256(BODY).hexdigest())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSTREAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AUDIO_SEPARATOR_MODEL_DIR", raising=False)


def named(name: str, sha256: str | None = WHOLE.sha256) -> PublicModel:
    return replace(WHOLE, name=name, files=(f"{name}.ckpt",), sha256=sha256)


def test_whole_damaged_unknown_and_unfinished_files_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    models = (named("whole"), named("damaged"), named("unknown", None), named("absent"))
    monkeypatch.setattr("engine.model_audit.PUBLIC_MODELS", models)
    models_folder().mkdir(parents=True)
    for name, contents in (
        ("whole.ckpt", BODY),
        ("whole.yaml", b""),
        ("damaged.ckpt", BODY[1:]),
        ("unknown.ckpt", BODY),
        ("stray.ckpt", b"a"),
        ("absent.ckpt.part", b""),
    ):
        (models_folder() / name).write_bytes(contents)
    told: list[int] = []
    found = audit_models(models, strays=True, progress=lambda done, _: told.append(done))
    assert [(each.name, each.path.name, each.state) for each in found] == [
        ("whole", "whole.ckpt", AuditState.OK),
        ("damaged", "damaged.ckpt", AuditState.DAMAGED),
        ("unknown", "unknown.ckpt", AuditState.UNKNOWN),
        (None, "absent.ckpt.part", AuditState.PARTIAL),
        (None, "stray.ckpt", AuditState.UNKNOWN),
    ]
    assert found[1].remedy == "stemstream models download damaged fetches it again"
    assert "--sha256 HEX records it" in found[2].remedy
    assert told == [7, 6, 7]
    assert [each.name for each in audit_models([models[1]], strays=False)] == ["damaged"]


def test_another_file_of_the_same_name_in_a_folder_that_is_not_ours_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIO_SEPARATOR_MODEL_DIR", str(tmp_path))
    (tmp_path / WHOLE.files[1]).write_bytes(b"another")
    (found,) = audit_models([WHOLE], strays=False)
    assert (found.path, found.state) == (tmp_path / WHOLE.files[1], AuditState.UNKNOWN)
    assert found.remedy.startswith("it is another file of that name, and is not used; stemstream models download")


def test_without_a_folder_there_is_nothing() -> None:
    assert audit_models(PUBLIC_MODELS, strays=True) == ()
