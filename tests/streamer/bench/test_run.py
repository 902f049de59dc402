"""A whole run: every row is in the report, with figures or with the reason why there are none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from engine.compute_choice import load_fastest
from engine.errors import ConfigurationError, ModelError
from streamer.bench.process import RowFailure
from streamer.bench.run import run_bench
from tests.engine.onnx_exports import save_tiny
from tests.streamer.bench.plans import SIZE
from tests.streamer.bench.scripted import InThisProcess, Script, Task, is_baseline

FRAMES = 4_000


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(save_tiny(tmp_path))


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """A folder with a mixture and its two stems."""
    folder = tmp_path / "songs"
    folder.mkdir()
    stems = 0.1 * np.random.default_rng(0).standard_normal((2, FRAMES, 2))
    for name, audio in {"vocals": stems[0], "other": stems[1], "mixture": stems.sum(axis=0)}.items():
        soundfile.write(folder / f"{name}.wav", audio, 44_100)
    return folder


def faster(times: dict[str, float]) -> Script:
    """Rows so many times as fast as the baseline, by ``precision batch``."""

    def cost(task: Task, run: Task) -> float:
        if is_baseline(task) or task["kind"] != "windows":
            return 1.0
        return 1 / times.get(f"{task['model']['precision']} {task.get('batch', 0)}", 1.0)

    return Script(cost)


def test_every_table_is_measured_for_real(tmp_path: Path, model: str, songs: Path) -> None:
    done = run_bench(tmp_path / "out", SIZE, model=model, audio=songs, device="cpu", threads=1, start=InThisProcess())
    facts = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert set(facts["tables"]) == set("1234567")
    assert {row["name"]: row["fault"] for row in facts["rows"] if row["fault"]}.keys() <= {
        "compiled, batch 1",
        "compiled, batch 2",
        "cuda, batch 1",
        "fp16, batch 1",
        "bf16, batch 1",
        "bf16",
        "profile of torch, bf16",
    }
    rows = {row["name"]: row for row in facts["rows"]}
    assert len(rows["fp32, batch 2"]["runs"]) == len(rows["fp32, batch 2"]["baseline_runs"]) == SIZE.rounds
    assert len(facts["tables"]["2"]["lines"]) == 2
    # Stems of random weights, but the truth is there and they are scored.
    assert all(float(line[4]) < 0 for line in facts["tables"]["2"]["lines"])
    assert any("Recommended: " in note for note in facts["tables"]["2"]["notes"])
    used = [line for line in facts["tables"]["6"]["lines"] if "chosen" in line[-1]]
    assert len(used) == 1
    assert {"processor", "cores", "instruction_sets", "memory_gb", "system", "python"} <= set(facts["environment"])
    assert "The baseline beside itself: " in done.text
    assert "left out of --quick: it compiles for minutes first" in done.text
    assert "fp16 is for GPUs" in done.text


def test_a_song_without_stems_has_no_truth_to_be_held_against(tmp_path: Path, model: str, songs: Path) -> None:
    song = songs / "mixture.wav"
    done = run_bench(tmp_path / "out", SIZE, model=model, tables=[2], audio=song, device="cpu", start=Script())
    assert "No true stems were at hand" in done.text


def test_the_best_batch_is_what_auto_takes_for_this_model_and_no_other(tmp_path: Path, songs: Path) -> None:
    (tmp_path / "other").mkdir()
    model, other = str(save_tiny(tmp_path)), save_tiny(tmp_path / "other")
    torch.save({name: 2 * each for name, each in torch.load(other).items()}, other)
    script = faster({"fp32 1": 1.0, "fp32 2": 1.5})
    options = {"tables": [1], "audio": songs, "device": "cpu", "start": script}
    done = run_bench(tmp_path / "a", SIZE, model=model, **options)
    assert "Best for this device in fp32: 2; `--batch-size auto` takes it for this model" in done.text
    fixed = {"device": "cpu", "backend": "torch", "precision": "fp32"}
    assert load_fastest(model, **fixed)[1].batch_size == 2
    assert load_fastest(other, **fixed)[1].batch_size == 1
    run_bench(tmp_path / "b", SIZE, model=model, **{**options, "start": faster({"fp32 1": 1.0, "fp32 2": 1.02})})
    assert load_fastest(model, **fixed)[1].batch_size == 1


def test_a_machine_that_is_not_quiet_is_told(tmp_path: Path, model: str, songs: Path) -> None:
    class OneIsSlow(Script):
        """The first process of the baseline takes twice as long as any other."""

        def __call__(self, task: Task) -> Any:
            made = super().__call__(task)
            if is_baseline(task):
                self.cost, made._script = (lambda task, run: 1.0), Script(self.cost)
            return made

    script = OneIsSlow(lambda task, run: 2.0 if is_baseline(task) else 1.0)
    told: list[str] = []
    for each, said in ((Script(), "which is what chance does"), (script, "the machine was not quiet")):
        options = {"model": model, "tables": [1], "audio": songs, "device": "cpu", "tell": told.append}
        done = run_bench(tmp_path / said[:5], SIZE, start=each, **options)
        assert said in done.text
        assert ("no batch size is remembered: the machine was not quiet" in told) is (each is script)


def test_interrupted_it_writes_what_was_measured(tmp_path: Path, model: str, songs: Path) -> None:
    def cost(task: Task, run: Task) -> float:
        if task["kind"] == "windows" and task.get("batch") == 2:
            raise KeyboardInterrupt
        return 1.0

    options = {"tables": [1], "audio": songs, "device": "cpu"}
    done = run_bench(tmp_path / "out", SIZE, model=model, start=Script(cost), **options)
    assert done.is_interrupted
    facts = json.loads((tmp_path / "out" / "bench.json").read_text())
    rows = {row["name"]: row for row in facts["rows"]}
    assert rows["fp32, batch 1"]["ratios"]
    assert rows["fp32, batch 2"]["fault"] == "not reached: interrupted"
    assert facts["is_interrupted"]
    # What was measured in part is no base for what `auto` takes.
    assert load_fastest(model, device="cpu", backend="torch", precision="fp32")[1].batch_size == 1


def test_interrupted_before_anything_was_measured_it_writes_nothing(tmp_path: Path, model: str, songs: Path) -> None:
    def cost(task: Task, run: Task) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_bench(tmp_path / "out", SIZE, model=model, audio=songs, device="cpu", start=Script(cost), tables=[1])
    assert not (tmp_path / "out").exists()


def test_an_export_that_fails_leaves_its_rows_with_the_reason(tmp_path: Path, model: str, songs: Path) -> None:
    class Start(InThisProcess):
        def __call__(self, task: Task) -> object:  # type: ignore[override]
            if task["kind"] == "export" or task.get("model", {}).get("backend") == "onnx":
                raise RowFailure("no opset")
            return Script()(task)

    done = run_bench(tmp_path / "out", SIZE, model=model, tables=[4], audio=songs, device="cpu", start=Start())
    assert "| ONNX Runtime | 1 | - | - | no opset |" in done.text


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"tables": [9]}, ConfigurationError, "table 9 is not known: use 1, 2, 3, 4, 5, 6, 7"),
        ({"threads": 0}, ConfigurationError, "--threads 0 cannot be used"),
        ({"model": "gone.ckpt"}, ModelError, "gone.ckpt"),
        ({"model": "spatial"}, ModelError, "has no baseline to be held against: give an MDX23C checkpoint"),
        ({"audio": Path("gone")}, ConfigurationError, "--audio 'gone' is not there"),
        ({"device": "cuda:7"}, ModelError, "device 'cuda:7' is not here"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_measured(
    tmp_path: Path, model: str, songs: Path, options: dict[str, object], error: type[Exception], said: str
) -> None:
    script = Script()
    given = {"model": model, "audio": songs, "device": "cpu", "start": script, **options}
    with pytest.raises(error, match=said):
        run_bench(tmp_path / "out", replace(SIZE), **given)  # type: ignore[arg-type]
    assert script.ran == []
    assert not (tmp_path / "out").exists()
