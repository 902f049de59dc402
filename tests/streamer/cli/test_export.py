"""``stemstream export``: one command from a checkpoint to a file that the other commands take."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from engine.models import mdx23c_graph
from tests.engine.mdx23c_models import Golden
from tests.engine.onnx_exports import save_tiny
from tests.streamer.cli.conftest import Command, files_in, run_process, write_noise


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save_tiny(tmp_path)


@pytest.mark.parametrize("part", ["core", "waveform"])
def test_a_file_is_separated_by_an_export_as_by_its_checkpoint(tmp_path: Path, command: Command, part: str) -> None:
    golden = Golden("two_stems")
    song, model = write_noise(tmp_path / "song.wav"), tmp_path / "model.onnx"
    options = ("--config", golden.config)
    ended = command("export", golden.checkpoint, "-o", model, *options, "--part", part)
    assert (ended.code, ended.out) == (0, f"{model}\n")
    assert command("separate", song, "-o", tmp_path / "onnx", "-m", model).code == 0
    assert command("separate", song, "-o", tmp_path / "torch", "-m", golden.checkpoint, *options).code == 0
    assert files_in(tmp_path / "onnx") == files_in(tmp_path / "torch") == ["song/other.wav", "song/vocals.wav"]
    for name in files_in(tmp_path / "onnx"):
        found, wanted = (soundfile.read(tmp_path / kind / name)[0] for kind in ("onnx", "torch"))
        assert np.abs(wanted).max() > 0.01
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


def test_a_check_tells_the_difference_for_each_stem(tmp_path: Path, checkpoint: Path, command: Command) -> None:
    ended = command("export", checkpoint, "-o", tmp_path / "a.onnx", "--check")
    assert ended.code == 0
    *stems, path = ended.out.splitlines()
    assert path == str(tmp_path / "a.onnx")
    assert [line.split()[:3] for line in stems] == [["vocals", "max", "difference"], ["other", "max", "difference"]]
    assert all(float(line.split()[3]) < 1e-4 and line.endswith(" dB") for line in stems)
    assert "checking two windows of 0.00 s against PyTorch" in ended.err


def test_a_check_hears_the_file_that_is_named(tmp_path: Path, checkpoint: Path, command: Command) -> None:
    song, silence = write_noise(tmp_path / "song.wav"), tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros((1000, 2)), 44_100)
    ended = command("export", checkpoint, "-o", tmp_path / "a.onnx", "--precision", "fp16", "--check", song, "--json")
    assert ended.code == 0
    told = json.loads(ended.out)
    assert (told["path"], told["part"], told["precision"]) == (str(tmp_path / "a.onnx"), "waveform", "fp16")
    assert told["size_bytes"] == (tmp_path / "a.onnx").stat().st_size
    assert (told["check"]["batches"], told["check"]["window_frames"]) == ([1, 2], 120)
    assert set(told["check"]["stems"]) == {"vocals", "other"}
    assert all(40.0 < each["sdr_db"] < 100.0 for each in told["check"]["stems"].values())
    ended = command("export", checkpoint, "-o", tmp_path / "b.onnx", "--check", silence)
    assert (ended.code, ended.error) == (2, "error: the audio to check with is silent: give some with sound in it")
    ended = command("export", checkpoint, "-o", tmp_path / "b.onnx", "--check", tmp_path / "none.wav")
    assert ended.code == 1
    assert "none.wav" in ended.error
    assert not (tmp_path / "b.onnx").exists()


def test_what_is_not_checked_is_told_as_not_checked(tmp_path: Path, checkpoint: Path, command: Command) -> None:
    ended = command("export", checkpoint, "-o", tmp_path / "a.onnx", "--json")
    assert json.loads(ended.out)["check"] is None


def test_it_works_as_a_process_of_its_own(tmp_path: Path, checkpoint: Path) -> None:
    ended = run_process("export", checkpoint, "-o", tmp_path / "a.onnx")
    assert (ended.code, ended.out) == (0, f"{tmp_path / 'a.onnx'}\n")
    assert "warning" not in ended.err.lower()
    ended = run_process("export", checkpoint, "-o", tmp_path / "a.onnx")
    assert (ended.code, ended.out) == (4, "")
    assert ended.error.endswith("a.onnx' exists: choose another file name, or replace it with --overwrite")
    assert run_process("export", checkpoint, "-o", tmp_path / "a.onnx", "--overwrite").code == 0


class TestRefusals:
    def test_a_file_that_fails_its_check_is_not_left_behind(
        self, tmp_path: Path, checkpoint: Path, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mdx23c_graph, "_EPSILON", 0.1)
        ended = command("export", checkpoint, "-o", tmp_path / "a.onnx", "--check")
        assert ended.code == 4
        assert "stem 'vocals' differs from PyTorch's by" in ended.error
        assert files_in(tmp_path) == ["model.ckpt", "model.yaml"]

    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            (("spatial",), 4, "model 'spatial' is no checkpoint: only those of MDX23C models can be exported"),
            (("none.ckpt",), 4, "checkpoint 'none.ckpt' does not exist: check the path"),
            (("a.onnx",), 4, "model 'a.onnx' is an ONNX file already: it is used as it is"),
            (("a.ckpt", "song.wav"), 2, "audio 'song.wav' was given to check with: add --check, or leave it out"),
            (("a.ckpt", "--part", "half"), 2, "'half'"),
            (("a.ckpt", "--precision", "bf16"), 2, "'bf16'"),
        ],
    )
    def test_what_cannot_be_exported_is_one_line(
        self,
        tmp_path: Path,
        command: Command,
        monkeypatch: pytest.MonkeyPatch,
        words: tuple[str, ...],
        code: int,
        said: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        ended = command("export", *words, "-o", "out.onnx")
        assert ended.code == code
        assert said in ended.error
        assert files_in(tmp_path) == []

    @pytest.mark.parametrize("package", ["torch", "onnx"])
    def test_a_missing_package_names_the_extra(
        self, tmp_path: Path, checkpoint: Path, command: Command, monkeypatch: pytest.MonkeyPatch, package: str
    ) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        ended = command("export", checkpoint, "-o", tmp_path / "a.onnx")
        assert ended.code == 4
        assert ended.error.endswith("pip install 'stemstream[torch]'")

    def test_a_place_that_cannot_be_written_to_is_told(
        self, tmp_path: Path, checkpoint: Path, command: Command
    ) -> None:
        (tmp_path / "in the way").write_bytes(b"")
        ended = command("export", checkpoint, "-o", tmp_path / "in the way" / "a.onnx")
        assert ended.code == 1
        assert "choose another with -o" in ended.error

    def test_an_interruption_leaves_nothing(
        self, tmp_path: Path, checkpoint: Path, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("engine.export.check_export", interrupt)
        assert command("export", checkpoint, "-o", tmp_path / "a.onnx", "--check").code == 130
        assert files_in(tmp_path) == ["model.ckpt", "model.yaml"]
