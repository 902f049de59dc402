"""Figures, tables and descriptions in the documentation are what the code says."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from engine import load_separator
from engine.backends.description import ModelDescription, parse_description
from streamer import LatencyReport, ProcessorStats, StemProcessor
from streamer.cli import main
from streamer.song import compose_song
from tests.docs.pages import ROOT, Block, blocks
from tests.engine.onnx_models import gains, save


def promised(rate: int, *, realtime: bool, latency_s: float | None = None, model: str = "spatial") -> LatencyReport:
    processor = StemProcessor(load_separator(model), realtime=realtime, latency_s=latency_s)
    with processor.prepare(sample_rate=rate, channels=2, max_block_frames=512):
        return processor.latency


def first_column(page: str, heading: str) -> set[str]:
    """Names in the first column of the table below a heading."""
    lines = (ROOT / page).read_text(encoding="utf-8").split(heading)[1].strip().splitlines()
    table = [line for line in lines[: next((n for n, line in enumerate(lines) if "|" not in line), None)] if line]
    return {name for line in table for name in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_a_latency_that_is_quoted_is_what_a_processor_promises() -> None:
    lines = [line for block in blocks("text") for line in block.text.splitlines() if " ms = " in line]
    quoted = {line.removeprefix("latency").strip() for line in lines}
    assert quoted
    kept = {str(promised(rate, realtime=live)) for rate in (44_100, 48_000) for live in (False, True)}
    assert quoted <= kept | {str(promised(48_000, realtime=True, latency_s=0.15))}


@pytest.mark.parametrize("model", ["spatial", "spatial-low"])
def test_the_operating_points_quote_the_same_latencies(model: str) -> None:
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| latency of `{model}`"))
    reports = [promised(48_000, realtime=live, model=model) for live in (False, True)]
    said = [f"{report.total_frames} frames, {1000 * report.total_s:.1f} ms" for report in reports]
    assert re.findall(r"\d+ frames, [\d.]+ ms", row) == said


def test_the_readme_quotes_scores_and_latencies_as_they_were_measured() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    low, default = (1000 * promised(48_000, realtime=True, model=model).total_s for model in ("spatial-low", "spatial"))
    assert f"{low:.1f} ms in real time instead of {default:.1f}" in readme.replace("\n", " ")
    # By stem and estimate the columns: SDR, SDR as museval has it, SDR filtered, SI-SDR, SI-SDR improvement.
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    held_out = re.findall(r"^\| held out\* \| (\w+) \| \d \| (\w+) \|(.*)\|$", page, re.MULTILINE)
    measured: dict[tuple[str, str], list[list[str]]] = {}
    for stem, estimate, values in held_out:
        measured.setdefault((stem, estimate), []).append([value.strip() for value in values.split("|")])
    rows = re.findall(r"^\| (vocals|drums|bass|other) \|(.*)\|$", readme, re.MULTILINE)
    assert [stem for stem, _ in rows] == ["vocals", "drums", "bass", "other"]
    for stem, said in rows:
        models = [f"{values[0]}, +{values[-1]}" for values in measured[stem, "model"]]
        bounds = [measured[stem, estimate][0][0] for estimate in ("mixture", "oracle")]
        assert [value.strip() for value in said.split("|")] == models + bounds


def test_the_counters_that_are_explained_are_those_that_exist() -> None:
    explained = first_column("docs/operating.md", "## What `stats()` counts")
    assert explained == {field.name for field in fields(ProcessorStats)}


def test_the_keys_of_a_description_that_are_explained_are_those_that_exist() -> None:
    assert first_column("docs/models.md", "\n| key |") == set(ModelDescription.model_fields)


def plain(name: str) -> str:
    """Name of a distribution, as one and the same in all its spellings."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_version_that_is_tested_has_its_licence_named() -> None:
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    named = {plain(word) for word in re.findall(r"[\w.-]*\w", (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8"))}
    assert {plain(name) for name in pinned} <= named


def test_every_dependency_is_pinned_for_the_tests() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    names = {plain(re.split(r"[^\w.-]", each)[0]) for each in asked}
    assert names - {"stemstream"} <= {plain(name) for name in pinned}


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_a_description_in_the_docs_is_a_valid_one(block: Block) -> None:
    assert parse_description(yaml.safe_load(block.text), str(block)).stems


def test_the_description_beside_an_onnx_file_makes_it_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mixture = compose_song(1.0, sample_rate=44_100).mixture
    soundfile.write("SONG.flac", mixture.T, 44_100, subtype="PCM_24")
    save(tmp_path / "mine.onnx", gains(0.1, 0.2, 0.3, 0.4, frames=131_072))
    Path("mine.yaml").write_text(blocks("yaml")[0].text, encoding="utf-8")
    assert main(["separate", "SONG.flac", "-o", "stems", "-m", "mine.onnx"]) == 0
    vocals, _ = soundfile.read("stems/SONG/vocals.wav", dtype="float32")
    np.testing.assert_allclose(vocals.T, 0.1 * mixture, atol=1e-6)
