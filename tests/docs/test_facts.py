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


def promised(rate: int, *, realtime: bool, latency_s: float | None = None) -> LatencyReport:
    processor = StemProcessor(load_separator("spatial"), realtime=realtime, latency_s=latency_s)
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


def test_the_operating_points_quote_the_same_latencies() -> None:
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| latency of `spatial`"))
    reports = [promised(48_000, realtime=live) for live in (False, True)]
    said = [f"{report.total_frames} frames, {1000 * report.total_s:.1f} ms" for report in reports]
    assert re.findall(r"\d+ frames, [\d.]+ ms", row) == said


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
