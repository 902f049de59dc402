"""``stemstream play`` ahead of the play head, to nobody: what is heard, kept and saved, and what is said in trouble."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.engine.mdx23c_models import save_model
from tests.streamer.cli.conftest import Command, files_in, run_process, start_process, write_noise


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMSTREAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def nobody(tiny: Path) -> tuple[str | Path, ...]:
    return "--output", "none", "-m", tiny


def test_what_was_heard_is_summed_up(song: Path, command: Command, nobody: tuple[str | Path, ...]) -> None:
    ended = command("play", song, *nobody)
    assert ended.code == 0
    assert ended.out.splitlines()[0] == "heard     22051 frames, 1 jump(s)"
    assert ended.out.splitlines()[1].startswith("coverage  100.00 % of the sound was separated")
    assert "playing 1 of 1, song.wav, 0.5 s" in ended.err


def test_stems_are_those_of_separate_and_count_as_done(
    tmp_path: Path, song: Path, command: Command, nobody: tuple[str | Path, ...], tiny: Path
) -> None:
    played, separated = tmp_path / "played", tmp_path / "separated"
    ended = command("play", song, *nobody, "--save", played, "--start", "0.3")
    assert ended.code == 0
    assert [str(played / "song" / name) in ended.out for name in ("quarter.wav", "other.wav")] == [True, True]
    assert command("separate", song, "-o", separated, "-m", tiny).code == 0
    for name in ("quarter.wav", "other.wav"):
        one, other = (soundfile.read(folder / "song" / name)[0] for folder in (played, separated))
        np.testing.assert_allclose(one, other, atol=1e-6)
    before = (played / "song" / "other.wav").stat().st_mtime_ns
    assert command("separate", song, "-o", played, "-m", tiny).code == 0
    assert (played / "song" / "other.wav").stat().st_mtime_ns == before


def test_a_loop_is_played_once_to_nobody(song: Path, command: Command, nobody: tuple[str | Path, ...]) -> None:
    told = json.loads(command("play", song, *nobody, "--loop", "0.1-0.2", "--json").out)
    assert (told["frames"], told["coverage"]) == (4410, 1.0)


def test_a_folder_is_a_queue_and_what_is_broken_in_it_is_named(
    tmp_path: Path, command: Command, nobody: tuple[str | Path, ...]
) -> None:
    for number in (1, 3):
        write_noise(tmp_path / "album" / f"{number}.wav", frames=4000)
    (tmp_path / "album" / "2.flac").write_bytes(b"fLaC and no more")
    ended = command("play", tmp_path / "album", *nobody)
    assert ended.code == 1
    assert "heard     8000 frames" in ended.out
    (line,) = [line for line in ended.err.splitlines() if "skipped" in line]
    assert "2.flac" in line


def test_a_file_that_is_gone_among_others_is_named_and_the_rest_is_played(
    tmp_path: Path, song: Path, command: Command, nobody: tuple[str | Path, ...]
) -> None:
    ended = command("play", tmp_path / "gone.wav", song, *nobody)
    assert ended.code == 1
    assert "heard     22051 frames" in ended.out
    assert len([line for line in ended.err.splitlines() if "gone.wav" in line]) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--mute", "tuba"), "tuba"),
        (("--solo", "tuba"), "tuba"),
        (("--gain", "tuba=-3"), "tuba"),
        (("--preset", "karaoke"), "preset 'karaoke' is about vocals, and the model's stems are quarter, other"),
        (("--start", "soon"), "--start 'soon'"),
        (("--start", "-1"), "-1"),
        (("--loop", "0.1"), "--loop '0.1' is no stretch"),
        (("--loop", "0.2-0.1"), "too short"),
        (("--cache-gb", "-1"), "--cache-gb -1 is no size"),
        (("--overlap", "0"), "overlap"),
        (("--batch-size", "0"), "batch"),
        (("--block-frames", "0"), "block_frames=0"),
        (("--backend", "jax"), "backend 'jax' is not known: use auto, torch, eager, compiled, onnx"),
        (("--device", "tpu"), "device 'tpu' is not known"),
        (("--precision", "fp8"), "precision 'fp8' is not known"),
    ],
)
def test_an_option_that_makes_no_sense_ends_with_code_2_in_one_line(
    song: Path, command: Command, nobody: tuple[str | Path, ...], options: tuple[str, ...], said: str
) -> None:
    ended = command("play", song, *nobody, *options)
    assert ended.code == 2
    assert said in ended.error


def test_songs_that_cannot_be_read_end_with_code_1(
    tmp_path: Path, command: Command, nobody: tuple[str | Path, ...]
) -> None:
    (tmp_path / "empty").mkdir()
    for place in ("gone.wav", "empty"):
        ended = command("play", tmp_path / place, *nobody)
        assert ended.code == 1
        assert place in ended.error


def test_a_model_that_is_not_there_ends_with_code_4(song: Path, command: Command) -> None:
    ended = command("play", song, "-o", "none", "-m", "nowhere.onnx")
    assert ended.code == 4
    assert "nowhere.onnx" in ended.error


def test_stems_that_cannot_be_saved_are_told_and_the_song_is_heard(
    tmp_path: Path, song: Path, command: Command, nobody: tuple[str | Path, ...]
) -> None:
    (tmp_path / "out").write_text("a file in its place")
    ended = command("play", song, *nobody, "--save", tmp_path / "out")
    assert ended.code == 1
    assert "heard     22051 frames" in ended.out
    assert len([line for line in ended.err.splitlines() if "not saved" in line]) == 1


def test_a_cache_that_cannot_be_written_to_is_told_once_and_the_song_is_heard(
    song: Path, command: Command, nobody: tuple[str | Path, ...], cache: Path
) -> None:
    cache.write_text("a file in its place")
    ended = command("play", song, *nobody, "--finish", "exit")
    assert ended.code == 0
    assert "coverage  100.00 %" in ended.out
    assert len([line for line in ended.err.splitlines() if "cannot be written" in line]) == 1


def test_a_damaged_entry_is_told_and_made_again(
    song: Path, command: Command, nobody: tuple[str | Path, ...], cache: Path
) -> None:
    play = ("play", song, *nobody, "--finish", "exit")
    assert command(*play).code == 0
    (stem,) = cache.rglob("stem-0.flac")
    data = bytearray(stem.read_bytes())
    data[len(data) // 2] ^= 0xFF
    stem.write_bytes(data)
    ended = command(*play)
    assert ended.code == 0
    assert "coverage  100.00 %" in ended.out
    assert len([line for line in ended.err.splitlines() if "damaged" in line]) == 1
    assert json.loads(command(*play, "--json").out)["counters"]["windows"] == 0


def test_a_device_that_is_not_there_ends_with_code_3_and_leaves_nothing(tmp_path: Path, song: Path) -> None:
    ended = run_process("play", song, "--output", "9999", "--save", tmp_path / "out")
    assert ended.code == 3
    assert len([line for line in ended.err.splitlines() if line.startswith("error: ")]) == 1
    assert not (tmp_path / "out").exists() or not files_in(tmp_path / "out")


def test_after_a_kill_the_next_start_saves_all(tmp_path: Path, cache: Path, tiny: Path) -> None:
    song = write_noise(tmp_path / "long.wav", seconds=60.0)
    told = ("play", song, "--output", "none", "-m", tiny, "--save", tmp_path / "out")
    with start_process(*told) as process:
        while not list((tmp_path / "out").rglob("*.part")):
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    assert not list((tmp_path / "out").rglob("*.wav"))
    # What is being written is hidden until it is whole.
    assert all(any(part.startswith(".") for part in path.parts) for path in cache.rglob("*.flac"))
    ended = run_process(*told)
    assert ended.code == 0
    assert sorted(path.name for path in (tmp_path / "out").rglob("[!.]*.wav")) == ["other.wav", "quarter.wav"]


def test_a_checkpoint_is_played_on_what_is_asked_for_and_kept_by_its_precision(
    tmp_path: Path, command: Command, one_thread: None
) -> None:
    song = write_noise(tmp_path / "short.wav", frames=2500)
    model = save_model(tmp_path / "model.ckpt")
    play = ("play", song, "--output", "none", "-m", model, "--finish", "exit", "--json", "--backend", "eager")
    for precision, is_kept in (("fp32", False), ("fp32", True), ("auto", False)):
        ended = command(*play, "--precision", precision)
        assert ended.code == 0
        assert (json.loads(ended.out)["counters"]["windows"] == 0) == is_kept


def test_the_live_path_takes_what_the_model_runs_on(song: Path, command: Command, tiny: Path) -> None:
    live = ("play", song, "--output", "none", "-m", tiny, "--pace", "fast")
    assert command(*live, "--backend", "onnx").code == 0
    assert command(*live, "--backend", "eager").code == 4
