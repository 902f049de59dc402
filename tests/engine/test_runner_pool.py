"""A worker's runners: where memory runs out they become smaller, and nothing is lost by it."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import ModelError, OutOfMemory
from engine.file_batch import separate_files
from engine.file_separation import separate_file
from engine.files.folders import AudioInput
from engine.offline import SeparationCounters, separate
from engine.offline_model import OfflineModel
from engine.separator import F32, Runner, Separator, StateArrays
from engine.worker import Worker
from streamer.cli.batch_report import BatchReport
from streamer.processor import StemProcessor
from tests.engine.told_models import Echo, WholeWindow

AUDIO = np.random.default_rng(3).uniform(-1, 1, (2, 3000)).astype(np.float32)
RATE = 8000


class Roomless(Separator):
    """Another model that has memory for so many windows a run, after some first runs that go well whatever they are."""

    def __init__(
        self,
        model: Separator,
        rows: int,
        *,
        error: Callable[[], Exception] = lambda: OutOfMemory("no more"),
        fine_runs: int = 0,
    ) -> None:
        self.spec = model.spec
        self._model, self._rows, self._error, self._fine_runs = model, rows, error, fine_runs
        self.batch_sizes: list[int] = []
        self.runners: list[weakref.ref[Runner]] = []
        self.alive: list[int] = []

    def runner(self, batch_size: int, window_frames: int) -> Runner:
        self.alive.append(sum(each() is not None for each in self.runners))
        runner = Runner(self, batch_size, window_frames)
        self.runners.append(weakref.ref(runner))
        return runner

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        self.batch_sizes.append(len(windows))
        if len(windows) > self._rows and len(self.batch_sizes) > self._fine_runs:
            raise self._error()
        return self._model.process(windows, states)


@pytest.mark.parametrize("make", [WholeWindow, Echo])
@pytest.mark.parametrize("rows", [1, 2, 3, 4])
@pytest.mark.parametrize("fine_runs", [0, 3])
def test_a_recording_comes_out_whole_and_the_same_where_memory_runs_out(
    make: Callable[[], Separator], rows: int, fine_runs: int
) -> None:
    model, counters = Roomless(make(), rows, fine_runs=fine_runs), SeparationCounters()
    separated = separate(model, AUDIO, RATE, batch_size=8, counters=counters)
    np.testing.assert_array_equal(separated, separate(make(), AUDIO, RATE))
    if make is WholeWindow:
        size = {1: 1, 2: 2, 3: 2, 4: 4}[rows]
        assert (counters.halved_from, counters.batch_size) == (8, size)
        attempt = next(n for n, size in enumerate(model.batch_sizes[fine_runs:]) if size > rows)
        assert max(model.batch_sizes[fine_runs + attempt + 3 :]) == size


def test_silence_among_the_rows_is_still_silence_when_they_are_run_again() -> None:
    audio = AUDIO.copy()
    audio[:, 4:110] = 0.0
    model = Roomless(WholeWindow(), 1)
    separated = separate(model, audio, RATE, batch_size=8)
    np.testing.assert_array_equal(separated, separate(OfflineModel(WholeWindow(), skips_silence=False), audio, RATE))


def test_the_buffers_that_were_too_large_are_free_before_smaller_ones_are_made() -> None:
    gc.collect()
    gc.disable()
    try:
        model = Roomless(WholeWindow(), 1)
        separate(model, AUDIO, RATE, batch_size=8)
    finally:
        gc.enable()
    # One for each of 8, 4, 2 and 1, and none of them beside another.
    assert model.alive == [0, 0, 0, 0]


def test_a_plain_memory_error_counts_too_and_what_it_holds_is_let_go() -> None:
    class Activations:
        pass

    held: list[weakref.ref[Activations]] = []

    class Large(Roomless):
        def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
            activations = Activations()
            held.append(weakref.ref(activations))
            return super().process(windows, states)

        def runner(self, batch_size: int, window_frames: int) -> Runner:
            assert all(each() is None for each in held)
            return super().runner(batch_size, window_frames)

    model, counters = Large(WholeWindow(), 2, error=lambda: MemoryError("cannot allocate")), SeparationCounters()
    gc.disable()
    try:
        separate(model, AUDIO, RATE, batch_size=4, counters=counters)
    finally:
        gc.enable()
    assert (counters.halved_from, counters.batch_size) == (4, 2)


def test_it_is_a_fault_only_where_one_window_is_too_much() -> None:
    model = Roomless(WholeWindow(), 0, error=lambda: MemoryError("cannot allocate"))
    with pytest.raises(ModelError, match=r"ran out of memory \(cannot allocate\): close other programs") as caught:
        separate(model, AUDIO, RATE, batch_size=4)
    assert isinstance(caught.value.__cause__, OutOfMemory)
    assert model.batch_sizes[-1] == 1


def test_other_errors_are_not_tried_again() -> None:
    model = Roomless(WholeWindow(), 0, error=lambda: RuntimeError("no such luck"))
    with pytest.raises(ModelError, match="no such luck"):
        separate(model, AUDIO, RATE, batch_size=4)
    assert len(model.batch_sizes) == 1


def test_it_is_told_once_for_each_halving(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    separate(Roomless(WholeWindow(), 2), AUDIO, RATE, batch_size=8)
    assert [record.getMessage() for record in caplog.records] == [
        "memory ran out: 'whole window' goes on with 4 windows a run",
        "memory ran out: 'whole window' goes on with 2 windows a run",
    ]


def test_a_warm_up_finds_the_size_that_fits() -> None:
    model = Roomless(WholeWindow(), 2)
    worker = Worker(8)
    with StemProcessor(model, worker=worker).prepare(sample_rate=RATE, channels=2, max_block_frames=500) as stream:
        model.batch_sizes.clear()
        stream.process(AUDIO[:, :500])
        assert max(model.batch_sizes) == 2


def test_the_next_of_several_files_begins_with_the_size_that_fits(tmp_path: Path) -> None:
    inputs = [AudioInput(tmp_path / f"{n}.wav") for n in range(3)]
    for each in inputs:
        soundfile.write(each.path, AUDIO.T, RATE, "FLOAT")
    model, worker = Roomless(WholeWindow(), 2), Worker(8)
    outcomes = list(separate_files(OfflineModel(model), inputs, tmp_path / "out", worker=worker))
    assert [each.report and (each.report.halved_from, each.report.batch_size) for each in outcomes] == [
        (8, 2),
        (0, 2),
        (0, 2),
    ]
    assert len(model.runners) == 3
    assert not worker.is_running


def test_a_file_and_its_report_tell_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", AUDIO.T, RATE, "FLOAT")
    whole = separate_file(WholeWindow(), tmp_path / "a.wav", tmp_path / "whole")
    assert whole.halved_from == 0
    report = separate_file(Roomless(WholeWindow(), 2), tmp_path / "a.wav", tmp_path / "out", batch_size=8)
    assert (report.halved_from, report.batch_size, report.windows) == (8, 2, whole.windows)
    for stem in ("vocals", "drums", "other"):
        path = Path("a", f"{stem}.wav")
        assert (tmp_path / "out" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes()
    told = BatchReport(is_json=True, debug=False)
    told._tell_done(report)
    said = " ".join(capsys.readouterr().err.split())
    assert "memory ran out at a batch size of 8, the rest was done at 2: --batch-size 2 spares the attempt" in said
