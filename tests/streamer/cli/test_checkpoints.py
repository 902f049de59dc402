"""``-m model.ckpt``: a PyTorch checkpoint on the command line, and what is said where it cannot be used."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests.docs.pages import commands
from tests.engine.mdx23c_models import STRIDE, TINY, Golden, config_data, random_tensors, save_model
from tests.streamer.cli.conftest import RATE, Command, files_in, write_noise


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def short(tmp_path: Path) -> Path:
    return write_noise(tmp_path / "short.wav", frames=2500)


@pytest.fixture
def reverb(tmp_path: Path) -> Path:
    """A checkpoint whose stems are spelt with capitals and a space."""
    config = config_data(TINY, training={"instruments": ["No Reverb", "Reverb"]})
    return save_model(tmp_path / "reverb.ckpt", config=config)


def test_a_file_is_separated_as_by_the_reference(tmp_path: Path, command: Command) -> None:
    golden = Golden("two_stems")
    for overlap, track, expected in golden.tracks:
        soundfile.write(tmp_path / "track.wav", track.T, RATE, "FLOAT")
        out = tmp_path / f"out{overlap}"
        # The operations of the reference, in its order.
        plain = ("--backend", "eager", "--precision", "fp32")
        options = ("-m", golden.checkpoint, "--config", golden.config, "--overlap", overlap, *plain)
        assert command("separate", tmp_path / "track.wav", "-o", out, *map(str, options)).code == 0
        assert files_in(out) == ["track/other.wav", "track/vocals.wav"]
        for stem, wanted in zip(("vocals", "other"), expected, strict=True):
            audio = soundfile.read(out / "track" / f"{stem}.wav", dtype="float32")[0].T
            assert audio.shape == track.shape
            np.testing.assert_allclose(audio[:, ::STRIDE], wanted, rtol=0, atol=1e-5)


def test_a_target_comes_with_what_it_leaves(tmp_path: Path, short: Path, command: Command) -> None:
    golden = Golden("target_only")
    model = ("-m", golden.checkpoint, "--config", golden.config)
    assert command("separate", short, "-o", tmp_path / "out", *model).code == 0
    assert files_in(tmp_path / "out") == ["short/other.wav", "short/vocals.wav"]
    stems = [soundfile.read(tmp_path / "out" / "short" / name)[0] for name in ("other.wav", "vocals.wav")]
    np.testing.assert_allclose(sum(stems), soundfile.read(short)[0], atol=1e-6)


def test_stems_are_chosen_in_any_case_and_written_in_lower_case(
    tmp_path: Path, short: Path, reverb: Path, command: Command
) -> None:
    ended = command("separate", short, "-o", tmp_path / "a", "-m", reverb, "--stem", "no reverb", "--stem", "NO REVERB")
    assert ended.code == 0
    assert files_in(tmp_path / "a") == ["short/no reverb.wav"]
    assert command("separate", short, "-o", tmp_path / "b", "-m", reverb, "--two-stems", "reverb").code == 0
    assert files_in(tmp_path / "b") == ["short/no_reverb.wav", "short/reverb.wav"]
    ended = command("separate", short, "-o", tmp_path / "c", "-m", reverb, "--stem", "vocals")
    assert ended.code == 2
    assert ended.error == "error: --stem 'vocals' is unknown: this model gives No Reverb, Reverb"


def test_a_file_is_played_through_it(tmp_path: Path, short: Path, reverb: Path, command: Command) -> None:
    config = tmp_path / "config.yaml"
    reverb.with_suffix(".yaml").rename(config)
    ended = command(
        "play",
        short,
        "-o",
        "none",
        "--pace",
        "fast",
        "-m",
        reverb,
        "--config",
        config,
        "--save",
        tmp_path / "s",
        "--json",
    )
    assert ended.code == 0
    assert json.loads(ended.out)["model"] == "reverb"
    stems = [soundfile.read(tmp_path / "s" / "short" / name)[0] for name in ("no reverb.wav", "reverb.wav")]
    np.testing.assert_allclose(sum(stems), soundfile.read(short)[0], atol=1e-6)


COMMANDS = [command for _, command in commands() if command.startswith("stemstream") and "model.ckpt" in command]


@pytest.mark.parametrize("told", COMMANDS)
def test_the_commands_of_the_documentation_work(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "model.ckpt")
    (tmp_path / "model.yaml").rename(tmp_path / "config.yaml")
    soundfile.write("SONG.flac", soundfile.read(write_noise(Path("noise.wav"), frames=2500))[0], RATE)
    assert command(*shlex.split(told)[1:]).code == 0


class Payload:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._folder),)


@pytest.mark.parametrize("words", [("separate", "-o", "out"), ("play", "-o", "none")])
class TestRefusals:
    def test_without_pytorch_the_extra_is_named(
        self, tmp_path: Path, short: Path, command: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setitem(sys.modules, "torch", None)
        ended = command(*words, short, "-m", "model.ckpt")
        assert ended.code == 4
        assert ended.error == (
            "error: model 'model.ckpt' is a PyTorch checkpoint, and PyTorch cannot be imported: "
            "pip install 'stemstream[torch]'"
        )

    def test_a_missing_config_names_the_remedy(
        self, tmp_path: Path, short: Path, command: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        save_model(tmp_path / "model.ckpt", has_config=False)
        ended = command(*words, short, "-m", "model.ckpt")
        assert ended.code == 4
        assert "needs its config, which is not known for this file: name the YAML file" in ended.error
        assert files_in(tmp_path) == ["model.ckpt", "short.wav"]

    def test_a_wrong_config_names_the_key_and_both_values(
        self, tmp_path: Path, short: Path, command: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        save_model(tmp_path / "model.ckpt", config=config_data(TINY, model={"growth": 128}))
        ended = command(*words, short, "-m", "model.ckpt")
        assert ended.code == 4
        assert "config 'model.yaml' has model.growth 128 where checkpoint 'model.ckpt' has 2" in ended.error

    def test_a_payload_does_not_run(
        self, tmp_path: Path, short: Path, command: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        proof = tmp_path / "it ran"
        save_model(tmp_path / "model.ckpt", tensors={**random_tensors(TINY), "x": Payload(proof)})
        ended = command(*words, short, "-m", "model.ckpt")
        assert ended.code == 4
        assert "is refused: it asks for 'posix.mkdir' when it is read" in ended.error
        assert not proof.exists()

    def test_a_config_for_a_model_that_takes_none_is_a_usage_error(
        self, tmp_path: Path, short: Path, command: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        ended = command(*words, short, "-m", "spatial", "--config", "model.yaml")
        assert ended.code == 2
        assert ended.error.startswith("error: config 'model.yaml' was given with model 'spatial': only checkpoints")


def test_stems_are_done_for_the_precision_that_made_them(tmp_path: Path, short: Path, command: Command) -> None:
    model = ("-m", save_model(tmp_path / "tiny.ckpt"), "-o", tmp_path / "out")

    def is_done(*options: str) -> bool:
        ended = command("separate", short, *map(str, model), *options)
        assert ended.code == 0, ended.err
        return "done before" in ended.err

    assert not is_done("--precision", "bf16")
    assert is_done("--precision", "bf16")
    assert not is_done("--precision", "fp32", "--overwrite")
    assert is_done("--precision", "fp32")
    assert not is_done("--overwrite")
    assert is_done()
