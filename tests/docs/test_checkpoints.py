"""What the documentation says about PyTorch checkpoints is what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import soundfile

from engine.known_models import KNOWN_MODELS
from streamer.cli import main
from tests.docs.pages import ROOT, blocks
from tests.engine.mdx23c_models import config_data, save_model, tiny


def test_the_known_models_are_those_in_the_table() -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.*\.ckpt`) \| (.*) \|$", page, re.MULTILINE)
    listed = {frozenset(re.findall(r"`(\S+)\.ckpt`", files)): stems for files, stems in rows}
    known = {
        frozenset(name for names in listed for name in names if name in model.title): model.config
        for model in KNOWN_MODELS.values()
    }
    assert listed.keys() == known.keys()
    assert len(known) == len(KNOWN_MODELS)
    for names, config in known.items():
        only = config.training.target_instrument
        rest = f", and {config.residual} by subtraction" if only else ""
        assert listed[names] == ", ".join(config.stems) + rest


def test_the_error_that_is_quoted_is_what_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    wide = tiny(width=64)
    save_model(tmp_path / "model.ckpt", wide, config=config_data(wide, model={"num_channels": 128}))
    Path("model.yaml").rename("config.yaml")
    soundfile.write("SONG.flac", [[0.0, 0.0]] * 100, 44_100)
    assert main(["separate", "SONG.flac", "-o", "stems", "-m", "model.ckpt", "--config", "config.yaml"]) == 4
    quoted = [block.text for block in blocks("text") if block.text.startswith("error: config ")]
    assert quoted == [capsys.readouterr().err]


def test_the_base_installation_and_the_demonstration_need_no_pytorch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert not [name for name in project["dependencies"] if "torch" in name or "safetensors" in name]
    demo = re.search(
        r"^\$\(VENV\)/\.installed-base:.*?(?=^\S)", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL
    )
    assert demo is not None
    assert "--editable .\n" in demo[0]
