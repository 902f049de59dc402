"""One file into stem files: skipped where that was done, an excerpt where one is wanted, never outside the folder."""

from __future__ import annotations

import os
import threading
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.errors import AudioFileError, ConfigurationError, OutputError
from engine.excerpt import Excerpt
from engine.file_separation import FileReport, separate_file
from engine.files.levels import Clip
from engine.offline import separate
from engine.plan import offline_plan
from engine.separator import F32, Separator
from streamer.testing import IdentitySeparator, ScriptedWorker, VirtualClock
from tests.engine.told_models import Echo, Recording, WholeWindow

RATE = 8000


@pytest.fixture
def song(tmp_path: Path) -> Path:
    audio = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 3001)).astype(np.float32)
    soundfile.write(tmp_path / "song.wav", audio.T, RATE, "FLOAT")
    os.utime(tmp_path / "song.wav", (1_000_000, 1_000_000))
    return tmp_path / "song.wav"


def read(path: str | Path) -> F32:
    return np.asarray(soundfile.read(path, dtype="float32", always_2d=True)[0].T, np.float32)


def run(song: Path, model: Separator | None = None, **settings: Any) -> FileReport:
    return separate_file(model or WholeWindow(), song, song.parent / "out", **settings)


# What was done before


def test_a_file_that_was_done_is_left_alone(song: Path) -> None:
    first = run(song)
    before = {path: os.stat(path).st_mtime_ns for path in first.outputs.values()}
    model = Recording(WholeWindow())
    again = run(song, model, overwrite=False)
    assert again.was_done
    assert not model.batches
    assert (again.outputs, again.frames, again.windows) == (first.outputs, 3001, 0)
    assert {path: os.stat(path).st_mtime_ns for path in first.outputs.values()} == before


@pytest.mark.parametrize("settings", [{}, {"subtype": "PCM_16"}, {"ext": "flac"}, {"stems": ["drums"]}])
def test_it_is_done_with_the_same_settings_only(song: Path, settings: dict[str, Any]) -> None:
    settings |= {"overwrite": False}
    assert not run(song, **settings).was_done
    assert run(song, **settings).was_done


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"overlap": 3}, "made by another model or with other settings"),
        ({"excerpt": Excerpt(0.1)}, "made by another model or with other settings"),
        ({"excerpt": Excerpt(0.0, 0.2)}, "made by another model or with other settings"),
        ({"model_id": "whole window 0123"}, "made by another model or with other settings"),
        ({"clip": Clip.SCALE}, "made by another model or with other settings"),
        ({"subtype": "PCM_16"}, "has another length or format"),
    ],
)
def test_with_other_settings_it_is_done_again_and_says_why(song: Path, settings: dict[str, Any], said: str) -> None:
    run(song)
    again = run(song, overwrite=False, **settings)
    assert not again.was_done
    assert said in again.redone
    assert run(song, overwrite=False, **settings).was_done


def test_a_missing_stem_is_made_with_all_others(song: Path) -> None:
    first = run(song)
    os.unlink(first.outputs["drums"])
    again = run(song, overwrite=False)
    assert "drums.wav' is missing" in again.redone
    assert Path(first.outputs["drums"]).exists()


def test_the_age_of_an_input_says_nothing(song: Path) -> None:
    run(song)
    os.utime(song, (os.stat(song).st_mtime + 1e9,) * 2)
    assert run(song, overwrite=False).was_done


@pytest.mark.parametrize("seconds", [-1e5, 1e5])
def test_stems_of_another_song_of_the_same_name_and_size_are_neither_taken_nor_replaced(
    song: Path, seconds: float
) -> None:
    outputs = run(song).outputs
    before = Path(outputs["drums"]).read_bytes()
    audio = read(song)
    # Only in its midst, and as old as its place was, or older, or younger.
    audio[:, 1500] = 0.25
    moment = os.stat(song).st_mtime + seconds
    soundfile.write(song, audio.T, RATE, "FLOAT")
    os.utime(song, (moment, moment))
    with pytest.raises(OutputError, match=r"is there and was made of another file.*--overwrite"):
        run(song, overwrite=False)
    assert Path(outputs["drums"]).read_bytes() == before
    run(song)
    assert Path(outputs["drums"]).read_bytes() != before
    assert run(song, overwrite=False).was_done


def foreign_audio(path: Path) -> None:
    soundfile.write(path, np.zeros((3001, 2), np.float32), RATE, "FLOAT")


def foreign_text(path: Path) -> None:
    path.write_text("lyrics")


def dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


@pytest.mark.parametrize("make", [foreign_audio, foreign_text, dangling_link])
def test_what_was_not_made_here_is_replaced_only_if_that_is_wished(song: Path, make: Any) -> None:
    place = song.parent / "out" / "song" / "other.wav"
    place.parent.mkdir(parents=True)
    make(place)
    with pytest.raises(OutputError, match=r"other.wav' is there and (was not made by|is not a stem).*--overwrite"):
        run(song, overwrite=False)
    assert [path.name for path in place.parent.iterdir()] == ["other.wav"]
    run(song)
    assert read(place).shape == (2, 3001)
    assert not place.is_symlink()


@pytest.mark.parametrize("ext", ["wav", "flac"])
def test_a_song_of_no_frames_can_be_given_again(song: Path, ext: str) -> None:
    soundfile.write(song, np.zeros((0, 2), np.float32), RATE, "FLOAT")
    for _ in range(2):
        assert run(song, ext=ext, overwrite=False).frames == 0


@pytest.mark.parametrize("name", ["drums.wav", "linked"])
def test_the_input_is_never_replaced_under_whatever_name(song: Path, name: str) -> None:
    drums = song.rename(song.with_name("drums.wav"))
    before = drums.read_bytes()
    given = drums
    if name == "linked":
        (song.parent / "elsewhere").mkdir()
        given = drums.rename(song.parent / "elsewhere" / "a.wav")
        drums.symlink_to(given)
    with pytest.raises(ConfigurationError, match=r"stem 'drums' of .* would replace the input"):
        separate_file(WholeWindow(), given, song.parent, template="{stem}.{ext}")
    assert drums.read_bytes() == before


@pytest.mark.parametrize("template", ["{track}/{stem}.flac", "{track}/{stem}", "{track}/{stem}.mp3"])
def test_a_name_of_another_kind_than_the_file_is_refused(song: Path, template: str) -> None:
    with pytest.raises(ConfigurationError, match=r"does not end in \.wav: end it in {ext}"):
        run(song, template=template)
    assert not (song.parent / "out").exists()


def test_a_cut_stem_file_is_made_again(song: Path) -> None:
    path = run(song).outputs["drums"]
    os.truncate(path, os.stat(path).st_size // 2)
    assert not run(song, overwrite=False).was_done
    assert read(path).shape == (2, 3001)


# Stems


def test_two_stems_are_one_and_the_input_without_it(song: Path) -> None:
    report = run(song, two_stems="Drums")
    assert list(report.outputs) == ["drums", "no_drums"]
    stems = [read(path) for path in report.outputs.values()]
    np.testing.assert_array_equal(stems[0], separate(WholeWindow(), read(song), RATE)[1])
    np.testing.assert_allclose(stems[0] + stems[1], read(song), rtol=0, atol=1e-7)


def test_windows_of_silence_are_counted(song: Path) -> None:
    soundfile.write(song, np.zeros((3001, 2)), RATE, "FLOAT")
    report = run(song, overlap=2)
    assert (report.windows, report.silent_windows) == (1, 3001 // 32 + 1)


def test_clipped_samples_are_told(song: Path) -> None:
    soundfile.write(song, np.full((3001, 2), 2.0, np.float32), RATE, "FLOAT")
    model = IdentitySeparator({"loud": 1.0, "soft": 0.25}, window_frames=64, hop_frames=16, sample_rate=RATE)
    report = run(song, model, subtype="PCM_16")
    assert report.clipped_samples == {"loud": 6002}
    assert report.over_db == {"loud": pytest.approx(6.02, abs=0.01)}
    report = run(song, model, subtype="PCM_16", clip=Clip.SCALE)
    assert (report.clipped_samples, round(report.gain_db, 2)) == ({}, -6.02)
    assert read(report.outputs["loud"]).max() / read(report.outputs["soft"]).max() == pytest.approx(4, rel=1e-3)


# Excerpts


@pytest.mark.parametrize("model", [WholeWindow(), Echo(priming_frames=400)])
def test_an_excerpt_is_that_stretch_of_the_stems_of_the_whole(song: Path, model: Separator) -> None:
    whole = separate(model, read(song), RATE)
    report = run(song, model, excerpt=Excerpt(0.125, 0.0625))
    assert report.frames == 500
    for stem, expected in zip(report.outputs.values(), whole, strict=True):
        np.testing.assert_allclose(read(stem), expected[:, 1000:1500], rtol=0, atol=1e-6)


def test_an_excerpt_ends_where_the_file_does(song: Path) -> None:
    assert run(song, excerpt=Excerpt(0.25, 60.0)).frames == 1001


def test_an_excerpt_behind_the_end_is_told_with_both_values(song: Path) -> None:
    with pytest.raises(AudioFileError, match=r"song.wav' lasts 0.375125 s: there is nothing from 3 s on"):
        run(song, excerpt=Excerpt(3.0))
    assert not (song.parent / "out").exists()


# Places


def test_a_link_that_leads_out_of_the_folder_is_refused(song: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "song").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="lies outside of"):
        run(song)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_link_in_the_place_of_a_stem_is_replaced_and_what_it_leads_to_is_not(song: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "out" / "song"
    folder.mkdir(parents=True)
    for name in ("drums.wav", "drums.wav.part"):
        (folder / name).symlink_to(victim)
    run(song)
    assert victim.read_text() == "mine"
    assert not (folder / "drums.wav").is_symlink()
    assert read(folder / "drums.wav").shape == (2, 3001)


def test_the_folder_itself_may_be_a_link(song: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    assert len(run(song).outputs) == 3


def test_names_of_folders_become_safe(song: Path, tmp_path: Path) -> None:
    report = run(song, subfolders=("..", "a:b", "con"), stems=["drums"])
    assert report.outputs["drums"] == str(tmp_path / "out" / "_" / "a_b" / "_con" / "song" / "drums.wav")


def test_cancelling_leaves_nothing(song: Path) -> None:
    cancel = threading.Event()
    worker = ScriptedWorker(VirtualClock(RATE))
    with pytest.raises(CancelledError):
        run(song, worker=worker, cancel=cancel, progress=lambda _: cancel.set())
    assert not [path for path in (song.parent / "out").rglob("*") if path.is_file()]


def test_a_plan_given_is_used(song: Path) -> None:
    model = WholeWindow()
    plan = offline_plan(model.spec, overlap=8)
    assert run(song, model, plan=plan).windows == 3001 // 8 + 1 + 7
