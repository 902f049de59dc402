"""Whatever is wrong with a checkpoint or its config: one line, exit code 4, and nothing is written."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.engine.mdx23c_models import TINY, Tensors, config_data, random_tensors, save_model, tiny
from tests.streamer.cli.conftest import Command, files_in, write_noise

Spoil = Callable[[Path], object]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def bytes_of(contents: bytes) -> Spoil:
    """Put these bytes in the checkpoint's place, with a good config beside it."""

    def spoil(path: Path) -> None:
        save_model(path)
        path.write_bytes(contents)

    return spoil


def cut_to(share: float) -> Spoil:
    def spoil(path: Path) -> None:
        save_model(path)
        contents = path.read_bytes()
        path.write_bytes(contents[: int(share * len(contents))])

    return spoil


def with_tensors(change: Callable[[Tensors], Any]) -> Spoil:
    def spoil(path: Path) -> None:
        tensors = random_tensors(TINY)
        change(tensors)
        save_model(path, tensors=tensors)

    return spoil


def with_stems(*stems: str, target: str | None = None) -> Spoil:
    training = {"instruments": list(stems), "target_instrument": target}
    architecture = tiny(outputs=1 if target else max(1, len(stems)))
    return lambda path: save_model(path, architecture, config=config_data(architecture, training=training))


def set_nan(tensors: Tensors) -> None:
    tensors["final_conv.2.weight"][0, 0] = torch.nan


def drop_blocks(tensors: Tensors) -> None:
    for name in [name for name in tensors if ".tfc2." in name]:
        del tensors[name]


def add_tensors(tensors: Tensors) -> None:
    tensors.update({f"extra.{n}.weight": torch.ones(2) for n in range(12)})


class Filling:
    """Takes three gigabytes when it is unpickled in good faith."""

    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (3 * 10**9,)


BAD: dict[str, tuple[Spoil, str]] = {
    "empty": (bytes_of(b""), "is empty: download it again"),
    "ten bytes": (bytes_of(b"0123456789"), "is neither a PyTorch nor a safetensors file, it begins with b'0123456789'"),
    "ten bytes of a zip": (bytes_of(b"PK\x03\x04\x00\x00\x08\x08\x00\x00"), "cannot be read ("),
    "ten bytes of a pickle": (bytes_of(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 "), "cannot be read ("),
    "text": (bytes_of(b"<!DOCTYPE html><html>404</html>\n" * 50), "it begins with b'<!DOCTYPE html><html>404'"),
    "another magic": (bytes_of(b"RIFF\x00\x00\x00\x00WAVEfmt "), "it begins with b'RIFF"),
    "an archive of something else": (bytes_of(b"PK\x03\x04" + bytes(2000)), "cannot be read ("),
    "half": (cut_to(0.5), "cannot be read ("),
    "all but its end": (cut_to(0.999), "cannot be read ("),
    "nan": (with_tensors(set_nan), "holds values that are not finite in 'final_conv.2.weight'"),
    "missing tensors": (with_tensors(drop_blocks), "(30 missing: encoder_blocks.0.tfc_tdf.blocks.0.tfc2.0.weight, "),
    "extra tensors": (with_tensors(add_tensors), "extra.9.weight and 2 more): download it again"),
    "the config of another model": (
        lambda path: save_model(path, config=config_data(tiny(growth=4, bands=4))),
        "has model.num_subbands 4 where checkpoint ",
    ),
    "the transform of another model": (
        lambda path: save_model(path, config=config_data(TINY, audio={"n_fft": 16})),
        "has audio.n_fft 16, which gives 9 bins, where checkpoint ",
    ),
    "no stems": (with_stems(), "has training.instruments []: "),
    "a stem twice": (with_stems("vocals", "Vocals"), "each name must be there once"),
    "more stems than the file": (
        lambda path: save_model(path, config=config_data(TINY, training={"instruments": ["a", "b", "c"]})),
        "has training.instruments 3 (a, b, c) where checkpoint ",
    ),
    "a stem with a slash": (with_stems("vocals", "a/b"), "names a stem 'a/b': stem names become file names"),
    "a stem with a backslash": (with_stems("vocals", "a\\b"), "names a stem 'a\\\\b'"),
    "a stem that leads out": (with_stems("vocals", "../../up"), "names a stem '../../up'"),
    "a stem that is the folder": (with_stems("vocals", "."), "names a stem '.'"),
    "a stem that is the folder above": (with_stems("vocals", ".."), "names a stem '..'"),
    "a stem without a name": (with_stems("vocals", ""), "names a stem ''"),
    "a stem that is hidden": (with_stems("vocals", ".b"), "names a stem '.b'"),
    "a window beyond all memory": (
        lambda path: save_model(path, config=config_data(TINY, window=2**48)),
        "has audio.chunk_size 281474976710656: input should be less than or equal to 16777216",
    ),
    "an overlap beyond the window": (
        lambda path: save_model(path, config=config_data(TINY, inference={"num_overlap": 121})),
        "has inference.num_overlap 121: it must be at most audio.chunk_size, 120",
    ),
    "an activation beyond all numbers": (
        lambda path: save_model(path, config=config_data(TINY, model={"act": "elu" + "9" * 41})),
        "allowed are 'gelu', 'relu' and 'elu' with its alpha below 10,000",
    ),
    "a call that fills memory": (
        lambda path: save_model(path, tensors={"state": random_tensors(TINY), "beside": Filling()}),
        "is refused: it asks for 'builtins.bytearray' when it is read",
    ),
    "a target that leads out": (with_stems("../up", "other", target="../up"), "names a stem '../up'"),
    "an empty config": (
        lambda path: save_model(path).with_suffix(".yaml").write_text(""),
        "it must be a mapping with the sections",
    ),
    "a config that is no text": (
        lambda path: save_model(path).with_suffix(".yaml").write_bytes(b"\xff\xfe\x00"),
        "name a YAML file saved as UTF-8 text",
    ),
    "a config that calls something": (
        lambda path: save_model(path).with_suffix(".yaml").write_text("audio: !!python/object/apply:os.getcwd []"),
        "is not a YAML file of plain data",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_it_is_refused_in_one_line_with_code_4_and_nothing_is_written(
    tmp_path: Path, command: Command, kind: str
) -> None:
    spoil, said = BAD[kind]
    spoil(tmp_path / "model.ckpt")
    song = write_noise(tmp_path / "song.wav", frames=2000)
    before = {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)}
    for use in (("separate", song, "-o", tmp_path / "out"), ("play", song, "-o", "none", "--save", tmp_path / "out")):
        ended = command(*use, "-m", tmp_path / "model.ckpt")
        assert ended.code == 4
        assert said in ended.error
        assert ended.out == ""
        assert len(ended.err.splitlines()) == 1
    assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)} == before
    assert not (tmp_path / "out").exists()
    ended = command("models", "info", tmp_path / "model.ckpt")
    assert ended.code == 4
    assert said in ended.error


def test_all_missing_tensors_are_counted_and_ten_are_named(tmp_path: Path, command: Command) -> None:
    BAD["missing tensors"][0](tmp_path / "model.ckpt")
    song = write_noise(tmp_path / "song.wav", frames=2000)
    ended = command("separate", song, "-o", tmp_path / "out", "-m", tmp_path / "model.ckpt")
    told = re.search(r"\((\d+) missing: (.*) and (\d+) more\)", ended.error)
    assert told is not None
    named = told[2].split(", ")
    assert (len(named), int(told[3])) == (10, int(told[1]) - 10)
    assert int(told[1]) == sum(".tfc2." in name for name in random_tensors(TINY))


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_without_pytorch_one_line_names_the_extra(tmp_path: Path, suffix: str) -> None:
    path = save_model(tmp_path / f"model{suffix}")
    song = write_noise(tmp_path / "song.wav", frames=2000)
    # A process of its own, in which PyTorch cannot be imported: as in an installation without the extra.
    code = "import sys; sys.modules['torch'] = None; from streamer.cli import main; sys.exit(main(sys.argv[1:]))"
    for use in (("separate", song, "-o", tmp_path / "out", "-m", path), ("models", "info", path)):
        ended = subprocess.run([sys.executable, "-c", code, *map(str, use)], capture_output=True, text=True)
        assert ended.returncode == 4
        assert ended.stderr == (
            f"error: model '{path}' is a PyTorch checkpoint, and PyTorch cannot be imported: "
            "pip install 'stemstream[torch]'\n"
        )
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_with_numbers_of_numpys_beside_the_weights_is_used(tmp_path: Path, command: Command) -> None:
    training = {"model_state_dict": random_tensors(TINY), "epoch": 3, "best_metric": np.float64(9.5)}
    path = save_model(tmp_path / "model.ckpt", tensors=training)
    song = write_noise(tmp_path / "song.wav", frames=2000)
    assert command("separate", song, "-o", tmp_path / "out", "-m", path).code == 0
    assert files_in(tmp_path / "out") == ["song/other.wav", "song/vocals.wav"]
