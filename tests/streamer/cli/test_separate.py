"""``stemstream separate``: what is written, and what happens to inputs that cannot be separated."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import ConfigurationError
from engine.files.folders import AudioInput
from streamer.cli.separate import check_outputs
from tests.engine.onnx_models import describe, fails_when_loud, gains, save
from tests.streamer.cli.conftest import RATE, Command, files_in, run_process, start_process, write_noise

TINY = ("quarter", "other")


def test_the_embedded_model_gives_four_stems_and_prints_their_paths(tmp_path: Path, song: Path) -> None:
    ended = run_process("separate", song, "-o", tmp_path / "out")
    assert ended.code == 0
    assert files_in(tmp_path / "out") == [f"song/{stem}.wav" for stem in ("bass", "drums", "other", "vocals")]
    assert sorted(ended.out.splitlines()) == sorted(str(p) for p in (tmp_path / "out" / "song").iterdir())
    mixture = soundfile.read(song)[0]
    stems = [soundfile.read(path)[0] for path in ended.out.splitlines()]
    np.testing.assert_allclose(sum(stems), mixture, atol=1e-5)


def test_stems_are_float_wav_at_the_rate_and_length_of_the_input(tmp_path: Path, tiny: Path, command: Command) -> None:
    song = write_noise(tmp_path / "mono.wav", rate=22_050, channels=1, frames=3001)
    assert command("separate", song, "-o", tmp_path / "out", "-m", tiny).code == 0
    for stem in TINY:
        facts = soundfile.info(tmp_path / "out" / "mono" / f"{stem}.wav")
        assert (facts.samplerate, facts.channels, facts.frames, facts.subtype) == (22_050, 1, 3001, "FLOAT")


@pytest.mark.parametrize(
    ("options", "ext", "subtype"),
    [
        (["--int16"], "wav", "PCM_16"),
        (["--int24"], "wav", "PCM_24"),
        (["--float32"], "wav", "FLOAT"),
        (["--ext", "flac"], "flac", "PCM_24"),
        (["--ext", "flac", "--int16"], "flac", "PCM_16"),
    ],
)
def test_the_format_can_be_chosen(
    tmp_path: Path, song: Path, tiny: Path, command: Command, options: list[str], ext: str, subtype: str
) -> None:
    command("separate", song, "-o", tmp_path / "out", "-m", tiny, "--filename", "{track} {stem}.{ext}", *options)
    assert files_in(tmp_path / "out") == [f"song other.{ext}", f"song quarter.{ext}"]
    assert soundfile.info(tmp_path / "out" / f"song other.{ext}").subtype == subtype


def test_stems_can_be_chosen(tmp_path: Path, song: Path, tiny: Path, command: Command) -> None:
    command("separate", song, "-o", tmp_path / "one", "-m", tiny, "--stem", "quarter", "--stem", "quarter")
    assert files_in(tmp_path / "one") == ["song/quarter.wav"]
    command("separate", song, "-o", tmp_path / "two", "-m", tiny, "--two-stems", "quarter", "--overlap", "2")
    assert files_in(tmp_path / "two") == ["song/no_quarter.wav", "song/quarter.wav"]


def test_json_is_the_only_thing_on_standard_output(tmp_path: Path, song: Path, tiny: Path, command: Command) -> None:
    ended = command("separate", song, tmp_path / "none.wav", "-o", tmp_path / "out", "-m", tiny, "--json")
    result = json.loads(ended.out)
    assert result["model"] == "tiny"
    assert result["files"][0]["outputs"]["other"] == str(tmp_path / "out" / "song" / "other.wav")
    assert result["failed"][0]["input"] == str(tmp_path / "none.wav")
    assert ended.code == 1


def folder(path: Path) -> None:
    path.mkdir()


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("this is not audio\n" * 100)


def truncated(path: Path) -> None:
    write_noise(path)
    os.truncate(path, 20_000)


def eight_channels(path: Path) -> None:
    write_noise(path, channels=8)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unreadable(path: Path) -> None:
    write_noise(path).chmod(0)


def missing(path: Path) -> None:
    assert not path.exists()


BAD = [
    (missing, "does not exist: check"),
    (folder, "is a folder without songs: looked for files that end in .wav, .flac, .mp3"),
    (empty, "is empty (0 bytes): copy"),
    (text, "is not audio that can be read"),
    (truncated, "is truncated or damaged: header promises 22050 frames"),
    (eight_channels, "has 8 channels: 1 or 2 are supported, mix it down"),
    (fifo, "is not a regular file: copy"),
    pytest.param(
        unreadable,
        "may not be read: change its permissions",
        marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything"),
    ),
]


@pytest.mark.parametrize(("make", "said"), BAD, ids=lambda value: getattr(value, "__name__", ""))
def test_a_bad_input_is_one_line_and_the_others_go_on(
    tmp_path: Path, song: Path, tiny: Path, command: Command, make: object, said: str
) -> None:
    bad = tmp_path / "bad [red].wav"
    make(bad)  # type: ignore[operator]
    ended = command("separate", bad, song, "-o", tmp_path / "out", "-m", tiny)
    assert ended.code == 1
    assert f"{str(bad)!r} {said}" in ended.error
    assert files_in(tmp_path / "out") == ["song/other.wav", "song/quarter.wav"]


def test_the_process_tells_every_bad_input_and_ends_with_code_1(tmp_path: Path, song: Path, tiny: Path) -> None:
    text(tmp_path / "text.mp3")
    folder(tmp_path / "folder")
    ended = run_process(
        "separate", tmp_path / "none.wav", tmp_path / "text.mp3", tmp_path / "folder", song, "-o", tmp_path / "out",
        "-m", tiny,
    )  # fmt: skip
    assert ended.code == 1
    assert len(ended.errors) == 3
    assert "Traceback" not in ended.err
    assert files_in(tmp_path / "out") == ["song/other.wav", "song/quarter.wav"]


def test_debug_shows_the_traceback_and_the_others_still_go_on(
    tmp_path: Path, song: Path, tiny: Path, command: Command
) -> None:
    ended = command("separate", tmp_path / "none.wav", song, "-o", tmp_path / "out", "-m", tiny, "--debug")
    assert ended.code == 1
    assert "Traceback (most recent call last):" in ended.err
    assert len(ended.errors) == 1
    assert len(files_in(tmp_path / "out")) == 2


def test_a_file_in_place_of_the_output_folder_is_told(tmp_path: Path, song: Path, tiny: Path, command: Command) -> None:
    (tmp_path / "out").write_text("in the way")
    ended = command("separate", song, "-o", tmp_path / "out", "-m", tiny)
    assert ended.code == 1
    assert "cannot be made (Not a directory): choose another with --out" in ended.error
    assert (tmp_path / "out").read_text() == "in the way"


def test_a_full_disk_fails_one_file_and_leaves_nothing_of_it(tmp_path: Path, song: Path, tiny: Path) -> None:
    short = write_noise(tmp_path / "short.wav", 0.1)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    ended = run_process("separate", song, short, "-o", tmp_path / "out", "-m", tiny, limit=limit)
    assert ended.code == 1
    assert "cannot be written (File too large): check the folder and the disk" in ended.error
    assert files_in(tmp_path / "out") == ["short/other.wav", "short/quarter.wav"]


def test_a_full_disk_fails_one_file_and_leaves_nothing_of_it_where_stems_are_put_aside(
    tmp_path: Path, song: Path, tiny: Path
) -> None:
    short = write_noise(tmp_path / "short.wav", 0.05)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    options = ("--int16", "--clip", "scale")
    ended = run_process("separate", song, short, "-o", tmp_path / "out", "-m", tiny, *options, limit=limit)
    assert ended.code == 1
    assert "cannot be put aside in" in ended.error
    assert "(File too large): free some space, or take --clip clamp" in ended.error
    assert files_in(tmp_path / "out") == ["short/other.wav", "short/quarter.wav"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_is_one_line_and_leaves_whole_files_only(
    tmp_path: Path, song: Path, number: signal.Signals
) -> None:
    long = write_noise(tmp_path / "long.wav", 120, rate=8000, channels=1)
    with start_process("separate", song, long, "-o", tmp_path / "out") as process:
        while "long.wav" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(number)
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert rest.splitlines() == ["interrupted"]
    assert files_in(tmp_path / "out") == [f"song/{stem}.wav" for stem in ("bass", "drums", "other", "vocals")]


def no_description(path: Path) -> None:
    save(path, gains(1.0))


def wrong_ranks(path: Path) -> None:
    made = describe(gains(1.0), sample_rate=RATE, stems=["other"], window_frames=512)
    del made.graph.output[0].type.tensor_type.shape.dim[0]
    del made.graph.input[0].type.tensor_type.shape.dim[0]
    save(path, made)


@pytest.mark.parametrize("make", [missing, folder, empty, text, no_description, wrong_ranks])
def test_a_model_that_cannot_be_loaded_ends_with_code_4(
    tmp_path: Path, song: Path, command: Command, make: object
) -> None:
    make(tmp_path / "bad.onnx")  # type: ignore[operator]
    ended = command("separate", song, "-o", tmp_path / "out", "-m", tmp_path / "bad.onnx")
    assert ended.code == 4
    assert "bad.onnx" in ended.error
    assert not (tmp_path / "out").exists()


def test_the_process_ends_with_code_4_on_an_unknown_model(tmp_path: Path, song: Path) -> None:
    ended = run_process("separate", song, "-o", tmp_path / "out", "-m", "spatail")
    assert ended.code == 4
    assert "model 'spatail' is not known: did you mean 'spatial' or 'spatial-low'?" in ended.error


def test_a_model_that_fails_on_one_file_ends_with_code_4_and_the_others_go_on(tmp_path: Path, command: Command) -> None:
    states = [{"input": "runs", "output": "next_runs"}]
    made = describe(fails_when_loud(512), sample_rate=RATE, stems=["other"], states=states)
    model = save(tmp_path / "fragile.onnx", made)
    loud, quiet = tmp_path / "loud.wav", write_noise(tmp_path / "quiet.wav")
    soundfile.write(loud, np.full((4000, 2), 1.5), RATE, "FLOAT")
    ended = command("separate", loud, quiet, "-o", tmp_path / "out", "-m", model)
    assert ended.code == 4
    assert "'fragile' failed" in ended.error
    assert "warning" not in ended.err
    assert str(loud) in ended.error
    assert {name.split("/")[0] for name in files_in(tmp_path / "out")} == {"quiet"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--stem", "drums"], "--stem 'drums' is unknown: this model gives quarter, other"),
        (["--two-stems", "drums"], "--two-stems 'drums' is unknown: this model gives quarter, other"),
        (["--stem", "other", "--two-stems", "other"], "give one of them"),
        (["--int16", "--int24"], "--int24 and --int16 were given: give one of them"),
        (["--ext", "flac", "--float32"], "--float32 does not go with --ext flac"),
        (["--filename", "{title}.{ext}"], "allowed are {track}, {stem}, {ext}, {suffix}"),
        (["--filename", "../{stem}.{ext}"], "leaves the folder"),
        (["--filename", "{track}.{ext}"], "put {stem} into --filename"),
        (["--filename", "{track}/{stem}.flac"], "'stem.flac', which does not end in .wav: end it in {ext}"),
        (["--filename", "{track}/{stem}", "--ext", "flac"], "'stem', which does not end in .flac: end it in {ext}"),
        (["--filename", "{track}/{stem}.mp3"], "'stem.mp3', which does not end in .wav: end it in {ext}"),
        (["--duration", "1e308"], "duration 1e+308 s cannot be used"),
        (["--start", "1e306"], "start 1e+306 s cannot be used"),
        (["--overlap", "0"], "overlap 0 is out of range"),
        (["--batch-size", "0"], "--batch-size '0' cannot be used"),
    ],
)
def test_a_setting_that_is_not_allowed_ends_with_code_2_before_anything_begins(
    tmp_path: Path, song: Path, tiny: Path, command: Command, options: list[str], said: str
) -> None:
    ended = command("separate", song, "-o", tmp_path / "out", "-m", tiny, *options)
    assert ended.code == 2
    assert said in ended.error
    assert not (tmp_path / "out").exists()


def test_two_inputs_of_one_name_are_refused_before_anything_begins(
    tmp_path: Path, tiny: Path, command: Command
) -> None:
    first, second = write_noise(tmp_path / "a" / "song.wav"), write_noise(tmp_path / "b" / "Song.wav")
    ended = command("separate", first, second, "-o", tmp_path / "out", "-m", tiny)
    assert ended.code == 2
    assert f"{str(first)!r} and {str(second)!r} would both become" in ended.error
    assert "folders of their own with --out" in ended.error
    assert not (tmp_path / "out").exists()


def test_a_template_without_the_track_takes_one_input_only() -> None:
    files = [AudioInput(Path("a.wav")), AudioInput(Path("b.wav"))]
    with pytest.raises(ConfigurationError, match=r"put \{track\} into --filename"):
        check_outputs(files, Path("out"), "{stem}.{ext}", TINY, "wav")
    check_outputs(files[:1], Path("out"), "{stem}.{ext}", TINY, "wav")
    check_outputs(files, Path("out"), "{track}/{stem}.{ext}", TINY, "wav")


def test_an_output_never_replaces_an_input(tmp_path: Path, tiny: Path, command: Command) -> None:
    song = write_noise(tmp_path / "other.wav")
    before = song.read_bytes()
    ended = command("separate", song, "-o", tmp_path, "-m", tiny, "--filename", "{stem}.{ext}")
    assert ended.code == 2
    assert "would replace the input" in ended.error
    assert song.read_bytes() == before


def test_a_name_that_moves_the_cursor_is_shown_escaped(tmp_path: Path, tiny: Path, command: Command) -> None:
    odd = write_noise(tmp_path / "a\n[bold]\x1b[2J.wav")
    ended = command("separate", odd, "-o", tmp_path / "out", "-m", tiny)
    assert ended.code == 0
    assert len(ended.out.splitlines()) == 2
    assert "\x1b" not in ended.out + ended.err
    assert "a\\n[bold]\\x1b[2J" in ended.err
