"""Settings are known by what is in a file; only the SHA-256 says that it is that file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from engine import known_models
from engine.backends.torch_separator import TorchSeparator
from engine.config import parse_config
from engine.digests import md5_of_end, sha256_of
from engine.errors import ModelError
from engine.known_models import KNOWN_ENDS, KNOWN_MODELS, KnownModel, known_model
from tests.engine.mdx23c_models import TINY, config_data, save_model

SETTINGS = parse_config(config_data(TINY, training={"instruments": ["dry", "wet"]}), "c")


def knows_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = hashlib.md5(path.read_bytes()[-10_240_000:], usedforsecurity=False).hexdigest()[:8]
    monkeypatch.setitem(known_models.KNOWN_ENDS, end, KnownModel("looks dry", SETTINGS, is_verified=False))


def test_the_end_of_a_file_is_its_last_ten_thousand_kibibytes(tmp_path: Path) -> None:
    contents = np.random.default_rng(1).bytes(10_240_001)
    (tmp_path / "a").write_bytes(contents)
    assert md5_of_end(tmp_path / "a") == hashlib.md5(contents[1:], usedforsecurity=False).hexdigest()
    (tmp_path / "b").write_bytes(b"short")
    assert md5_of_end(tmp_path / "b") == hashlib.md5(b"short", usedforsecurity=False).hexdigest()


def test_a_digest_is_told_how_far_it_is(tmp_path: Path) -> None:
    contents = np.random.default_rng(1).bytes(3_000_000)
    (tmp_path / "a").write_bytes(contents)
    told: list[tuple[int, int | None]] = []
    digest = sha256_of(tmp_path / "a", lambda done, total: told.append((done, total)))
    assert digest == hashlib.sha256(contents).hexdigest()
    assert told[-1] == (3_000_000, 3_000_000)
    assert len(told) > 1


def test_only_a_sha256_makes_a_file_the_known_one() -> None:
    assert all(model.is_verified for model in KNOWN_MODELS.values())
    assert not any(model.is_verified for model in KNOWN_ENDS.values())
    assert all(len(end) == 8 and int(end, 16) for end in KNOWN_ENDS)


def test_a_known_end_picks_the_config_of_a_file_that_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_model(tmp_path / "a.ckpt", has_config=False)
    assert known_model(path) is None
    knows_end(path, monkeypatch)
    assert TorchSeparator(path).spec.stems == ("dry", "wet")
    monkeypatch.setitem(KNOWN_MODELS, sha256_of(path), KnownModel("is wet", SETTINGS))
    assert TorchSeparator(path).spec.description == "is wet"


def test_a_known_end_makes_nothing_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_model(tmp_path / "a.ckpt", has_config=False, tensors={"x": 5})
    knows_end(path, monkeypatch)
    with pytest.raises(ModelError, match="holds int under 'x' where a tensor is wanted"):
        TorchSeparator(path)
