"""Scores against look-ahead: the same separator as the reference, what later hops may change, and what is written."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import spatial_lookahead
from spatial_lookahead_model import Analysis, Variant, largest_difference

from engine.models.spatial_design import SpatialDesign
from engine.models.spatial_graph import SHIPPED

RATE = 44100
FRAMES = RATE // 4
SECONDS = np.arange(FRAMES) / RATE
SMALL = SpatialDesign(n_fft=512, hop_frames=128)
Main = Callable[..., tuple[int, str, str]]


def parts(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    made = {
        "vocals": 0.3 * np.sin(2 * np.pi * 440 * SECONDS + 3 * np.sin(30 * SECONDS)) * np.ones((2, 1)),
        "drums": rng.normal(0, 0.2, (2, FRAMES)) * np.exp(-30 * (SECONDS % 0.1)),
        "bass": 0.3 * np.sin(2 * np.pi * 80 * SECONDS) * np.ones((2, 1)),
        "other": 0.1 * np.sin(2 * np.pi * np.array([[660.0], [990.0]]) * SECONDS),
    }
    return {stem: audio.astype(np.float32) for stem, audio in made.items()}


def mixture(seed: int = 0) -> np.ndarray:
    return np.sum(list(parts(seed).values()), axis=0)


def write(folder: Path, *, rate: int = RATE, channels: int = 2, seed: int = 0, without: Sequence[str] = ()) -> Path:
    folder.mkdir(parents=True)
    stems = {stem: audio[:channels] for stem, audio in parts(seed).items() if stem not in without}
    for name, audio in {**stems, "mixture": sum(stems.values())}.items():
        soundfile.write(folder / f"{name}.wav", audio.T, rate, subtype="FLOAT")
    return folder


@pytest.fixture
def main(capsys: pytest.CaptureFixture[str]) -> Main:
    """Run the program; give its exit code and what it said on both streams."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = spatial_lookahead.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure a point of every curve and two parts."""
    chosen: dict[str, list[spatial_lookahead.Point]] = {}
    for point in spatial_lookahead.curves():
        chosen.setdefault(point.group, []).append(point)
    points = [members[-1] for members in chosen.values()]
    two = list(spatial_lookahead.parts())[:2]
    monkeypatch.setattr(spatial_lookahead, "curves", lambda: iter(points))
    monkeypatch.setattr(spatial_lookahead, "parts", lambda: iter(two))


@pytest.mark.parametrize("n_fft", [256, 2048])
def test_without_later_hops_it_is_the_reference(n_fft: int):
    quiet = mixture()
    quiet[:, 3000:4000] *= 1e-8
    for margin in (2.5, -1.0):
        design = SpatialDesign(n_fft=n_fft, hop_frames=n_fft // 4, margin=margin)
        assert largest_difference(quiet, design) < 1e-5


@pytest.mark.parametrize("extra_hops", [0, 1, 6])
def test_an_output_frame_knows_nothing_that_is_later_by_the_latency(extra_hops: int):
    variant = Variant(SMALL, extra_hops)
    heard = mixture()
    changed = heard.copy()
    first = 5000
    changed[:, first:] = mixture(seed=1)[:, first:] + 0.1
    given, other = (Analysis(audio, variant).separate(2.5) for audio in (heard, changed))
    assert variant.latency_frames == 512 + 128 * extra_hops
    same = first - variant.latency_frames + 1
    np.testing.assert_array_equal(given[..., :same], other[..., :same])


@pytest.mark.parametrize(("extra_hops", "is_changed"), [(0, False), (1, True), (6, True)])
def test_only_with_later_hops_the_future_beyond_the_transform_counts(extra_hops: int, is_changed: bool):
    heard = mixture()
    changed = heard.copy()
    changed[:, 5000:] = 0.0
    before = 5000 - SMALL.n_fft + 1
    given, other = (Analysis(audio, Variant(SMALL, extra_hops)).separate(2.5) for audio in (heard, changed))
    assert np.any(given[..., :before] != other[..., :before]) == is_changed


@pytest.mark.parametrize(
    "variant",
    [Variant(SMALL), Variant(SMALL, 3), Variant(SMALL, 5000), Variant(SMALL, is_binary=True)],
    ids=["shipped", "later", "all", "binary"],
)
def test_the_stems_add_up_to_the_mixture(variant: Variant):
    heard = mixture()
    stems = Analysis(heard, variant).separate(1.0)
    assert stems.shape == (4, *heard.shape)
    np.testing.assert_allclose(stems.sum(axis=0), heard, atol=1e-6)
    assert all(stem.any() for stem in stems)


def test_without_panning_a_voice_at_one_side_counts_as_centred():
    voice = parts()["vocals"] * np.array([[1.0], [0.0]], np.float32)
    panned, centred = (
        Analysis(voice, Variant(SMALL, hears_panning=is_heard)).separate(2.5)[0] for is_heard in (True, False)
    )
    assert np.max(np.abs(panned)) < 1e-3
    assert np.max(np.abs(centred)) > 0.1


def test_the_margin_is_the_best_of_a_grid_and_far_ones_are_tried_first():
    tried = spatial_lookahead.choose_margin(lambda margin: -((margin - 1.3) ** 2))
    assert next(iter(tried)) == 1.25
    assert list(tried.values()) == sorted(tried.values(), reverse=True)
    assert min(tried) == -2.0
    assert max(tried) == 4.0


def test_the_points_reach_from_the_shortest_transform_to_half_a_second():
    points = list(spatial_lookahead.curves())
    latencies = [point.variant.latency_ms for point in points]
    assert (round(min(latencies), 1), round(max(latencies))) == (5.8, 464)
    shipped = [point.variant.design for point in points if point.is_as_shipped]
    assert shipped == [design for _, design in reversed(SHIPPED.values())]


def test_each_part_changes_the_design_in_a_way_of_its_own():
    variants = [point.variant for point in spatial_lookahead.parts() if not point.is_as_shipped]
    assert len(set(variants)) == len(variants)
    assert variants[0] == Variant(SpatialDesign())


def test_tables_json_and_plot_are_made(tmp_path: Path, main: Main):
    write(tmp_path / "audio" / "a")
    write(tmp_path / "audio" / "b", seed=1, without=["bass"])
    wanted = ["--held-out", "b", "--json", tmp_path / "out.json", "--plot", tmp_path / "out.svg"]
    code, said, errors = main(tmp_path / "audio", *wanted, "--no-song")
    assert (code, errors) == (0, "")
    lines = said.splitlines()
    assert "a (tuning), b (held out)" in lines[0]
    head = "| what | A ms | n_fft / hop | later hops | margin | vocals | drums | bass | other | mean | vocals* "
    assert sum(line.startswith(head) for line in lines) == 2
    assert sum(line.startswith("| transform | ") for line in lines) == 6
    assert any(line.startswith("| transform | 5.8 | 256 / 64 | 0 | ") for line in lines)
    assert any(line.startswith("| later hops | 464.4 | 2048 / 512 | 36 | ") for line in lines)
    assert any(line.startswith("| spatial, as shipped | 46.4 | 2048 / 512 | 0 | 2.5 | ") for line in lines)
    assert any(line.startswith("| no voice contrast | ") for line in lines)
    text = (tmp_path / "out.json").read_text(encoding="utf-8")
    everything = json.loads(text)
    assert str(tmp_path) not in text
    assert len(everything["rows"]) == len([*spatial_lookahead.curves(), *spatial_lookahead.parts()])
    assert everything["excerpts"] == {"a": "tuning", "b": "held out"}
    assert set(everything["rows"][0]["scores"]["b"]) == {"vocals", "drums", "other"}
    picture = ElementTree.parse(tmp_path / "out.svg").getroot()  # noqa: S314 (made a moment ago)
    assert picture.tag.endswith("svg")
    words = " ".join("".join(element.itertext()) for element in picture.iter() if element.tag.endswith("text"))
    assert "SDR, dB: tuning excerpts" in words
    assert "SI-SDR above the mixture's, dB: held-out excerpts" in words
    assert (tmp_path / "out.svg").stat().st_size < 150_000


@pytest.mark.usefixtures("few_points")
def test_the_song_is_a_tuning_excerpt_and_excerpts_are_cut(tmp_path: Path, main: Main):
    write(tmp_path / "a")
    code, said, errors = main(
        tmp_path, "--tune", "a", "--seconds", "0.2", "--plot", tmp_path / "out.png", "--json", tmp_path / "out.json"
    )
    assert (code, errors) == (0, "")
    assert "a (tuning), song (tuning)" in said
    assert "*" not in said
    picture = (tmp_path / "out.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(picture[16:20], "big") == 900


@pytest.mark.usefixtures("few_points")
def test_the_same_figures_give_the_same_picture(tmp_path: Path, main: Main):
    folder = write(tmp_path / "a")
    pictures = []
    for name in ("one.svg", "two.svg"):
        assert main(folder, "--no-song", "--plot", tmp_path / name)[0] == 0
        pictures.append((tmp_path / name).read_bytes())
    assert pictures[0] == pictures[1]


def test_held_out_excerpts_do_not_choose_the_margin(tmp_path: Path, main: Main, monkeypatch: pytest.MonkeyPatch):
    point = list(spatial_lookahead.parts())[1]
    monkeypatch.setattr(spatial_lookahead, "curves", lambda: iter([point]))
    monkeypatch.setattr(spatial_lookahead, "parts", lambda: iter([point]))
    write(tmp_path / "a")
    write(tmp_path / "b", seed=1, without=["vocals", "other"])
    tried = []
    for options in (["--held-out", "b"], ["--tune", "a"]):
        assert main(tmp_path, "--no-song", *options, "--json", tmp_path / "out.json")[0] == 0
        rows = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["rows"]
        tried.append(rows[0]["tuning_sdr_db_by_margin"])
    assert tried[0] == tried[1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--held-out", "c"], "--held-out c is not an excerpt: there are a"),
        (["--tune", "c"], "--tune c is not an excerpt: there are a"),
        (["--tune", "a", "--held-out", "a"], "a is to be tuned on and to be held out: name it once"),
        (["--held-out", "a", "--no-song"], "no excerpt is left to choose the margin by"),
    ],
)
def test_names_that_do_not_fit_are_refused_in_one_line(options: list[str], told: str, tmp_path: Path, main: Main):
    write(tmp_path / "a")
    code, _, errors = main(tmp_path, *options)
    assert code == 2
    assert told in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"rate": 48000}, "a has 2 channels at 48000 Hz: give stereo at 44100 Hz"),
        ({"channels": 1}, "a has 1 channels at 44100 Hz: give stereo at 44100 Hz"),
    ],
)
def test_excerpts_of_another_kind_are_refused(named: dict[str, int], told: str, tmp_path: Path, main: Main):
    write(tmp_path / "a", **named)
    code, _, errors = main(tmp_path)
    assert (code, told in errors) == (2, True)


def test_a_folder_without_excerpts_is_refused_in_one_line(tmp_path: Path, main: Main):
    for folder, told in ((tmp_path / "missing", "is not a folder"), (tmp_path, "holds no mixture")):
        code, _, errors = main(folder)
        assert code == 2
        assert told in errors
        assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "options", [["--seconds", "0"], ["--seconds", "nan"], ["--plot", "a.txt"], ["--json", "missing/a.json"]], ids=str
)
def test_a_wrong_option_is_refused_before_any_work(options: list[str], tmp_path: Path, main: Main):
    with pytest.raises(SystemExit) as refused:
        main(tmp_path, *options)
    assert refused.value.code == 2
