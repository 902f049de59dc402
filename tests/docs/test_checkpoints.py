"""What the documentation says about PyTorch checkpoints is what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import soundfile

from engine.public_models import PUBLIC_MODELS
from streamer.cli import main
from tests.docs.pages import ROOT, blocks
from tests.engine.mdx23c_models import config_data, save_model, tiny


def test_the_public_models_are_those_in_the_table() -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(mdx23c[\w-]*)` \| (.*\.ckpt`) \| (.*) \| (.*) \|$", page, re.MULTILINE)
    assert [name for name, *_ in rows] == [model.name for model in PUBLIC_MODELS]
    for (_, files, stems, size), model in zip(rows, PUBLIC_MODELS, strict=True):
        config = model.config
        assert tuple(re.findall(r"`(\S+\.ckpt)`", files)) == model.files
        rest = f", and {config.residual} by subtraction" if config.training.target_instrument else ""
        assert stems == ", ".join(config.stems) + rest
        assert size == (f"{model.size_bytes / 1e6:.0f} MB" if model.size_bytes else "not stated")
        assert (config.audio.sample_rate, config.audio.num_channels) == (44_100, 2)


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
