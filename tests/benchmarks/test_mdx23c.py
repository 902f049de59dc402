"""The measurements of MDX23C networks: what is measured, and what is said of it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import mdx23c
import mdx23c_random
import measured_process
import memory
import numpy as np
import pytest
import soundfile
import torch

from engine import load_separator
from engine.models.mdx23c_layout import tensor_shapes


def test_the_full_network_is_as_large_as_the_public_ones():
    assert mdx23c_random.parameter_count(mdx23c_random.FULL) == 111_990_272
    assert len(tensor_shapes(mdx23c_random.FULL)) == 319


def test_the_small_network_has_the_window_of_the_public_ones_and_four_stems_of_a_sensible_level(tmp_path: Path):
    checkpoint, config = mdx23c_random.save_random(mdx23c_random.SMALL, tmp_path)
    separator = load_separator(checkpoint, config=config)
    assert (separator.spec.window_frames, separator.spec.stems) == (261_120, ("vocals", "bass", "drums", "other"))
    noise = np.random.default_rng(0).normal(0.0, 0.1, (1, 2, 261_120)).astype(np.float32)
    stems, _ = separator.process(noise, ())
    assert 0.01 < stems.std() < 1.0


def test_the_same_weights_are_made_every_time(tmp_path: Path):
    files = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        files.append(mdx23c_random.save_random(mdx23c_random.SMALL, tmp_path / name)[0])
    one, other = (torch.load(file, weights_only=True) for file in files)
    assert all(torch.equal(one[name], other[name]) for name in tensor_shapes(mdx23c_random.SMALL))


def test_both_ways_are_measured_in_processes_of_their_own_and_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    report, music = tmp_path / "report.json", tmp_path / "music.wav"
    soundfile.write(music, np.random.default_rng(0).normal(0.0, 0.1, (400_000, 2)), 44_100)
    options = ["--input", music, "--seconds", "6.5", "--folder", tmp_path, "--json", report]
    monkeypatch.setattr(sys, "argv", ["mdx23c.py", "--small", *map(str, options)])
    mdx23c.main()
    rows = re.findall(r"^\| (separate|baseline) \| (\d+) \|", capsys.readouterr().out, re.MULTILINE)
    # The baseline runs one more, whose frames are all cut off again.
    assert rows == [("separate", "4"), ("baseline", "5")]
    figures = json.loads(report.read_text(encoding="utf-8"))
    assert figures["largest_difference"] < 1e-4
    assert all(row["peak_mb"] > 50 and row["cpu_s"] > 0 for row in figures["rows"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["music.wav", "report.json"]


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (44_100, 1)])
def test_music_of_another_kind_is_refused(rate: int, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    soundfile.write(tmp_path / "music.wav", np.zeros((100, channels)), rate)
    monkeypatch.setattr(sys, "argv", ["mdx23c.py", "--input", str(tmp_path / "music.wav")])
    with pytest.raises(SystemExit, match=f"has {channels} channels at {rate} Hz: give stereo at 44100 Hz"):
        mdx23c.main()


def scripted(peaks: dict[tuple[str, float], float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes say these peaks, by way and minutes; 0 minutes is one pass."""
    now = {"minutes": 0.0}

    def write(path: Path, minutes: float, sample_rate: int) -> Path:
        now["minutes"] = minutes
        return path

    def run_alone(program: object, *arguments: object) -> dict[str, Any]:
        way = "baseline" if "baseline" in arguments or Path(str(program)).name == "baseline.py" else "separate"
        figures = {"windows": 3, "wall_over_audio": 0.5, "cpu_over_audio": 0.5, "seconds": 1.0, "frames": 44_100}
        return {**figures, "peak_mb": peaks[way, now["minutes"]]}

    monkeypatch.setattr(memory, "_write", write)
    monkeypatch.setattr(memory, "run_alone", run_alone)


@pytest.mark.parametrize(
    ("long", "longest", "said"),
    [
        (130.0, 136.0, ["0.100 of the baseline's (aim: 0.1): met", "+4.6 % of the memory of 10 (aim: +5 %): met"]),
        (131.0, 138.0, ["0.103 of the baseline's (aim: 0.1): NOT met", "+5.3 % of the memory of 10 (aim: +5 %): NOT"]),
    ],
)
def test_memory_is_counted_above_one_pass_and_held_against_the_aims(
    long: float,
    longest: float,
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    peaks = {("separate", 0.0): 100.0, ("separate", 10.0): long, ("separate", 60.0): longest}
    scripted({**peaks, ("baseline", 0.0): 80.0, ("baseline", 10.0): 380.0}, monkeypatch)
    options = ["--against-baseline", "--minutes", "10", "60", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["memory.py", *options])
    memory.main()
    printed = capsys.readouterr().out
    assert all(words in printed for words in said)
    # The baseline is left out where it would take all the memory there is.
    rows = re.findall(r"^\| (separate|baseline) \| (\d+) \| 3 \| \d+ \| (\d+) \|", printed, re.MULTILINE)
    above = [f"{peak - 100:.0f}" for peak in (long, longest)]
    assert rows == [("separate", "10", above[0]), ("baseline", "10", "300"), ("separate", "60", above[1])]


@pytest.mark.parametrize("way", ["separate", "baseline"])
def test_one_pass_is_one_window_of_the_model(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    checkpoint, _ = mdx23c_random.save_random(mdx23c_random.SMALL, tmp_path)
    monkeypatch.setattr(sys, "argv", ["memory.py", "--model", str(checkpoint), "--one-pass", way])
    memory.main()
    assert json.loads(capsys.readouterr().out)["peak_mb"] > 50


def test_the_peak_is_that_of_the_measured_process_alone_even_where_it_is_past(tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys; sys.path.append({str(Path(measured_process.__file__).parent)!r})\n"
        "from measured_process import peak_bytes\n"
        "block = b'1' * 150_000_000; del block\n"
        "print(f'{{\"peak\": {peak_bytes()}}}')\n"
    )
    ours = np.ones(300_000_000, np.uint8)
    peak = measured_process.run_alone(program)["peak"]
    assert 150_000_000 < peak < 250_000_000 < ours.nbytes
