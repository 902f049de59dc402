"""``stemstream separate`` on folders, again, in part, and into integers."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.streamer.cli.conftest import RATE, Command, files_in, start_process, write_noise

STEMS = ("other", "quarter")


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = tmp_path / "songs"
    for number, name in enumerate(("2.wav", "10.wav", "live/2.wav", "live/late/a.wav")):
        write_noise(folder / name, frames=3000 + number)
    (folder / "cover.jpg").write_text("a picture")
    return folder


def stems_of(*tracks: str) -> list[str]:
    return sorted(f"{track}/{stem}.wav" for track in tracks for stem in STEMS)


# Folders


def test_the_songs_of_a_folder_are_separated_in_their_order(
    tmp_path: Path, songs: Path, tiny: Path, command: Command
) -> None:
    ended = command("separate", songs, "-o", tmp_path / "out", "-m", tiny)
    assert ended.code == 0
    assert files_in(tmp_path / "out") == stems_of("2", "10")
    assert [Path(line).parent.name for line in ended.out.splitlines()] == ["2", "2", "10", "10"]


@pytest.mark.parametrize("jobs", [1, 3])
def test_folders_in_folders_keep_songs_of_one_name_apart(
    tmp_path: Path, songs: Path, tiny: Path, command: Command, jobs: int
) -> None:
    ended = command("separate", songs, "-o", tmp_path / "out", "-m", tiny, "--recursive", "-j", str(jobs))
    assert ended.code == 0
    assert files_in(tmp_path / "out") == stems_of("2", "10", "live/2", "live/late/a")
    assert soundfile.info(tmp_path / "out" / "live" / "2" / "other.wav").frames == 3002


def test_a_template_has_its_place_below_the_folders(tmp_path: Path, songs: Path, tiny: Path, command: Command) -> None:
    template = ("--filename", "{suffix} {track} {stem}.{ext}", "--stem", "other")
    assert command("separate", songs, "-o", tmp_path / "out", "-m", tiny, "--recursive", *template).code == 0
    assert files_in(tmp_path / "out") == [
        *("live/late/wav a other.wav", "live/wav 2 other.wav"),
        *("wav 10 other.wav", "wav 2 other.wav"),
    ]


def test_stems_in_the_folder_of_the_songs_are_not_separated_again(songs: Path, tiny: Path, command: Command) -> None:
    for _ in range(2):
        assert command("separate", songs, "-o", songs, "-m", tiny, "--recursive").code == 0
        assert command("separate", songs, "-o", songs / "stems", "-m", tiny, "--recursive").code == 0
    made = stems_of("2", "10", "live/2", "live/late/a")
    assert [name for name in files_in(songs) if name.startswith("stems/")] == [f"stems/{name}" for name in made]
    assert not [name for name in files_in(songs) if "other/" in name]


def test_a_folder_without_songs_is_an_error_and_the_others_go_on(
    tmp_path: Path, songs: Path, tiny: Path, command: Command
) -> None:
    (tmp_path / "empty").mkdir()
    ended = command("separate", tmp_path / "empty", songs, "-o", tmp_path / "out", "-m", tiny)
    assert ended.code == 1
    assert "is a folder without songs: looked for files that end in .wav" in ended.error
    assert files_in(tmp_path / "out") == stems_of("2", "10")


def test_songs_of_one_name_and_two_kinds_are_told_apart_by_their_suffix(
    tmp_path: Path, songs: Path, tiny: Path, command: Command
) -> None:
    soundfile.write(songs / "2.flac", np.zeros((100, 2)), RATE)
    ended = command("separate", songs, "-o", tmp_path / "out", "-m", tiny)
    assert ended.code == 2
    assert "put {suffix} into --filename, as in '{track}.{suffix}/{stem}.{ext}'" in ended.error
    ended = command(
        "separate", songs, "-o", tmp_path / "out", "-m", tiny, "--filename", "{track}.{suffix}/{stem}.{ext}"
    )
    assert ended.code == 0
    assert files_in(tmp_path / "out") == stems_of("2.flac", "2.wav", "10.wav")


# Again


def test_what_was_done_is_skipped_and_said(tmp_path: Path, songs: Path, tiny: Path, command: Command) -> None:
    first = command("separate", songs, "-o", tmp_path / "out", "-m", tiny)
    os.unlink(tmp_path / "out" / "10" / "other.wav")
    before = os.stat(tmp_path / "out" / "2" / "other.wav").st_mtime_ns
    again = command("separate", songs, "-o", tmp_path / "out", "-m", tiny, "--recursive")
    assert again.code == 0
    assert os.stat(tmp_path / "out" / "2" / "other.wav").st_mtime_ns == before
    assert "2.wav: done before with this model and these settings; --overwrite does it again" in again.err
    assert "10.wav: done again, for" in again.err
    assert "3 separated, 1 done before, 0 failed" in again.err
    assert set(first.out.splitlines()) <= set(again.out.splitlines())


def test_overwrite_does_all_of_it_again(tmp_path: Path, songs: Path, tiny: Path, command: Command) -> None:
    command("separate", songs, "-o", tmp_path / "out", "-m", tiny)
    ended = command("separate", songs, "-o", tmp_path / "out", "-m", tiny, "--overwrite")
    assert "2 separated, 0 done before" in ended.err


def test_another_file_of_the_same_name_is_another_model(
    tmp_path: Path, song: Path, tiny: Path, command: Command
) -> None:
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny.read_bytes())
    for name in (tiny.with_suffix(".yaml"),):
        if name.exists():
            model.with_suffix(".yaml").write_bytes(name.read_bytes())
    command("separate", song, "-o", tmp_path / "out", "-m", tiny)
    assert "done before" in command("separate", song, "-o", tmp_path / "out", "-m", model).err
    # A field that nobody reads, so that the model is the same in all but its bytes.
    model.write_bytes(model.read_bytes() + b"\x12\x01x")
    ended = command("separate", song, "-o", tmp_path / "out", "-m", model)
    assert "made by another model or with other settings" in ended.err


def test_an_interrupted_batch_goes_on_where_it_was(tmp_path: Path, tiny: Path, command: Command) -> None:
    short = write_noise(tmp_path / "songs" / "1.wav", frames=3000)
    long = write_noise(tmp_path / "songs" / "2.wav", 120, rate=8000, channels=1)
    with start_process("separate", short.parent, "-o", tmp_path / "out", "-j", "2") as process:
        while "2.wav" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert not [name for name in files_in(tmp_path / "out") if name.endswith(".part") or name.startswith("2/")]
    long.unlink()
    write_noise(long, frames=3000)
    assert command("separate", short.parent, "-o", tmp_path / "out").code == 0
    assert {name.split("/")[0] for name in files_in(tmp_path / "out")} == {"1", "2"}


def test_a_song_of_the_same_name_in_another_folder_is_another_song(
    tmp_path: Path, tiny: Path, command: Command
) -> None:
    first, second = (tmp_path / name / "mixture.wav" for name in "AB")
    for path, level in ((first, 0.1), (second, 0.2)):
        path.parent.mkdir()
        soundfile.write(path, np.full((3000, 2), level), RATE, "PCM_16")
    out = tmp_path / "out"
    assert command("separate", first, "-o", out, "-m", tiny).code == 0
    before = (out / "mixture" / "other.wav").read_bytes()
    ended = command("separate", second, "-o", out, "-m", tiny)
    assert ended.code == 1
    assert "was made of another file" in ended.error
    assert (out / "mixture" / "other.wav").read_bytes() == before
    assert command("separate", second, "-o", out, "-m", tiny, "--overwrite").code == 0
    assert "done before" in command("separate", second, "-o", out, "-m", tiny).err


def test_a_file_of_the_users_own_stays_unless_that_is_wished(
    tmp_path: Path, song: Path, tiny: Path, command: Command
) -> None:
    own = write_noise(tmp_path / "out" / "song" / "other.wav", frames=100)
    before = own.read_bytes()
    ended = command("separate", song, "-o", tmp_path / "out", "-m", tiny)
    assert ended.code == 1
    assert f"{str(own)!r} is there and was not made by this program: move it away" in ended.error
    assert files_in(tmp_path / "out") == ["song/other.wav"]
    assert own.read_bytes() == before
    assert command("separate", song, "-o", tmp_path / "out", "-m", tiny, "--overwrite").code == 0
    assert own.read_bytes() != before


def test_two_processes_on_one_folder_make_whole_stems(tmp_path: Path, tiny: Path) -> None:
    song = write_noise(tmp_path / "song.wav", 10)
    started = [start_process("separate", song, "-o", tmp_path / "out", "-m", tiny) for _ in range(2)]
    for process in started:
        with process:
            process.communicate(timeout=60)
        assert process.returncode == 0
    assert files_in(tmp_path / "out") == stems_of("song")
    heard = soundfile.read(song)[0]
    stems = [soundfile.read(tmp_path / "out" / name)[0] for name in files_in(tmp_path / "out")]
    np.testing.assert_allclose(sum(stems), heard, atol=1e-5)


def test_an_interruption_still_gives_the_report(tmp_path: Path, tiny: Path) -> None:
    short = write_noise(tmp_path / "songs" / "1.wav", frames=3000)
    write_noise(tmp_path / "songs" / "2.wav", 120, rate=8000, channels=1)
    with start_process("separate", short.parent, "-o", tmp_path / "out", "--json") as process:
        while "2.wav" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    report = json.loads(out)
    assert report["interrupted"] is True
    assert [entry["input"] for entry in report["files"]] == [str(short)]
    assert err.splitlines()[-1] == "interrupted"


# In part


def test_an_excerpt_is_that_stretch_of_the_whole(tmp_path: Path, song: Path, tiny: Path, command: Command) -> None:
    command("separate", song, "-o", tmp_path / "whole", "-m", tiny)
    ended = command("separate", song, "-o", tmp_path / "part", "-m", tiny, "--start", "0:00.2", "--duration", "0.1")
    assert ended.code == 0
    for stem in STEMS:
        whole, part = (soundfile.read(tmp_path / name / "song" / f"{stem}.wav")[0] for name in ("whole", "part"))
        np.testing.assert_array_equal(part, whole[8820:13_230])


def test_an_excerpt_behind_the_end_fails_that_file_alone(
    tmp_path: Path, song: Path, tiny: Path, command: Command
) -> None:
    long = write_noise(tmp_path / "long.wav", 2)
    ended = command("separate", song, long, "-o", tmp_path / "out", "-m", tiny, "--start", "1", "--duration", "60")
    assert ended.code == 1
    assert "song.wav' lasts 0.500023 s: there is nothing from 1 s on" in ended.error
    assert soundfile.info(tmp_path / "out" / "long" / "other.wav").frames == RATE


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--start", "-1"], "--start '-1' is no time"),
        (["--start", "nan"], "--start 'nan' is no time"),
        (["--duration", "1:75"], "--duration '1:75' is no time"),
        (["--duration", "0"], "duration 0 s cannot be used"),
        (["--clip", "scale"], "--clip scale is for integers"),
        (["-j", "0"], "jobs 0 cannot be used: give a whole number from 1 to 64"),
        (["--device", "tpu"], "device 'tpu' is not known: use auto, cpu, cuda, cuda:N, mps"),
        (["--backend", "jax"], "backend 'jax' is not known: use auto, torch, eager, compiled, onnx"),
        (["--precision", "int4"], "precision 'int4' is not known: use auto, fp32, bf16, fp16"),
        (["--batch-size", "many"], "--batch-size 'many' cannot be used: give a whole number from 1 to 1024, or auto"),
    ],
)
def test_a_setting_that_cannot_be_ends_with_code_2_before_anything_begins(
    tmp_path: Path, song: Path, tiny: Path, command: Command, options: list[str], said: str
) -> None:
    ended = command("separate", song, "-o", tmp_path / "out", "-m", tiny, *options)
    assert ended.code == 2
    assert said in ended.error
    assert not (tmp_path / "out").exists()


# Into integers


@pytest.fixture
def loud(tmp_path: Path) -> Path:
    path = tmp_path / "loud.wav"
    soundfile.write(path, np.full((3000, 2), 2.0), RATE, "FLOAT")
    return path


def test_what_is_clipped_is_counted_aloud(tmp_path: Path, loud: Path, tiny: Path, command: Command) -> None:
    ended = command("separate", loud, "-o", tmp_path / "out", "-m", tiny, "--int16")
    (line,) = [line for line in ended.err.splitlines() if line.startswith("warning: ")]
    assert "loud.wav: other has 6000 clipped samples, by up to 3.52 dB: --float32 keeps them" in line


def test_what_is_lowered_is_told_aloud_and_all_stems_alike(
    tmp_path: Path, loud: Path, tiny: Path, command: Command
) -> None:
    ended = command("separate", loud, "-o", tmp_path / "out", "-m", tiny, "--int24", "--clip", "scale")
    (line,) = [line for line in ended.err.splitlines() if line.startswith("warning: ")]
    assert "other by 3.52 dB above full scale: all stems are lowered by 3.52 dB, as --clip scale asks" in line
    quarter, other = (soundfile.read(tmp_path / "out" / "loud" / f"{stem}.wav")[0] for stem in ("quarter", "other"))
    np.testing.assert_allclose(other, 3 * quarter, atol=1e-5)


def test_floats_keep_what_is_above_full_scale_without_a_word(
    tmp_path: Path, loud: Path, tiny: Path, command: Command
) -> None:
    ended = command("separate", loud, "-o", tmp_path / "out", "-m", tiny)
    assert "warning" not in ended.err
    assert soundfile.read(tmp_path / "out" / "loud" / "other.wav")[0].max() == pytest.approx(1.5)


# The report


def test_the_report_says_what_became_of_every_input(
    tmp_path: Path, songs: Path, loud: Path, tiny: Path, command: Command
) -> None:
    command("separate", songs / "2.wav", "-o", tmp_path / "out", "-m", tiny, "--int16")
    ended = command(
        "separate", songs, loud, tmp_path / "no.wav", "-o", tmp_path / "out", "-m", tiny, "--int16", "--json"
    )
    report = json.loads(ended.out)
    assert ended.code == 1
    assert report["interrupted"] is False
    assert [Path(entry["input"]).name for entry in report["files"]] == ["10.wav", "loud.wav"]
    assert report["files"][1]["clipped_samples"] == {"other": 6000}
    assert report["files"][1]["over_db"] == {"other": pytest.approx(3.52, abs=0.01)}
    assert {"input", "outputs", "frames", "seconds", "realtime_factor", "windows", "silent_windows"} <= set(
        report["files"][0]
    )
    (skipped,) = report["skipped"]
    assert skipped["input"] == str(songs / "2.wav")
    assert set(skipped["outputs"]) == set(STEMS)
    assert "done before" in skipped["reason"]
    (failed,) = report["failed"]
    assert (failed["input"], "does not exist" in failed["error"]) == (str(tmp_path / "no.wav"), True)


# The device


@pytest.mark.parametrize("options", [["--device", "cpu"], ["-d", "auto", "--precision", "fp32"]])
def test_what_every_machine_has_is_accepted(
    tmp_path: Path, song: Path, tiny: Path, command: Command, options: list[str]
) -> None:
    assert command("separate", song, "-o", tmp_path / "out", "-m", tiny, *options).code == 0


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_here_ends_with_code_4_and_what_is_missing(
    tmp_path: Path, song: Path, tiny: Path, command: Command, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    ended = command("separate", song, "-o", tmp_path / "out", "-m", tiny, "--device", device)
    assert ended.code == 4
    assert f"device {device!r} " in ended.error
    assert "cpu" in ended.error.partition(device)[2]
    assert "\n" not in ended.error.strip()
    assert not (tmp_path / "out").exists()
