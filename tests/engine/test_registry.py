"""A model is found by the path of its file or by a registered name, and what is wrong is said in one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.backends.onnx import OnnxSeparator
from engine.errors import ConfigurationError, ModelError
from engine.registry import ModelEntry, available_models, load_separator
from tests.engine.onnx_models import gains, save

GOOD = """
from engine.errors import ConfigurationError
from engine.separator import Separator
from engine.spec import ModelSpec

class Copy(Separator):
    spec = ModelSpec("copy", 8000, 1, ("all",), False, 8, 4)
    def __init__(self, threads=None):
        self.threads = threads
    def process(self, windows, states):
        return windows[:, None], ()

def load():
    return Copy()

def load_threaded(threads=5):
    if threads == 0:
        raise ConfigurationError("threads is 0: use 1 or more")
    return Copy(threads)

def load_broken():
    raise RuntimeError("no weights\\nanywhere")

def load_other():
    return "a model"

number = 5
"""


class Site:
    """A folder of installed packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: str, entries: dict[str, str], code: str = GOOD) -> None:
        module = distribution.replace("-", "_")
        (self.folder / f"{module}.py").write_text(code)
        info = self.folder / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        lines = [f"{name} = {module}:{attribute}" for name, attribute in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[stemstream.models]", *lines, ""]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield Site(folder)
    for name in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[name]


def message(name: Any) -> str:
    with pytest.raises(ModelError) as caught:
        load_separator(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestNames:
    def test_a_registered_name_is_loaded(self, site: Site) -> None:
        site.install("acme-a", {"acme-copy": "load"})
        assert load_separator("acme-copy").spec.name == "copy"

    def test_every_registered_name_is_listed_and_no_plug_in_is_imported(self, site: Site) -> None:
        site.install("acme-b", {"acme-z": "load", "acme-y": "load"}, code="raise SystemError('imported')")
        listed = [entry for entry in available_models() if entry.distribution == "acme-b"]
        assert listed == [ModelEntry("acme-y", "acme-b", "1.2"), ModelEntry("acme-z", "acme-b", "1.2")]
        assert "acme_b" not in sys.modules

    def test_an_unknown_name_says_which_are_known_and_which_are_close(self, site: Site) -> None:
        site.install("acme-c", {"acme-copy": "load", "other": "load"})
        said = message("acme-cpy")
        assert said.startswith("model 'acme-cpy' is not known: did you mean 'acme-copy'? known names are acme-copy, ")
        assert ", or a path that ends in .onnx, .ckpt, " in said

    def test_a_name_wins_over_a_folder_of_the_same_name(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site.install("acme-d", {"acme-copy": "load"})
        monkeypatch.chdir(tmp_path)
        (tmp_path / "acme-copy").mkdir()
        assert load_separator("acme-copy").spec.name == "copy"
        assert "'acme-copy' is a folder" in message(Path("acme-copy"))
        assert "is a folder" in message("./acme-copy")

    def test_a_name_may_hold_a_dot(self, site: Site) -> None:
        site.install("acme-e", {"copy.v2": "load"})
        assert load_separator("copy.v2").spec.name == "copy"

    def test_a_name_of_two_packages_is_refused_and_both_are_named(self, site: Site) -> None:
        site.install("acme-f", {"acme-copy": "load"})
        site.install("acme-g", {"acme-copy": "load"})
        assert message("acme-copy") == (
            "model name 'acme-copy' is registered by acme-f 1.2 and acme-g 1.2: uninstall all but one of them"
        )
        assert [entry.distribution for entry in available_models() if entry.name == "acme-copy"] == ["acme-f", "acme-g"]

    def test_threads_reach_the_models_that_take_them(self, site: Site) -> None:
        site.install("acme-h", {"plain": "load", "threaded": "load_threaded"})
        assert vars(load_separator("threaded", threads=3))["threads"] == 3
        assert vars(load_separator("threaded"))["threads"] == 5
        assert vars(load_separator("plain", threads=3))["threads"] is None
        with pytest.raises(ConfigurationError, match="threads is 0"):
            load_separator("threaded", threads=0)


class TestBrokenPlugins:
    def test_one_that_cannot_be_imported_is_named_with_the_cause(self, site: Site) -> None:
        site.install("acme-i", {"broken": "load"}, code="import no_such_module_anywhere")
        said = message("broken")
        assert said.startswith("model 'broken' of package acme-i 1.2 cannot be loaded (ModuleNotFoundError: ")
        assert "no_such_module_anywhere" in said

    @pytest.mark.parametrize(
        ("attribute", "said"),
        [
            ("load_broken", "(RuntimeError: no weights anywhere)"),
            ("load_missing", "(AttributeError: "),
            ("number", "(TypeError: "),
            ("load_other", "gave str from 'acme_j:load_other': it must give an engine.separator.Separator"),
        ],
    )
    def test_one_that_gives_no_model_is_named_with_the_cause(self, site: Site, attribute: str, said: str) -> None:
        site.install("acme-j", {"broken": attribute})
        assert message("broken").startswith("model 'broken' of package acme-j 1.2 ")
        assert said in message("broken")


class TestPaths:
    @pytest.mark.parametrize("suffix", [".onnx", ".ONNX"])
    @pytest.mark.parametrize("kind", [str, Path])
    def test_an_onnx_file_is_loaded(self, tmp_path: Path, kind: type, suffix: str) -> None:
        beside = {"sample_rate": 8000, "stems": ["a"]}
        path = save(tmp_path / f"model{suffix}", gains(1.0, frames=8), beside)
        assert isinstance(load_separator(kind(path)), OnnxSeparator)

    def test_threads_reach_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="threads is 0"):
            load_separator(tmp_path / "a.onnx", threads=0)

    def test_a_missing_file_is_said_to_be_missing(self, tmp_path: Path) -> None:
        assert "does not exist: check the path" in message(tmp_path / "a.onnx")
        assert "'no/such/model' does not exist" in message("no/such/model")
        assert "'model.bin' does not exist" in message("model.bin")

    @pytest.mark.parametrize("suffix", [".ckpt", ".CKPT", ".pth", ".th", ".pt", ".safetensors"])
    def test_a_missing_checkpoint_is_said_to_be_missing(self, suffix: str) -> None:
        assert message(f"model{suffix}") == f"checkpoint 'model{suffix}' does not exist: check the path"

    @pytest.mark.parametrize("absence", [None, "broken"])
    def test_a_checkpoint_without_pytorch_names_the_extra(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absence: str | None
    ) -> None:
        if absence is None:
            monkeypatch.setitem(sys.modules, "torch", None)
        else:
            (tmp_path / "torch.py").write_text("raise OSError('no libtorch.so')")
            monkeypatch.delitem(sys.modules, "torch", raising=False)
            monkeypatch.syspath_prepend(str(tmp_path))
        said = message("model.ckpt")
        assert said.startswith("model 'model.ckpt' is a PyTorch checkpoint, and PyTorch cannot be imported")
        assert said.endswith(": pip install 'stemstream[torch]'")
        assert ("no libtorch.so" in said) == (absence == "broken")

    def test_a_config_is_for_checkpoints_only(self, site: Site, tmp_path: Path) -> None:
        site.install("acme-k", {"acme-copy": "load"})
        for model in ("acme-copy", tmp_path / "a.onnx"):
            with pytest.raises(ConfigurationError, match=r"config 'c.yaml' was given with model .*: only checkpoints"):
                load_separator(model, config="c.yaml")

    def test_a_file_of_another_kind_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "song.wav").write_bytes(b"RIFF")
        assert "is not a model file: use a path that ends in .onnx" in message(tmp_path / "song.wav")
