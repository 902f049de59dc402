"""Scores of a separator: their definitions at the extremes, what is compared, and what the program says and refuses."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quality
import quality_oracle
import quality_plot
import quality_report
import soundfile
from matplotlib.axes import Axes
from quality_scores import MEASURES, Score, filtered_sdr_db, mean_scores, museval_sdr_db, score_excerpt
from quality_stream import check_stream, measured_delays, stream

from engine import Separator, load_separator, separate
from streamer.song import compose_song
from streamer.testing import DelaySeparator, IdentitySeparator
from tests.engine.onnx_models import gains, save

RATE = 8000
FRAMES = 2 * RATE + 1234
RNG = np.random.default_rng(0)
SECONDS = np.arange(FRAMES) / RATE
STEMS = {
    "vocals": 0.3 * np.sin(2 * np.pi * np.array([[440.0], [445.0]]) * SECONDS + 3 * np.sin(9 * SECONDS)),
    "drums": RNG.normal(0, 0.2, (2, FRAMES)) * np.exp(-8 * (SECONDS % 0.25)),
    "other": 0.1 * np.sign(np.sin(2 * np.pi * np.array([[110.0], [165.0]]) * SECONDS)),
}
STEMS = {stem: audio.astype(np.float32) for stem, audio in STEMS.items()}
PROGRAM = Path(quality.__file__)
Main = Callable[..., tuple[int, str, str]]


def write(folder: Path, *, rate: int = RATE, **files: np.ndarray) -> Path:
    """Write an excerpt; its mixture is the sum of its stems unless it is given."""
    folder.mkdir(parents=True)
    mixture = files.pop("mixture", None)
    for name, audio in {**files, "mixture": sum(files.values()) if mixture is None else mixture}.items():
        soundfile.write(folder / f"{name}.wav", audio.T, rate, subtype="FLOAT")
    return folder


def excerpt(folder: Path, **files: np.ndarray) -> quality.Excerpt:
    return quality.read_excerpt(quality.find_excerpts(write(folder / "one", **files))[0])


@pytest.fixture
def one(tmp_path: Path) -> quality.Excerpt:
    return excerpt(tmp_path, **STEMS)


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Main:
    """Run the program on a model; give its exit code and what it said on both streams."""

    def run(*arguments: str | Path, model: Separator | None = None) -> tuple[int, str, str]:
        model = IdentitySeparator(sample_rate=RATE) if model is None else model
        monkeypatch.setattr(quality, "load_separator", lambda name: model)
        code = quality.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def cells(said: str, *names: str) -> list[str]:
    """Scores in the table's row that begins with these cells."""
    begin = f"| {' | '.join(names)} |"
    rows = [line for line in said.splitlines() if line.startswith(begin)]
    assert len(rows) == 1, f"{len(rows)} rows begin with {begin}"
    return [cell.strip() for cell in rows[0].removeprefix(begin).strip("| ").split("|")]


def test_the_truth_is_a_perfect_estimate(one: quality.Excerpt):
    for score in score_excerpt(one, one.truths).values():
        assert score.sdr_db == score.museval_sdr_db == math.inf
        assert min(score.filtered_sdr_db, score.si_sdr_db) > 90
        assert score.si_sdr_improvement_db > 90


def test_the_mixture_does_not_improve_on_itself(one: quality.Excerpt):
    for stem, score in score_excerpt(one, dict.fromkeys(STEMS, one.mixture)).items():
        assert score.si_sdr_improvement_db == 0.0
        rest = one.mixture.astype(float) - one.truths[stem]
        energies = [np.sum(np.square(audio, dtype=float)) for audio in (one.truths[stem], rest)]
        assert score.sdr_db == pytest.approx(10 * np.log10(energies[0] / energies[1]), abs=1e-4)


def test_silence_has_an_sdr_of_zero_and_no_other_score(one: quality.Excerpt):
    for score in score_excerpt(one, dict.fromkeys(STEMS, np.zeros_like(one.mixture))).values():
        assert score.sdr_db == 0.0
        assert all(math.isnan(getattr(score, name)) for name in MEASURES if name != "sdr_db")


def test_only_stems_that_play_are_scored(tmp_path: Path):
    without_drums = excerpt(tmp_path, **{**STEMS, "drums": np.zeros_like(STEMS["drums"])})
    assert set(without_drums.truths) == {"vocals", "other"}
    assert set(score_excerpt(without_drums, STEMS)) == {"vocals", "other"}


def test_an_estimate_of_another_shape_is_refused(one: quality.Excerpt):
    with pytest.raises(ValueError, match="the estimate of 'drums' has shape"):
        score_excerpt(one, {"drums": one.mixture[:, 1:]})


def by_seconds(truth: np.ndarray, *levels: float) -> np.ndarray:
    """Give an estimate whose every second has an error of its own; what follows the last whole second is worst."""
    wrong = np.full(truth.shape[1], 10.0)
    for n, level in enumerate(levels):
        wrong[n * RATE : (n + 1) * RATE] = level
    return truth * (1 + wrong)


def test_museval_takes_the_median_of_whole_seconds():
    truth = RNG.normal(0, 0.1, (2, 3 * RATE + 999))
    scores = museval_sdr_db({"drums": (truth, by_seconds(truth, 0.1, 1.0, 0.001))}, RATE)
    assert scores == {"drums": pytest.approx(20.0)}


@pytest.mark.parametrize("which", ["truth", "estimate"])
def test_museval_leaves_a_second_out_in_which_any_stem_is_silent(which: str):
    truth = RNG.normal(0, 0.1, (2, 3 * RATE))
    silent = truth.copy()
    # Silent is what adds up to zero over the channels.
    silent[:, RATE : 2 * RATE] = [[0.1], [-0.1]]
    other = {"truth": (silent, truth), "estimate": (truth, silent)}[which]
    scores = museval_sdr_db({"drums": (truth, by_seconds(truth, 0.1, 10.0, 1.0)), "other": other}, RATE)
    assert scores["drums"] == pytest.approx(10.0)


def test_museval_takes_what_is_shorter_than_a_second_whole():
    truth = RNG.normal(0, 0.1, (2, RATE // 2))
    assert museval_sdr_db({"drums": (truth, 1.1 * truth)}, RATE) == {"drums": pytest.approx(20.0)}


def test_the_filtered_sdr_is_what_is_left_beside_the_projection_on_512_shifts():
    truth = RNG.normal(0, 0.1, (2, 1500))
    estimate = np.stack([0.5 * np.roll(truth[0], 3), truth[1]]) + RNG.normal(0, 0.03, truth.shape)
    target = total = 0.0
    for true, given in zip(truth, estimate, strict=True):
        shifts = np.stack([np.pad(true, (n, 511 - n)) for n in range(512)], axis=1)
        padded = np.pad(given, (0, 511))
        taps = np.linalg.lstsq(shifts, padded, rcond=None)[0]
        target += np.sum((shifts @ taps) ** 2)
        total += np.sum(padded**2)
    assert filtered_sdr_db(truth, estimate) == pytest.approx(10 * np.log10(target / (total - target)), abs=1e-4)


@pytest.mark.parametrize(("delay", "is_forgiven"), [(500, True), (600, False)])
def test_the_filtered_sdr_forgives_a_level_and_a_short_delay(delay: int, is_forgiven: bool):
    truth = np.pad(RNG.normal(0, 0.1, (2, RATE)), ((0, 0), (0, 1000)))
    assert (filtered_sdr_db(truth, 0.1 * np.roll(truth, delay, axis=1)) > 60) == is_forgiven


def test_the_filtered_sdr_counts_what_comes_in_a_channel_without_truth():
    truth = RNG.normal(0, 0.1, (2, RATE)) * [[1.0], [0.0]]
    estimate = truth + 0.1 * truth[::-1]
    assert filtered_sdr_db(truth, estimate) == pytest.approx(20.0, abs=0.01)


def test_a_mean_is_over_the_excerpts_in_which_a_stem_plays():
    good, bad, unknown = (Score(*[value] * 5) for value in (10.0, 4.0, math.nan))
    means = {mean.stem: mean for mean in mean_scores([{"drums": good}, {"drums": bad, "bass": bad}])}
    assert (means["drums"].excerpts, means["drums"].score.sdr_db) == (2, 7.0)
    assert (means["bass"].excerpts, means["bass"].score.sdr_db) == (1, 4.0)
    assert math.isnan(mean_scores([{"drums": good}, {"drums": unknown}])[0].score.sdr_db)


def test_the_oracle_shares_the_whole_mixture_out(one: quality.Excerpt):
    separated = quality.oracle_stems(one, STEMS)
    np.testing.assert_allclose(sum(separated.values()), one.mixture, atol=1e-5)


def test_the_oracle_shares_by_power(tmp_path: Path):
    one = excerpt(tmp_path, drums=STEMS["drums"], other=STEMS["drums"] * np.float32(0.5))
    separated = quality.oracle_stems(one, ["other", "vocals"])
    np.testing.assert_allclose(separated["other"], 0.2 * one.mixture, atol=1e-5)
    assert not separated["vocals"].any()


def test_the_oracle_keeps_what_no_stem_has_to_itself(tmp_path: Path):
    hum = np.float32(0.3) * np.sin(2 * np.pi * 3000 * SECONDS).astype(np.float32)
    one = excerpt(tmp_path, vocals=STEMS["vocals"], mixture=STEMS["vocals"] + hum)
    assert score_excerpt(one, quality.oracle_stems(one, ["vocals"]))["vocals"].sdr_db > 30


def test_the_oracle_is_the_same_in_pieces(one: quality.Excerpt, monkeypatch: pytest.MonkeyPatch):
    whole = quality.oracle_stems(one, STEMS)
    monkeypatch.setattr(quality_oracle, "_PIECE_FRAMES", 5 * 1024)
    for stem, audio in quality.oracle_stems(one, STEMS).items():
        np.testing.assert_allclose(audio, whole[stem], atol=1e-6)


def test_the_oracle_is_better_than_the_model(tmp_path: Path, main: Main):
    song = compose_song(2.0, sample_rate=RATE)
    write(tmp_path / "song", **song.stems)
    code, said, _ = main(tmp_path, model=load_separator("spatial"))
    assert code == 0
    for column in (0, 3, 4):
        sums = [
            sum(float(cells(said, "song", stem, each)[column]) for stem in song.stems) for each in ("model", "oracle")
        ]
        assert sums[0] + 5 < sums[1]


def test_the_oracle_takes_the_shortest_of_excerpts(tmp_path: Path):
    short = excerpt(tmp_path, **{stem: audio[:, :100] for stem, audio in STEMS.items()})
    np.testing.assert_allclose(sum(quality.oracle_stems(short, STEMS).values()), short.mixture, atol=1e-5)


def test_the_table_holds_every_estimate_and_the_means(tmp_path: Path, main: Main):
    write(tmp_path / "a", **STEMS)
    write(tmp_path / "0", vocals=STEMS["vocals"], other=STEMS["other"])
    code, said, errors = main(tmp_path)
    assert (code, errors) == (0, "")
    assert cells(said, "a", "drums", "silence") == ["0.00", "-", "-", "-", "-"]
    for stem in STEMS:
        # The identity gives the mixture at a lower level.
        model, mixture = (cells(said, "a", stem, each) for each in ("model", "mixture"))
        assert model[2:] == mixture[2:]
        assert model[4] == "0.00"
    halves = [float(cells(said, name, "vocals", "oracle")[0]) for name in "a0"]
    assert float(cells(said, "all", "vocals", "2", "oracle")[0]) == pytest.approx(sum(halves) / 2, abs=0.011)
    assert cells(said, "all", "drums", "1", "oracle") == cells(said, "a", "drums", "oracle")
    means = [line.split(" | ")[1] for line in said.splitlines() if line.startswith("| all ")]
    assert list(dict.fromkeys(means)) == ["vocals", "drums", "other"]


def test_held_out_excerpts_have_their_own_means(tmp_path: Path, main: Main):
    for name, louder in (("a", 1), ("b", 2), ("c", 3)):
        write(tmp_path / name, **{**STEMS, "drums": louder * STEMS["drums"]})
    said = main(tmp_path, "--held-out", "b", "--only", "a", "b", "--no-filtered")[1]
    assert cells(said, "held out*", "drums", "1", "model") == cells(said, "b*", "drums", "model")
    assert cells(said, "others", "drums", "1", "model") == cells(said, "a", "drums", "model")
    assert "| c " not in said
    assert "| all " not in said


def test_a_score_without_limit_is_shown_as_not_defined(tmp_path: Path, main: Main):
    left = STEMS["drums"] * np.float32([[1], [0]])
    said = main(write(tmp_path / "a", drums=left, mixture=left[::-1]))[1]
    assert cells(said, "a", "drums", "mixture")[3] == "-"
    assert "-inf" not in said


def test_without_the_filter_its_column_is_empty(tmp_path: Path, main: Main):
    scores = cells(main(write(tmp_path / "a", **STEMS), "--no-filtered")[1], "a", "drums", "model")
    assert [score == "-" for score in scores] == [False, False, True, False, False]


def test_how_loud_the_model_is_where_a_stem_is_silent(tmp_path: Path, main: Main):
    write(tmp_path / "a", **STEMS)
    write(tmp_path / "b", other=STEMS["other"], vocals=0 * STEMS["vocals"])
    said = main(tmp_path)[1]
    assert cells(said, "b", "drums") == ["6.02"]  # its gain is a half
    assert cells(said, "b", "vocals") == ["12.04"]
    assert "| b | drums | model |" not in said


def test_what_does_not_fit_together_is_said(tmp_path: Path, main: Main):
    mixture = sum(STEMS.values()) * np.float32(1.1)
    guitar = np.zeros_like(mixture)
    write(tmp_path / "a", drums=STEMS["drums"] + STEMS["vocals"], other=STEMS["other"], guitar=guitar, mixture=mixture)
    said = main(tmp_path)[1]
    assert "- vocals: the model gives it and no excerpt has it" in said
    assert "- guitar: there are files of it and the model does not give it" in said
    assert "- a: its stems do not add up to its mixture; what is missing lies 20.8 dB below it" in said
    assert "| vocals |" not in said


def test_stems_that_add_up_are_not_remarked_on(tmp_path: Path, main: Main):
    assert "do not add up" not in main(write(tmp_path / "a", **STEMS))[1]


def test_a_stem_file_of_other_excerpts_makes_a_stem_known(tmp_path: Path, main: Main):
    write(tmp_path / "a", **STEMS)
    write(tmp_path / "b", other=STEMS["other"])
    assert cells(main(tmp_path, "--only", "b")[1], "b", "vocals") == ["12.04"]


def test_a_folder_with_a_mixture_is_the_only_excerpt(tmp_path: Path):
    write(tmp_path / "a", **STEMS)
    write(tmp_path / "a" / "b", **STEMS)
    assert [files.name for files in quality.find_excerpts(tmp_path / "a")] == ["a"]
    assert [files.name for files in quality.find_excerpts(tmp_path / "a" / "b")] == ["b"]


@pytest.mark.parametrize("model", ["identity", "delay", "spatial"])
def test_a_stream_is_aligned_by_the_promised_latency(model: str, tmp_path: Path, main: Main):
    models = {"identity": IdentitySeparator(sample_rate=RATE), "delay": DelaySeparator(sample_rate=RATE)}
    separator = models.get(model) or load_separator(model)
    rate = separator.spec.sample_rate
    write(tmp_path / "a", rate=rate, **STEMS)
    names = [stem for stem in separator.spec.output_stems if stem in STEMS]
    options = ["--stream", "--latency-ms", "300", "--json", tmp_path / "scores.json"]
    code, said, _ = main(tmp_path, *options, model=separator)
    assert code == 0
    assert f"- Promised latency: 300.0 ms = {round(0.3 * rate)} frames at {rate} Hz" in said
    assert "with what the model gives offline: as promised" in said
    assert "- Really separated: 100.00 % at least" in said
    scores = json.loads((tmp_path / "scores.json").read_text())["excerpts"][0]["scores"]
    for stem in names:
        for name in MEASURES:
            assert scores["model"][stem][name] == pytest.approx(scores["offline"][stem][name], abs=1e-4)
    assert "Streamed less offline, mean and largest difference in dB: SDR +0.0000 (0.0000)" in said


def test_a_latency_that_is_not_kept_is_found_and_not_made_good(
    tmp_path: Path, main: Main, monkeypatch: pytest.MonkeyPatch
):
    def late(*given: object, **named: object) -> object:
        streamed = stream(*given, **named)
        return replace(streamed, output=np.pad(streamed.output, ((0, 0), (0, 0), (7, 0)))[..., :-7])

    monkeypatch.setattr(quality, "stream", late)
    said = main(write(tmp_path / "a", drums=STEMS["drums"], other=STEMS["other"]), "--stream")[1]
    assert "NOT as promised: a vocals" in said
    assert float(cells(said, "a", "drums", "model")[3]) < float(cells(said, "a", "drums", "offline")[3]) - 5


def test_a_measured_delay_is_where_the_correlation_is_highest():
    early = RNG.normal(0, 0.1, (3, 2, 5000)).astype(np.float32)
    early[2] = 0
    late = np.zeros((3, 2, 5300), np.float32)
    late[0, :, 123:5123] = early[0]
    late[1, :, 300:] = -0.5 * early[1]
    late[1, :, 200:5200] += early[1]
    assert measured_delays(late, early) == (123, 200, None)
    assert measured_delays(early, late) == (-123, -200, None)


def test_a_stream_gives_every_frame_after_the_latency(one: quality.Excerpt):
    model = IdentitySeparator(sample_rate=RATE)
    streamed = stream(model, one.mixture, RATE)
    latency = streamed.latency.total_frames
    assert streamed.output.shape == (3, 2, FRAMES + latency)
    assert not streamed.output[..., :latency].any()
    np.testing.assert_allclose(streamed.stems, separate(model, one.mixture, RATE), atol=1e-6)
    check = check_stream(model, streamed, streamed.stems)
    assert check.measured_frames == dict.fromkeys(STEMS, latency)
    assert check.broken == {}


def test_the_json_is_valid_and_has_no_machine_paths(tmp_path: Path, main: Main):
    write(tmp_path / "a", **STEMS)
    path = tmp_path / "scores.json"
    assert main(tmp_path, "--json", path, "--stream")[0] == 0

    def refuse(name: str) -> None:
        pytest.fail(f"{name} is not JSON")

    text = path.read_text(encoding="utf-8")
    scores = json.loads(text, parse_constant=refuse)
    assert str(tmp_path) not in text
    assert scores["excerpts"][0]["scores"]["silence"]["drums"]["si_sdr_db"] is None
    assert scores["excerpts"][0]["scores"]["silence"]["drums"]["sdr_db"] == 0.0
    assert {mean["estimate"] for mean in scores["means"]} == {"model", "offline", "mixture", "silence", "oracle"}
    assert scores["excerpts"][0]["stream"]["measured_frames"].keys() == STEMS.keys()


def test_the_plot_is_a_picture_of_the_scores(tmp_path: Path, main: Main):
    write(tmp_path / "a", **STEMS)
    write(tmp_path / "b", drums=STEMS["drums"], other=STEMS["other"])
    assert main(tmp_path, "--no-filtered", "--held-out", "b", "--plot", tmp_path / "scores.png")[0] == 0
    picture = (tmp_path / "scores.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(picture[n : n + 4], "big") for n in (16, 20))
    assert width > 600 < height


def bars_of(
    results: list[quality_report.Result], monkeypatch: pytest.MonkeyPatch
) -> dict[tuple[int, str], list[float]]:
    """Heights of all bars that are drawn, by place of the panel and name of the estimate."""
    drawn: dict[tuple[int, str], list[float]] = {}
    bar = Axes.bar

    def keep(panel: Axes, x: list[float], heights: list[float], *options: Any, label: str, **more: Any) -> Any:
        drawn[panel.get_subplotspec().num1, label] = heights
        return bar(panel, x, heights, *options, label=label, **more)

    monkeypatch.setattr(Axes, "bar", keep)
    assert quality_plot.plot(results, "scores").startswith(b"\x89PNG")
    return drawn


def result(name: str, **scores: dict[str, Score]) -> quality_report.Result:
    return quality_report.Result(name, RATE, 1.0, False, -math.inf, scores, {})


def test_each_bar_of_the_plot_is_as_high_as_its_score(monkeypatch: pytest.MonkeyPatch):
    a = result("a", model={"drums": Score(1, 2, 3, 4, 5)}, mixture={"drums": Score(6, 7, 8, 9, 0)})
    b = result("b", model={"drums": Score(math.inf, 2, 3, 4, -6)}, mixture={"drums": Score(-7, 7, 8, 9, 0)})
    drawn = bars_of([a, b], monkeypatch)
    assert drawn.keys() == {(0, "model"), (0, "mixture"), (1, "model")}
    assert drawn[0, "model"] == [1, pytest.approx(math.nan, nan_ok=True)]
    assert (drawn[0, "mixture"], drawn[1, "model"]) == ([6, -7], [5, -6])


def test_the_largest_difference_is_the_largest_either_way():
    a = result("a", model={"drums": Score(1, 2, math.nan, 4, 5)}, offline={"drums": Score(4, 2, 3, 3, 5)})
    b = result("b", model={"drums": Score(1, 2, 3, math.inf, 5)}, offline={"drums": Score(0, 2, 2, math.inf, 5)})
    found = quality_report.differences([a, b], "model", "offline")
    assert found["sdr_db"] == (-1.0, 3.0)
    assert found["filtered_sdr_db"] == (1.0, 1.0)
    assert found["si_sdr_db"] == (0.5, 1.0)


def other_rate(folder: Path) -> None:
    write(folder / "a", drums=STEMS["drums"])
    soundfile.write(folder / "a" / "other.wav", STEMS["other"].T, 48_000)


def other_length(folder: Path) -> None:
    write(folder / "a", drums=STEMS["drums"], other=STEMS["other"][:, 1:], mixture=STEMS["drums"])


def other_channels(folder: Path) -> None:
    write(folder / "a", drums=STEMS["drums"], other=STEMS["other"][:1], mixture=STEMS["drums"])


def no_mixture(folder: Path) -> None:
    write(folder / "a", drums=STEMS["drums"])
    (folder / "a" / "mixture.wav").unlink()


def no_stems(folder: Path) -> None:
    write(folder / "a", mixture=STEMS["drums"])


def twice(folder: Path) -> None:
    write(folder / "a", drums=STEMS["drums"])
    soundfile.write(folder / "a" / "drums.flac", STEMS["drums"].T, RATE)


def silent_mixture(folder: Path) -> None:
    write(folder / "a", drums=STEMS["drums"], mixture=0 * STEMS["drums"])


def silent_stems(folder: Path) -> None:
    write(folder / "a", drums=0 * STEMS["drums"], mixture=STEMS["drums"])


def not_finite(folder: Path) -> None:
    write(folder / "a", drums=np.full_like(STEMS["drums"], np.nan), mixture=STEMS["drums"])


def other_names(folder: Path) -> None:
    write(folder / "a", guitar=STEMS["drums"])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: folder.rmdir(), "is not a folder: give one"),
        (lambda folder: None, "holds no mixture: put mixture.wav"),
        (no_mixture, "holds no mixture: put mixture.wav"),
        (no_stems, "a mixture without stems: put them beside it"),
        (other_rate, "other.wav' has 48000 Hz and 'mixture.wav' has 8000: make them equal"),
        (other_length, f"other.wav' has {FRAMES - 1} frames and 'mixture.wav' has {FRAMES}: make them equal"),
        (other_channels, "other.wav' has 1 channels and 'mixture.wav' has 2: make them equal"),
        (twice, "holds 'drums.flac' and 'drums.wav': keep one of them"),
        (silent_mixture, "mixture.wav' is silent"),
        (silent_stems, "is silent: leave this excerpt out"),
        (not_finite, "drums.wav' holds samples that are not finite"),
        (other_names, "'identity' gives vocals, drums, other and"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused_in_one_line(
    make: Callable[[Path], object], told: str, tmp_path: Path, main: Main
):
    (tmp_path / "audio").mkdir()
    make(tmp_path / "audio")
    code, _, errors = main(tmp_path / "audio")
    assert code == 2
    assert told in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--only", "b"], "--only b is not an excerpt: there are a"),
        (["--held-out", "b"], "--held-out b is not an excerpt: there are a"),
        (["--stream", "--latency-ms", "1"], "latency_s="),
    ],
)
def test_an_option_that_cannot_be_met_is_refused_in_one_line(
    options: Sequence[str], told: str, tmp_path: Path, main: Main
):
    write(tmp_path / "a", **STEMS)
    code, _, errors = main(tmp_path, *options)
    assert code == 2
    assert told in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("make", [other_length, silent_mixture, not_finite])
def test_an_excerpt_that_cannot_be_read_leaves_the_others_scored(
    make: Callable[[Path], object], tmp_path: Path, main: Main
):
    audio = tmp_path / "audio"
    make(audio)
    write(audio / "b", **STEMS)
    code, said, errors = main(audio, "--no-filtered", "--json", tmp_path / "s.json", "--plot", tmp_path / "s.png")
    assert code == 1
    assert errors.count("\n") == 1
    assert "- a: it could not be read, so it is left out" in said
    assert len(cells(said, "all", "drums", "1", "model")) == 5
    scores = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert ([each["excerpt"] for each in scores["excerpts"]], scores["failed"]) == (["b"], ["a"])
    assert (tmp_path / "s.png").exists()


def test_where_no_excerpt_can_be_read_nothing_is_written(tmp_path: Path, main: Main):
    silent_mixture(tmp_path)
    write(tmp_path / "b", drums=0 * STEMS["drums"])
    code, _, errors = main(tmp_path, "--json", tmp_path / "s.json", "--plot", tmp_path / "s.png")
    assert code == 2
    assert errors.splitlines()[-1] == "quality.py: no excerpt could be read: mend them as said above"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_stems_without_a_mixture_are_not_left_out_silently(tmp_path: Path, main: Main):
    no_mixture(tmp_path)
    write(tmp_path / "b", **STEMS)
    (tmp_path / "notes").mkdir()
    code, said, _ = main(tmp_path, "--no-filtered")
    assert code == 0
    assert "- a: it holds audio and no mixture, so it is left out" in said
    assert "- notes:" not in said


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_a_place_that_cannot_be_written_to_is_told_before_any_work(option: str, tmp_path: Path, main: Main):
    write(tmp_path / "audio", **STEMS)
    path = tmp_path / {"--json": "s.json", "--plot": "s.png"}[option]
    path.mkdir()
    code, said, errors = main(tmp_path / "audio", option, path)
    assert (code, said) == (1, "")
    assert f"{path.name}' is a folder" in errors
    assert errors.count("\n") == 1


def test_ctrl_c_is_one_line_and_leaves_an_older_result(tmp_path: Path, main: Main, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    write(tmp_path / "audio", **STEMS)
    (tmp_path / "s.json").write_text("older")
    monkeypatch.setattr(quality, "read_excerpt", interrupt)
    code, _, errors = main(tmp_path / "audio", "--json", tmp_path / "s.json")
    assert (code, errors) == (130, "interrupted\n")
    assert (tmp_path / "s.json").read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audio", "s.json"]


@pytest.mark.parametrize(
    "options",
    [
        ["--latency-ms", "100"],
        ["--plot", "scores.txt"],
        ["--json", "mixture.wav"],
        ["--json", "missing/scores.json"],
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_before_any_work(options: Sequence[str], tmp_path: Path, main: Main):
    with pytest.raises(SystemExit) as refused:
        main(tmp_path, *options)
    assert refused.value.code == 2


def test_it_runs_as_a_program_on_an_onnx_file(tmp_path: Path):
    folder = write(tmp_path / "a", **STEMS)
    save(tmp_path / "mine.onnx", gains(0.1, 0.2, 0.3, 0.4, frames=4096))
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nsample_rate: 8000\nstems: [vocals, drums, bass, other]\n", encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, PROGRAM, folder, "-m", tmp_path / "mine.onnx", "--no-filtered"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(PROGRAM.parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "; mine, offline" in done.stdout
    assert "- bass: the model gives it and no excerpt has it" in done.stdout
    assert cells(done.stdout, "a", "drums", "model")[4] == "0.00"
