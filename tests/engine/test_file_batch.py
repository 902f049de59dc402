"""Many files at once give what each gives alone, and one that fails is nobody else's trouble."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.errors import AudioFileError, ConfigurationError, StemstreamError
from engine.file_batch import FileOutcome, separate_files
from engine.files.folders import AudioInput
from engine.offline_model import OfflineModel
from engine.progress import Progress
from engine.separator import F32, StateArrays
from engine.worker import Worker
from tests.engine.told_models import Echo, Recording, WholeWindow

RATE = 8000


@pytest.fixture
def songs(tmp_path: Path) -> list[AudioInput]:
    inputs = []
    for number in range(6):
        audio = np.random.default_rng(number).uniform(-0.5, 0.5, (1 + number % 2, 700 * number + 1)).astype(np.float32)
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, audio.T, 11_025 if number == 3 else RATE, "FLOAT")
        inputs.append(AudioInput(path))
    return inputs


def run(songs: list[AudioInput], out: Path, model: Any = None, **settings: Any) -> list[FileOutcome]:
    return list(separate_files(OfflineModel(model or WholeWindow()), songs, out, **settings))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("make", [WholeWindow, Echo])
@pytest.mark.parametrize(("jobs", "batch_size"), [(2, 1), (4, 1), (3, 4)])
def test_the_files_do_not_depend_on_how_many_are_under_way(
    tmp_path: Path, songs: list[AudioInput], make: Any, jobs: int, batch_size: int
) -> None:
    run(songs, tmp_path / "one", make())
    outcomes = run(songs, tmp_path / "many", make(), jobs=jobs, worker=Worker(batch_size))
    assert [outcome.input for outcome in outcomes] == songs
    alone, together = contents(tmp_path / "one"), contents(tmp_path / "many")
    assert len(alone) == 18
    assert alone == together


@pytest.mark.parametrize("jobs", [1, 3])
def test_an_error_is_that_of_its_file_and_the_others_go_on(tmp_path: Path, songs: list[AudioInput], jobs: int) -> None:
    songs[2].path.write_text("no audio")
    songs[4].path.unlink()
    outcomes = run(songs, tmp_path / "out", jobs=jobs)
    assert [outcome.input for outcome in outcomes if outcome.error is not None] == [songs[2], songs[4]]
    for outcome in outcomes:
        if outcome.error is not None:
            assert isinstance(outcome.error, AudioFileError)
            assert str(outcome.input.path) in str(outcome.error)
        else:
            assert outcome.report is not None
            assert outcome.report.input == str(outcome.input.path)
    assert {name.split("/")[0] for name in contents(tmp_path / "out")} == {"0", "1", "3", "5"}


def test_what_nobody_foresaw_ends_one_file_only(
    tmp_path: Path, songs: list[AudioInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(path: Path) -> Any:
        if Path(path).name == "1.wav":
            raise MemoryError("no more")
        return reader(path)

    from engine.files.reader import AudioReader as reader

    monkeypatch.setattr("engine.file_separation.AudioReader", missing)
    outcomes = run(songs, tmp_path / "out")
    assert [outcome.error is None for outcome in outcomes] == [True, False, True, True, True, True]
    assert "unexpected MemoryError (no more): run this file again with --debug" in str(outcomes[1].error)


def test_windows_of_several_files_share_a_batch(tmp_path: Path, songs: list[AudioInput]) -> None:
    model = Recording(WholeWindow())
    run(songs[4:], tmp_path / "out", model, jobs=2, worker=Worker(2))
    assert max(model.batch_sizes) == 2


def test_whoever_stops_half_way_leaves_whole_files_only(tmp_path: Path, songs: list[AudioInput]) -> None:
    worker = Worker()
    outcomes = separate_files(OfflineModel(WholeWindow()), songs, tmp_path / "out", jobs=2, worker=worker)
    next(outcomes)
    outcomes.close()
    assert worker.stream_count == 0
    names = set(contents(tmp_path / "out"))
    assert not [name for name in names if name.endswith(".part")]
    assert {f"0/{stem}.wav" for stem in ("vocals", "drums", "other")} <= names


class Held(WholeWindow):
    """A model that waits in its first window until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_in, self.go = threading.Event(), threading.Event()

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        self.is_in.set()
        assert self.go.wait(30)
        return super().process(windows, states)


def test_an_exception_from_the_watch_gives_up_what_is_under_way(tmp_path: Path, songs: list[AudioInput]) -> None:
    model = Held()

    def watch(under_way: Mapping[Path, Progress]) -> None:
        if model.is_in.is_set():
            assert songs[5].path in under_way
            # The model is let go only once the batch was told to stop.
            threading.Timer(0, model.go.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(songs[5:], tmp_path / "out", model, watch=watch)
    assert not contents(tmp_path / "out")


@pytest.mark.parametrize("jobs", [0, -1, 65, 1.5, "2"])
def test_a_number_of_jobs_that_cannot_be_is_refused(tmp_path: Path, songs: list[AudioInput], jobs: Any) -> None:
    with pytest.raises(ConfigurationError, match="give a whole number from 1 to 64"):
        run(songs, tmp_path / "out", jobs=jobs)


def test_an_error_of_any_file_is_one_that_the_project_raises(tmp_path: Path, songs: list[AudioInput]) -> None:
    songs[0].path.unlink()
    (outcome, *_) = run(songs, tmp_path / "out")
    assert isinstance(outcome.error, StemstreamError)


def peak_bytes(folder: Path, seconds: int, jobs: int) -> int:
    songs = []
    for number in range(jobs):
        path = folder / f"{seconds}s{number}.wav"
        with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
            for _ in range(seconds):
                file.write(np.full(RATE, 0.1))
        songs.append(AudioInput(path))
    tracemalloc.start()
    try:
        model = OfflineModel(WholeWindow(window_frames=4096, hop_frames=4096, lookahead_frames=0, fade_frames=0))
        assert all(outcome.error is None for outcome in separate_files(model, songs, folder / "out", jobs=jobs))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_length_of_several_files_at_once(tmp_path: Path) -> None:
    peak_bytes(tmp_path, 1, 2)
    seconds = 300
    stems_bytes = 2 * 3 * 4 * RATE * seconds
    # Who gets the processor decides how full the queues are, within their bounds.
    assert peak_bytes(tmp_path, seconds, 2) < stems_bytes / 5
