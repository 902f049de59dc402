"""A checkpoint is exported once, and again whenever what comes out would be another file."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine import export_cache
from engine.cache import exports_folder
from engine.errors import ConfigurationError, ExportError, ModelError, OutputError
from engine.export_cache import exported
from engine.registry import load_separator
from tests.engine.onnx_exports import save_tiny


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMSTREAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "exports"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save_tiny(tmp_path)


def test_the_first_call_writes_and_the_next_ones_find(
    checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = exported(checkpoint)
    assert path.parent == cache == exports_folder()
    assert path.name.startswith("model-")
    assert load_separator(path).spec == load_separator(checkpoint).spec
    monkeypatch.setattr(export_cache, "write_onnx", None)
    assert exported(checkpoint) == path
    assert exported(str(checkpoint)) == path
    assert exported(load_separator(checkpoint)) == path
    assert [each.name for each in cache.iterdir()] == [path.name]


def test_whatever_makes_another_file_has_one_of_its_own(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [exported(checkpoint), exported(checkpoint, precision="fp16"), exported(checkpoint, part="waveform")]
    other = tmp_path / "other.yaml"
    data = yaml.safe_load(checkpoint.with_suffix(".yaml").read_text(encoding="utf-8"))
    data["inference"]["num_overlap"] = 2
    other.write_text(yaml.safe_dump(data), encoding="utf-8")
    paths.append(exported(checkpoint, other))
    assert load_separator(paths[-1]).spec.overlap == 2
    named = tmp_path / "named.ckpt"
    shutil.copy(checkpoint, named)
    paths.append(exported(named, checkpoint.with_suffix(".yaml")))
    assert load_separator(paths[-1]).spec.name == "named"
    monkeypatch.setattr(export_cache, "package_version", lambda name: "99.0")
    paths.append(exported(checkpoint))
    assert len(set(paths)) == len(paths)


def test_the_same_settings_in_another_file_are_the_same(checkpoint: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied.yaml"
    copied.write_text("# a comment\n" + checkpoint.with_suffix(".yaml").read_text(encoding="utf-8"), encoding="utf-8")
    assert exported(checkpoint, copied) == exported(checkpoint)


def test_two_that_want_the_same_make_it_once(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, started, waited = export_cache.write_onnx, threading.Event(), threading.Event()
    made: list[Path] = []

    def write(checkpoint: Any, target: Path, **options: Any) -> Any:
        made.append(target)
        started.set()
        assert waited.wait(30)
        return real(checkpoint, target, **options)

    monkeypatch.setattr(export_cache, "write_onnx", write)
    found: list[Path] = []
    first = threading.Thread(target=lambda: found.append(exported(checkpoint)))
    first.start()
    assert started.wait(30)
    found.append(exported(checkpoint, waiting=waited.set))
    first.join()
    assert found[0] == found[1]
    assert len(made) == 1


def test_a_failure_leaves_nothing(checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.models.mdx23c_onnx._MOST_BYTES", 1000)
    with pytest.raises(ExportError, match="an ONNX file holds 1000 bytes: it is too large"):
        exported(checkpoint)
    assert list(cache.iterdir()) == []


def test_what_is_no_checkpoint_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is no checkpoint"):
        exported("spatial")
    with pytest.raises(ExportError, match="is an ONNX file already"):
        exported(load_separator("spatial"))
    with pytest.raises(ConfigurationError, match="precision 'bf16' is unknown: use fp32 or fp16"):
        exported(checkpoint, precision="bf16")
    with pytest.raises(ModelError, match="does not exist"):
        exported(tmp_path / "none.ckpt")


def test_a_folder_that_cannot_be_written_names_the_remedy(checkpoint: Path, cache: Path) -> None:
    if os.name == "posix" and not cache.parent.exists():
        cache.parent.write_bytes(b"in the way")
    with pytest.raises(OutputError, match="name another with STEMSTREAM_CACHE"):
        exported(checkpoint)
