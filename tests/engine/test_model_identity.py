"""Two models are told apart by their files, and by the version of the package where there is no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ModelError
from engine.known_models import KnownModel
from engine.model_identity import model_identity
from engine.model_store import config_of
from engine.public_models import PUBLIC_MODELS
from engine.registry import available_models
from tests.engine.onnx_models import gains
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


def test_weights_that_an_onnx_file_keeps_outside_count(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    made = gains(0.25, 0.75)
    for tensor in made.graph.initializer:
        # Only raw bytes can lie outside.
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))
    onnx.external_data_helper.convert_model_to_external_data(made, location="w.data", size_threshold=0)
    onnx.save(made, tmp_path / "a.onnx")
    model = WholeWindow()
    model.path = tmp_path / "a.onnx"  # type: ignore[attr-defined]
    weights = tmp_path / "w.data"
    assert weights.is_file()
    one = model_identity(model, "a")
    assert model_identity(model, "a") == one
    weights.write_bytes(bytes([weights.read_bytes()[0] ^ 1]) + weights.read_bytes()[1:])
    assert model_identity(model, "a") != one


def test_a_config_that_is_known_counts_like_one_that_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = filed(tmp_path / "a.ckpt")
    plain = model_identity(model, "a")
    said = set()
    for public in PUBLIC_MODELS[:2]:
        known = KnownModel("known", public.config)
        monkeypatch.setattr("engine.known_models.known_model", lambda _, known=known: known)
        said.add(model_identity(model, "a"))
    assert len(said | {plain}) == 3


def test_the_config_of_a_downloaded_model_is_the_one_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSTREAM_CACHE", str(tmp_path / "cache"))
    model, name = filed(tmp_path / "a.ckpt"), PUBLIC_MODELS[0].name
    config = config_of(PUBLIC_MODELS[0])
    config.parent.mkdir(parents=True)
    config.write_text("a: 1")
    said = model_identity(model, name)
    (tmp_path / "a.yaml").write_text("a: 2")
    assert model_identity(model, name) == said
    config.write_text("a: 3")
    assert model_identity(model, name) != said


def test_a_model_without_a_file_is_that_of_its_package() -> None:
    (entry,) = [entry for entry in available_models() if entry.name == "spatial"]
    said = model_identity(WholeWindow(), "spatial")
    assert said == f"whole window of {entry.distribution} {entry.version}"


def test_a_file_that_has_gone_is_told(tmp_path: Path) -> None:
    model = filed(tmp_path / "a.ckpt")
    (tmp_path / "a.ckpt").unlink()
    with pytest.raises(ModelError, match=r"a.ckpt' cannot be read .*check the path"):
        model_identity(model, "a")
