"""``stemstream play``: the live path on a file."""

from __future__ import annotations

import errno
import json
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.files.part_file import PartFile
from tests.engine.onnx_models import describe, gains
from tests.engine.onnx_models import save as save_model
from tests.streamer.cli.conftest import RATE, Command, files_in, run_process, start_process, write_noise


def test_saved_stems_are_aligned_and_of_the_exact_length(
    tmp_path: Path, song: Path, tiny: Path, command: Command
) -> None:
    ended = command("play", song, "--output", "none", "--pace", "fast", "--save", tmp_path / "out", "-m", tiny)
    assert ended.code == 0
    audio = soundfile.read(song)[0]
    quarter, rate = soundfile.read(tmp_path / "out" / "song" / "quarter.wav")
    other = soundfile.read(tmp_path / "out" / "song" / "other.wav")[0]
    assert rate == soundfile.info(song).samplerate
    np.testing.assert_allclose(quarter, 0.25 * audio, atol=1e-6)
    np.testing.assert_allclose(quarter + other, audio, atol=1e-6)


def test_another_rate_and_one_channel_come_back_as_they_were(tmp_path: Path, tiny: Path, command: Command) -> None:
    song = write_noise(tmp_path / "mono.wav", rate=48_000, channels=1, frames=10_007)
    assert command("play", song, "-o", "none", "--pace", "fast", "--save", tmp_path / "out", "-m", tiny).code == 0
    facts = soundfile.info(tmp_path / "out" / "mono" / "other.wav")
    assert (facts.samplerate, facts.channels, facts.frames) == (48_000, 1, 10_007)


def test_the_summary_itemises_the_latency_and_counts_misses(song: Path, tiny: Path, command: Command) -> None:
    ended = command("play", song, "--output", "none", "--pace", "fast", "-m", tiny, "-b", "256")
    assert "delivery" in ended.out.splitlines()[0]
    assert ended.out.splitlines()[1:3] == ["misses    0 of 87 blocks", "coverage  100.00 % of the sound was separated"]


def test_nothing_is_written_unless_asked_for(
    tmp_path: Path, song: Path, tiny: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = files_in(tmp_path)
    assert command("play", song, "--output", "none", "--pace", "fast", "-m", tiny).code == 0
    assert files_in(tmp_path) == before


def test_json_holds_what_the_summary_says(tmp_path: Path, song: Path, tiny: Path, command: Command) -> None:
    ended = command(
        "play", song, "--output", "none", "-m", tiny, "--json", "--latency-ms", "200", "--save", tmp_path / "out"
    )
    result = json.loads(ended.out)
    assert result["pace"] == "realtime"
    assert result["latency"]["total_ms"] == pytest.approx(200, abs=0.1)
    assert sum(result["latency"]["parts_frames"].values()) == result["latency"]["total_frames"]
    assert result["counters"]["blocks"] == 44
    assert result["saved"]["other"] == str(tmp_path / "out" / "song" / "other.wav")


@pytest.mark.parametrize("output", ["speakers", "9999"])
def test_a_device_that_is_not_there_ends_with_code_3(song: Path, output: str) -> None:
    ended = run_process("play", song, "--output", output)
    assert ended.code == 3
    assert len(ended.err.splitlines()) == 1
    assert ended.err.startswith("error: ")


@pytest.mark.parametrize("options", [("--pace", "fast"), ("--report", "page.html")])
def test_a_report_or_a_pace_and_a_device_do_not_go_together(
    song: Path, command: Command, options: tuple[str, ...]
) -> None:
    ended = command("play", song, *options, "--output", "speakers")
    assert ended.code == 2
    assert "use --output none, not 'speakers'" in ended.error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--latency-ms", "3"], "--latency-ms 3: "),
        (["--latency-ms", "0"], "give seconds above 0"),
        (["--latency-ms", "nan"], "give seconds above 0"),
        (["--as-live", "-b", "0"], "block_frames is 0"),
        (["--as-live", "-b", "9999999"], "max_block_frames=9999999 is not supported"),
        (["-b", "0"], "block_frames=0 cannot be used"),
        (["--start", "never"], "--start 'never' is no time"),
        (["--loop", "3"], "--loop '3' is no stretch"),
        (["--loop", "0.2-0.2"], "too short"),
        (["--mute", "tuba"], "stem 'tuba' is unknown: the stems are quarter, other"),
        (["--preset", "karaoke"], "preset 'karaoke' is about vocals, and the model's stems are quarter, other"),
        (["--gain", "quarter"], "is not STEM=DB"),
        (["--cache-gb", "-1"], "--cache-gb -1 is no size"),
        (["--as-live", "--mute", "quarter"], "are for what is heard"),
    ],
)
def test_a_setting_that_is_not_allowed_ends_with_code_2(
    tmp_path: Path, song: Path, tiny: Path, command: Command, options: list[str], said: str
) -> None:
    ended = command("play", song, "--output", "none", "-m", tiny, "--save", tmp_path / "out", *options)
    assert ended.code == 2
    assert said in ended.error
    assert files_in(tmp_path) == ["song.wav"]


def test_a_file_that_cannot_be_read_ends_with_code_1(tmp_path: Path, command: Command) -> None:
    ended = command("play", tmp_path / "none.wav", "--output", "none")
    assert ended.code == 1
    assert "none.wav' does not exist" in ended.error


def test_ctrl_c_is_one_line_and_leaves_no_file(tmp_path: Path, tiny: Path) -> None:
    song = write_noise(tmp_path / "song.wav", 60, rate=8000, channels=1)
    with start_process("play", song, "--output", "none", "--save", tmp_path / "out", "-m", tiny) as process:
        while "playing" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert rest.splitlines()[-1] == "interrupted"
    assert "error" not in rest
    assert "coverage" in out
    assert files_in(tmp_path) == ["song.wav"]


def test_ctrl_c_on_the_live_path_is_one_line_and_leaves_no_file(tmp_path: Path, tiny: Path) -> None:
    song = write_noise(tmp_path / "song.wav", 60, rate=8000, channels=1)
    options = ("--as-live", "--output", "none", "--save", tmp_path / "out", "-m", tiny)
    with start_process("play", song, *options) as process:
        while "playing" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [line for line in rest.splitlines() if not line.startswith("warning")] == ["interrupted"]
    assert out == ""
    assert files_in(tmp_path) == ["song.wav"]


def contents_of(page: Path) -> dict[str, Any]:
    """What a report shows."""
    embedded = re.search(r'<script id="contents" type="application/json">(.*?)</script>', page.read_text("utf-8"))
    assert embedded is not None
    return json.loads(embedded[1])


def test_a_report_is_written_without_the_stems(tmp_path: Path, song: Path, tiny: Path, command: Command) -> None:
    page = tmp_path / "new" / "folder" / "page.html"
    ended = command("play", song, "-o", "none", "--pace", "fast", "-m", tiny, "--report", page)
    assert ended.code == 0
    assert f"report    {page}" in ended.out.splitlines()
    assert files_in(tmp_path) == ["new/folder/page.html", "song.wav"]
    shown = contents_of(page)
    assert (shown["title"], shown["model"], shown["frames"], shown["scores"]) == ("song.wav", "tiny", 22_051, [])
    assert [signal["name"] for signal in shown["signals"]] == ["mixture", "quarter", "other"]
    assert all(signal["mp3"] for signal in shown["signals"])


def test_a_report_and_stems_can_be_had_together(tmp_path: Path, song: Path, tiny: Path, command: Command) -> None:
    options = ["--save", tmp_path / "out", "--report", tmp_path / "page.htm", "--json"]
    ended = command("play", song, "-o", "none", "--pace", "fast", "-m", tiny, *options)
    assert json.loads(ended.out)["report_html"] == str(tmp_path / "page.htm")
    assert files_in(tmp_path) == ["out/song/other.wav", "out/song/quarter.wav", "page.htm", "song.wav"]


def test_without_a_report_json_says_so(song: Path, tiny: Path, command: Command) -> None:
    ended = command("play", song, "-o", "none", "--pace", "fast", "-m", tiny, "--json")
    assert json.loads(ended.out)["report_html"] is None


@pytest.mark.parametrize(
    ("rate", "channels", "frames"), [(8_000, 1, 4_001), (96_000, 2, 9_000), (RATE, 2, 0), (RATE, 2, 1), (RATE, 1, 300)]
)
def test_a_report_of_any_file(
    tmp_path: Path, tiny: Path, command: Command, rate: int, channels: int, frames: int
) -> None:
    song, page = tmp_path / "odd.wav", tmp_path / "page.html"
    write_noise(song, rate=rate, channels=channels, frames=frames)
    assert command("play", song, "-o", "none", "--pace", "fast", "-m", tiny, "--report", page).code == 0
    shown = contents_of(page)
    assert (shown["frames"], shown["channels"], shown["sample_rate"]) == (frames, channels, rate)
    assert shown["listening"]["seconds"] == pytest.approx(frames / rate)


def test_a_report_of_a_file_whose_length_nobody_knows(
    tmp_path: Path, song: Path, tiny: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.files.reader.AudioReader.frames", None, raising=False)
    page = tmp_path / "page.html"
    ended = command("play", song, "-o", "none", "--pace", "fast", "-m", tiny, "--report", page)
    assert ended.code == 0
    assert contents_of(page)["frames"] == 22_051


@pytest.mark.parametrize("stems", [["all"], ["a b", "Grand Piano", "c&d", "e'f", "ファイル", "other"]])
def test_a_report_of_any_stems(tmp_path: Path, song: Path, command: Command, stems: list[str]) -> None:
    values = [1 / len(stems)] * len(stems)
    made = describe(gains(*values), name="odd", sample_rate=RATE, stems=stems, window_frames=2048)
    model, page = save_model(tmp_path / "odd.onnx", made), tmp_path / "page.html"
    ended = command("play", song, "-o", "none", "--pace", "fast", "-m", model, "--report", page)
    assert ended.code == 0
    names = [signal["name"] for signal in contents_of(page)["signals"]]
    assert names[: len(stems) + 1] == ["mixture", *stems]


@pytest.mark.parametrize(
    ("report", "code", "said"),
    [
        ("folder.html", 1, "folder.html' is a folder"),
        ("song.wav/page.html", 1, "choose another with --report"),
        ("song.wav", 2, "ends in '.wav': allowed are .html, .htm"),
        ("page", 2, "ends in '': allowed are .html, .htm"),
    ],
)
def test_a_report_that_cannot_be_written_is_told_before_the_music(
    tmp_path: Path, song: Path, tiny: Path, command: Command, report: str, code: int, said: str
) -> None:
    (tmp_path / "folder.html").mkdir()
    options = ["--save", tmp_path / "out", "--report", tmp_path / report]
    ended = command("play", song, "-o", "none", "-m", tiny, *options)
    assert ended.code == code
    assert said in ended.error
    assert "playing" not in ended.err
    assert files_in(tmp_path) == ["song.wav"]


def test_a_full_disk_leaves_no_report(
    tmp_path: Path, song: Path, tiny: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(part: PartFile) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(PartFile, "sync", full)
    ended = command("play", song, "-o", "none", "--pace", "fast", "-m", tiny, "--report", tmp_path / "page.html")
    assert ended.code == 1
    assert "page.html' cannot be written (No space left on device)" in ended.error
    assert files_in(tmp_path) == ["song.wav"]


def test_ctrl_c_leaves_no_report(tmp_path: Path, tiny: Path) -> None:
    song = write_noise(tmp_path / "song.wav", 60, rate=8000, channels=1)
    with start_process("play", song, "--output", "none", "--report", tmp_path / "page.html", "-m", tiny) as process:
        while "playing" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert files_in(tmp_path) == ["song.wav"]


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_report_in_place_of_the_song_is_refused(
    tmp_path: Path, tiny: Path, command: Command, is_linked: bool
) -> None:
    # Files are told by their content, so that a song may have any name.
    song = write_noise(tmp_path / "song.wav").rename(tmp_path / "song.html")
    page = tmp_path / "page.html" if is_linked else song
    if is_linked:
        page.hardlink_to(song)
    before = song.read_bytes()
    ended = command("play", song, "-o", "none", "--pace", "fast", "-m", tiny, "--report", page)
    assert ended.code == 2
    assert f"--report {str(page)!r} would replace the input {str(song)!r}: choose another place" in ended.error
    assert "playing" not in ended.err
    assert song.read_bytes() == before
    assert files_in(tmp_path) == sorted({page.name, song.name})


def test_a_saved_stem_in_place_of_the_song_is_refused(tmp_path: Path, tiny: Path, command: Command) -> None:
    (tmp_path / "other").mkdir()
    song = write_noise(tmp_path / "other" / "other.wav")
    before = song.read_bytes()
    ended = command("play", song, "-o", "none", "--pace", "fast", "-m", tiny, "--save", tmp_path)
    assert ended.code == 2
    assert f"stem 'other' would replace the input {str(song)!r}" in ended.error
    assert song.read_bytes() == before
    assert files_in(tmp_path) == ["other/other.wav"]


@pytest.mark.parametrize("broken", ["other.wav", "page.html"])
def test_stems_are_not_lost_with_the_report_and_there_is_no_report_without_them(
    tmp_path: Path, song: Path, tiny: Path, command: Command, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    place = PartFile.place

    def fails(part: PartFile) -> None:
        if part._target.name == broken:
            raise OSError(errno.ENOSPC, "No space left on device")
        place(part)

    monkeypatch.setattr(PartFile, "place", fails)
    options = ["--save", tmp_path / "out", "--report", tmp_path / "page.html"]
    ended = command("play", song, "-o", "none", "--pace", "fast", "-m", tiny, *options)
    assert ended.code == 1
    assert f"{broken}' cannot be written" in ended.error
    stems = ["out/song/other.wav", "out/song/quarter.wav"] if broken == "page.html" else []
    assert files_in(tmp_path) == [*stems, "song.wav"]


def test_a_sample_that_is_no_number_spoils_neither_stems_nor_report(
    tmp_path: Path, tiny: Path, command: Command
) -> None:
    audio = np.random.default_rng(0).normal(0, 0.1, (20_000, 2))
    audio[5000:5100], audio[9000] = np.nan, np.inf
    soundfile.write(tmp_path / "song.wav", audio, RATE, subtype="FLOAT")
    options = ["--save", tmp_path / "out", "--report", tmp_path / "page.html"]
    ended = command("play", tmp_path / "song.wav", "-o", "none", "--pace", "fast", "-m", tiny, *options)
    assert (ended.code, ended.err.splitlines()[1:]) == (0, ["making the report"])
    assert np.isfinite(soundfile.read(tmp_path / "out" / "song" / "other.wav")[0]).all()
    assert contents_of(tmp_path / "page.html")["frames"] == 20_000
