"""``stemstream demo``: a song, its stems and a report, with nothing at hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.streamer.cli.conftest import Command, files_in, run_process

STEMS = ("bass", "drums", "other", "vocals")
FILES = sorted(
    [
        "mixture.wav",
        "report.html",
        "report.json",
        *(f"{stem}.wav" for stem in STEMS),
        *(f"true/{stem}.wav" for stem in STEMS),
    ]
)


def test_it_streams_at_the_pace_of_the_clock_and_reports(tmp_path: Path) -> None:
    ended = run_process("demo", "--seconds", "1", "-o", tmp_path / "demo", "--json")
    assert ended.code == 0
    assert files_in(tmp_path / "demo") == FILES
    result = json.loads(ended.out)
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert report.pop("process_s") != []
    assert len(report.pop("missed_blocks")) == result["misses"]
    assert result.pop("report") == str(tmp_path / "demo" / "report.json")
    assert result.pop("report_html") == str(tmp_path / "demo" / "report.html")
    assert result == report
    assert result["pace"] == "realtime"
    assert result["latency"]["total_ms"] == pytest.approx(150, abs=0.1)
    assert sum(result["latency"]["parts_frames"].values()) == result["latency"]["total_frames"]
    assert {"misses", "coverage", "counters", "process_ms"} <= set(result)
    assert result["versions"]["onnxruntime"]
    assert result["machine"]["cpus"] >= 1


def test_every_file_has_the_songs_length_and_the_stems_add_up(tmp_path: Path, command: Command) -> None:
    ended = command("demo", "--seconds", "1.01", "--pace", "fast", "-o", tmp_path, "--seed", "3")
    assert ended.code == 0
    audio = {name: soundfile.read(tmp_path / name, dtype="float32") for name in FILES if name.endswith(".wav")}
    assert {(rate, samples.shape) for samples, rate in audio.values()} == {(48_000, (48_480, 2))}
    assert soundfile.info(tmp_path / "vocals.wav").subtype == "FLOAT"
    mixture = audio["mixture.wav"][0]
    for folder in ("", "true/"):
        total = np.sum([audio[f"{folder}{stem}.wav"][0] for stem in STEMS], axis=0)
        np.testing.assert_allclose(total, mixture, atol=1e-5)
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["process_s"]) == report["counters"]["blocks"] == 95
    assert (report["misses"], report["coverage"]) == (0, 1.0)


def test_it_ends_with_the_figures_and_what_to_run_next(tmp_path: Path, command: Command) -> None:
    ended = command("demo", "--seconds", "0.3", "--pace", "fast", "-o", tmp_path / "demo")
    begins = [line.split()[0] for line in ended.out.splitlines()]
    assert [word for word in begins if word in {"latency", "misses", "coverage", "files", "report", "next"}] == [
        "latency", "misses", "coverage", "files", "report", "next",
    ]  # fmt: skip
    assert "stemstream separate YOUR_SONG.flac -o stems" in ended.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seconds", "0"], "duration_s is 0.0: it must be more than 0"),
        (["--seconds", "601"], "at most 600"),
        (["--seed", "-1"], "seed is -1: it must be 0 or more"),
        (["--seconds", "1", "--latency-ms", "10"], "--latency-ms 10: "),
    ],
)
def test_a_setting_that_is_not_allowed_ends_with_code_2(
    tmp_path: Path, command: Command, options: list[str], said: str
) -> None:
    ended = command("demo", "-o", tmp_path / "demo", *options)
    assert ended.code == 2
    assert said in ended.error
    assert files_in(tmp_path) == []


def test_a_file_in_place_of_the_folder_is_told_before_the_song_plays(tmp_path: Path, command: Command) -> None:
    (tmp_path / "demo").write_text("in the way")
    ended = command("demo", "--seconds", "5", "-o", tmp_path / "demo")
    assert ended.code == 1
    assert "choose another with --out" in ended.error
    assert "separating" not in ended.err


@pytest.mark.parametrize("name", ["report.json", "report.html"])
def test_a_folder_in_place_of_a_report_is_told_before_the_song_plays(
    tmp_path: Path, command: Command, name: str
) -> None:
    (tmp_path / name).mkdir()
    ended = command("demo", "--seconds", "5", "-o", tmp_path)
    assert ended.code == 1
    assert f"{name}' is a folder" in ended.error
    assert "separating" not in ended.err
    assert files_in(tmp_path) == []


def test_scores_say_what_separating_gained(tmp_path: Path, command: Command) -> None:
    ended = command("demo", "--seconds", "4", "--pace", "fast", "-o", tmp_path, "--json")
    scores = json.loads(ended.out)["scores"]
    assert set(scores) == set(STEMS)
    for stem in ("bass", "drums"):
        assert scores[stem]["sdr_gain_db"] > 3
        gained = scores[stem]["sdr_db"] - scores[stem]["mixture_sdr_db"]
        assert scores[stem]["sdr_gain_db"] == pytest.approx(gained, abs=0.002)


def test_a_stem_that_is_silent_in_a_short_song_has_no_score(tmp_path: Path, command: Command) -> None:
    ended = command("demo", "--seconds", "0.01", "--pace", "fast", "-o", tmp_path, "--json")
    assert json.loads(ended.out)["scores"]["vocals"]["sdr_db"] is None
