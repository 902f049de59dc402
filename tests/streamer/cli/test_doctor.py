"""``stemstream doctor``: the facts it gathers and what it ends with."""

from __future__ import annotations

import json
from importlib.metadata import PathDistribution
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.priority import PriorityReport
from streamer.cli import examination, facts
from streamer.cli.audio_findings import AudioFacts
from streamer.cli.findings import ModelFacts
from tests.streamer.cli.conftest import Command

TOPICS = {"python", "numpy", "libsndfile", "platform", "cpus", "import engine", "import streamer", "model spatial",
          "formats", "disk", "cache", "python build", "cpu clock", "portaudio", "priority", "idle threads"}  # fmt: skip


def test_every_topic_is_looked_at(command: Command) -> None:
    ended = command("doctor", "--json")
    result = json.loads(ended.out)
    assert {finding["topic"] for finding in result["findings"]} >= TOPICS
    assert result["versions"]["numpy"] == np.__version__
    assert {"torch", "sounddevice", "rtmixer", "SoundCard"} <= result["versions"].keys()
    assert ended.code == (0 if result["healthy"] else 1)


def test_one_failure_makes_the_exit_code_1_and_shows_its_remedy(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "model_facts", lambda name: ModelFacts(name, "the file is damaged"))
    ended = command("doctor")
    assert ended.code == 1
    place = next(n for n, line in enumerate(ended.out.splitlines()) if line.startswith("fail  model spatial"))
    assert "the file is damaged" in ended.out.splitlines()[place]
    assert "remedy: install stemstream and onnxruntime again" in ended.out.splitlines()[place + 1]


def test_a_machine_without_sound_is_well_for_who_separates_files(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = PriorityReport("trial", "SCHED_FIFO 4", False, "SCHED_OTHER nice 0", "refused", "ask for more")
    monkeypatch.setattr(examination, "audio_facts", lambda: AudioFacts(missing="PortAudio"))
    monkeypatch.setattr(examination, "priority_facts", lambda: refused)
    monkeypatch.setattr(examination, "model_facts", lambda name: ModelFacts(name, "", 0.01, 0.001, 0.002))
    ended = command("doctor")
    assert ended.code == 0
    assert "remedy: run apt install libportaudio2" in ended.out
    assert "remedy: ask for more" in ended.out


def test_a_model_that_cannot_be_loaded_is_a_fact_and_no_crash() -> None:
    assert "is not known" in facts.model_facts("no-such-model").error


def test_the_embedded_model_is_timed_against_its_hop() -> None:
    measured = facts.model_facts("spatial")
    assert measured.error == ""
    assert measured.hop_s == pytest.approx(512 / 44_100)
    assert 0 < measured.p50_s <= measured.p99_s


def test_the_expected_file_is_the_one_in_the_record_of_the_distribution(tmp_path: Path) -> None:
    info = tmp_path / "stemstream-1.0.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("engine/__init__.py,,\nengine/spec.py,,\n")
    assert facts.expected_file(PathDistribution(info), "engine") == str(tmp_path / "engine" / "__init__.py")
    assert facts.expected_file(PathDistribution(info), "streamer") is None


def test_the_expected_file_of_an_editable_install_is_in_its_folder(tmp_path: Path) -> None:
    info = tmp_path / "stemstream-1.0.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("_editable.pth,,\n")
    source = tmp_path / "a source"
    (info / "direct_url.json").write_text(json.dumps({"url": source.as_uri(), "dir_info": {"editable": True}}))
    assert facts.expected_file(PathDistribution(info), "engine") == str(source / "engine" / "__init__.py")


def test_an_import_leads_to_the_file_that_python_loaded() -> None:
    assert facts.import_facts("engine").found == str(Path(str(engine.__file__)).resolve())


def test_other_packages_of_the_same_name_are_claimants() -> None:
    assert facts.claimants_of(["stemstream", "game-engine", "Stemstream", "game-engine"]) == ("game-engine",)


def test_wav_and_flac_are_read_and_written_here() -> None:
    readable, writable = facts.format_facts()
    assert readable["wav"]
    assert readable["flac"]
    assert writable == {"wav": True, "flac": True}


def test_a_cache_folder_that_cannot_be_made_is_a_fact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STEMSTREAM_CACHE", str(tmp_path / "file" / "cache"))
    folder, error = facts.cache_facts()
    assert folder == str(tmp_path / "file" / "cache")
    assert error == "Not a directory"
