"""``stemstream play``: the live path on a file."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.streamer.cli.conftest import Command, files_in, run_process, start_process, write_noise


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


@pytest.mark.parametrize("output", [(), ("--output", "speakers")])
def test_a_device_ends_with_code_3_in_this_version(song: Path, output: tuple[str, ...]) -> None:
    ended = run_process("play", song, *output)
    assert ended.code == 3
    assert ended.error.endswith("this version has no audio device output; use --output none")
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--latency-ms", "3"], "--latency-ms 3: "),
        (["--latency-ms", "0"], "give seconds above 0"),
        (["--latency-ms", "nan"], "give seconds above 0"),
        (["-b", "0"], "block_frames is 0"),
        (["-b", "9999999"], "max_block_frames=9999999 is not supported"),
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
    assert [line for line in rest.splitlines() if not line.startswith("warning")] == ["interrupted"]
    assert out == ""
    assert files_in(tmp_path) == ["song.wav"]
