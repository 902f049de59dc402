"""What one file needed is free when it is done, also where it failed: a night has a thousand of them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.errors import ModelError
from engine.file_batch import separate_files
from engine.file_separation import separate_file
from engine.files.folders import AudioInput
from engine.offline import separate
from engine.offline_model import OfflineModel
from engine.recording import Recording
from engine.separator import F32, Separator, StateArrays
from streamer.cli.batch_report import BatchReport
from tests.engine.told_models import WholeWindow

RATE = 8000


class FailsLate(WholeWindow):
    """A model that fails in a window of its own, by an error or by a value that is no number."""

    def __init__(self, *, raises: bool) -> None:
        super().__init__()
        self._raises = raises

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        stems, states = super().process(windows, states)
        if np.abs(windows).max() > 0.9:
            if self._raises:
                raise RuntimeError("no such luck")
            stems[..., 5] = np.nan
        return stems, states


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[weakref.ref[Recording]]]:
    """Refer weakly to all recordings that are made, and let nothing but the counts of references free them."""
    made: list[weakref.ref[Recording]] = []

    class Told(Recording):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            made.append(weakref.ref(self))

    monkeypatch.setattr("engine.offline.Recording", Told)
    gc.collect()
    gc.disable()
    yield made
    gc.enable()


def write(path: Path, *, loud: bool = False) -> AudioInput:
    audio = np.random.default_rng(1).uniform(-0.5, 0.5, (3000, 2)).astype(np.float32)
    if loud:
        audio[2000] = 0.95
    soundfile.write(path, audio, RATE, "FLOAT")
    return AudioInput(path)


def test_a_recording_is_free_once_it_is_separated(tmp_path: Path, recordings: list[weakref.ref[Recording]]) -> None:
    separate(WholeWindow(), np.zeros((2, 3000), np.float32), RATE, progress=lambda _: None)
    separate_file(WholeWindow(), write(tmp_path / "a.wav").path, tmp_path / "out")
    assert [each() for each in recordings] == [None, None]


@pytest.mark.parametrize("model", [FailsLate(raises=True), FailsLate(raises=False)])
def test_it_is_free_once_an_error_is_let_go(model: Separator, recordings: list[weakref.ref[Recording]]) -> None:
    audio = np.full((2, 3000), 0.95, np.float32)
    with pytest.raises(ModelError):
        separate(model, audio, RATE)

    def cancel() -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        separate(WholeWindow(), audio, RATE, progress=lambda _: cancel())
    assert [each() for each in recordings] == [None, None]


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("raises", [True, False])
def test_the_errors_of_a_batch_hold_no_buffers(
    tmp_path: Path, recordings: list[weakref.ref[Recording]], raises: bool, jobs: int
) -> None:
    inputs = [write(tmp_path / f"{n}.wav", loud=n != 2) for n in range(4)]
    outcomes = list(separate_files(OfflineModel(FailsLate(raises=raises)), inputs, tmp_path / "out", jobs=jobs))
    assert [outcome.error is None for outcome in outcomes] == [False, False, True, False]
    assert [each() for each in recordings] == [None] * 4
    error = outcomes[0].error
    assert isinstance(error, ModelError)
    assert "Traceback (most recent call last):" in outcomes[0].trace
    assert str(error) in outcomes[0].trace
    if raises:
        assert "RuntimeError: no such luck" in outcomes[0].trace


def test_a_batch_keeps_no_outcome_that_was_given(tmp_path: Path, recordings: list[weakref.ref[Recording]]) -> None:
    inputs = [write(tmp_path / f"{n}.wav", loud=True) for n in range(3)]
    given = separate_files(OfflineModel(FailsLate(raises=True)), inputs, tmp_path / "out")
    first = weakref.ref(next(given).error)
    next(given)
    assert first() is None
    given.close()


def test_a_report_keeps_the_words_of_errors_alone(capsys: pytest.CaptureFixture[str]) -> None:
    report = BatchReport(is_json=True, debug=False)
    error = ModelError("it failed: buy another")
    kept = weakref.ref(error)
    report.tell_failure(Path("a.wav"), error)
    gc.collect()
    del error
    assert kept() is None
    assert report.exit_code == 4
    assert report.as_dict("m")["failed"] == [{"input": "a.wav", "error": "it failed: buy another"}]
