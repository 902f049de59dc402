"""Reading beside the model changes nothing but the time it takes, and leaves nothing behind however it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.errors import AudioFileError, ModelError
from engine.excerpt import Excerpt
from engine.file_separation import separate_file
from engine.offline import SeparationCounters, separate_blocks
from engine.separator import F32, Separator
from engine.worker import Worker
from tests.engine.told_models import Echo, Recording, WholeWindow

RATE = 8000
MODELS = pytest.mark.parametrize("make", [WholeWindow, Echo])


def noise(channels: int, frames: int, seed: int = 1) -> F32:
    return np.random.default_rng(seed).uniform(-1, 1, (channels, frames)).astype(np.float32)


def blocks_of(audio: F32, frames: int = 1000) -> Iterator[F32]:
    for n in range(0, audio.shape[1], frames):
        yield audio[:, n : n + frames]


def feeders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "stemstream-feeder"]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert feeders() == []


# The same either way


@MODELS
@pytest.mark.parametrize("rate", [RATE, 11_025])
@pytest.mark.parametrize(
    ("channels", "excerpt", "settings"),
    [
        (2, Excerpt(), {}),
        (1, Excerpt(0.7, 1.9), {"batch_size": 4}),
        (2, Excerpt(0.7, 1.9), {"two_stems": "drums", "ext": "flac"}),
    ],
)
def test_files_are_the_same_bytes(
    tmp_path: Path,
    make: Callable[[], Separator],
    rate: int,
    channels: int,
    excerpt: Excerpt,
    settings: dict[str, Any],
) -> None:
    audio = noise(channels, 20_000)
    audio[0, [5, 10_000, 19_000]] = np.nan
    soundfile.write(tmp_path / "a.wav", audio.T, rate, "FLOAT")
    reports = [
        separate_file(
            make(), tmp_path / "a.wav", tmp_path / str(pipelined), excerpt=excerpt, pipelined=pipelined, **settings
        )
        for pipelined in (False, True)
    ]
    one, other = (
        {path.name: path.read_bytes() for path in (tmp_path / str(pipelined)).rglob("*.*")}
        for pipelined in (False, True)
    )
    assert len(one) > 1
    assert one == other
    assert len({(report.frames, report.windows, report.non_finite_samples) for report in reports}) == 1


def test_nothing_of_a_recording_is_nothing(tmp_path: Path) -> None:
    assert list(separate_blocks(WholeWindow(), [], RATE, channels=2, pipelined=True)) == []


# Who does what


def test_the_blocks_are_taken_on_another_thread_while_the_model_is_at_work() -> None:
    model, threads, read = Recording(WholeWindow()), set(), threading.Event()

    def blocks() -> Iterator[F32]:
        yield noise(2, 1000)
        # The model has begun, and does not go on before there is more.
        assert model.is_in.wait(30)
        threads.add(threading.get_ident())
        yield noise(2, 1000)
        model.open_gate()
        read.set()

    model.close_gate()
    parts = list(separate_blocks(model, blocks(), RATE, channels=2, pipelined=True))
    assert sum(part.shape[-1] for part in parts) == 2000
    assert read.is_set()
    assert threads != {threading.get_ident()}


@pytest.mark.parametrize(
    "make",
    [
        lambda: WholeWindow(window_frames=4096, hop_frames=1024),
        lambda: Echo(hop_frames=1024, lookahead_frames=256, priming_frames=512),
    ],
)
def test_reading_is_a_bounded_number_of_frames_ahead(make: Callable[[], Separator]) -> None:
    given, ahead = 0, []

    def blocks() -> Iterator[F32]:
        audio = noise(2, 10_000)
        for number in range(60):
            ahead.append(10_000 * number - given)
            yield audio

    for part in separate_blocks(make(), blocks(), RATE, channels=2, pipelined=True):
        given += part.shape[-1]
    assert given == 600_000
    assert max(ahead) < 100_000


# However it ends


def test_an_error_of_the_reading_is_raised_to_whoever_separates() -> None:
    def blocks() -> Iterator[F32]:
        yield noise(2, 300)
        raise OSError("the disc is gone")

    worker = Worker()
    with pytest.raises(OSError, match="the disc is gone"):
        list(separate_blocks(WholeWindow(), blocks(), RATE, channels=2, worker=worker, pipelined=True))
    assert (worker.stream_count, worker.is_running) == (0, False)


def test_an_error_of_the_model_ends_the_reading() -> None:
    model, closed = Recording(WholeWindow()), []
    model.error = RuntimeError("no such luck")

    def endless() -> Iterator[F32]:
        try:
            while True:
                yield noise(2, 1000)
        finally:
            closed.append(True)

    with pytest.raises(ModelError, match="no such luck"):
        list(separate_blocks(model, endless(), RATE, channels=2, pipelined=True))
    assert closed == [True]


def test_whoever_stops_half_way_ends_the_reading() -> None:
    worker = Worker()
    parts = separate_blocks(
        WholeWindow(), blocks_of(noise(2, 1_000_000)), RATE, channels=2, worker=worker, pipelined=True
    )
    next(parts)
    assert len(feeders()) == 1
    parts.close()
    assert (worker.stream_count, feeders()) == (0, [])


def test_cancelling_ends_the_reading() -> None:
    cancel, counters = threading.Event(), SeparationCounters()

    def blocks() -> Iterator[F32]:
        yield noise(2, 1000)
        cancel.set()
        while True:
            yield noise(2, 1000)

    with pytest.raises(CancelledError):
        list(
            separate_blocks(WholeWindow(), blocks(), RATE, channels=2, pipelined=True, cancel=cancel, counters=counters)
        )


def test_a_damaged_file_leaves_no_stems(tmp_path: Path) -> None:
    whole = tmp_path / "whole.flac"
    soundfile.write(whole, noise(2, 200_000).T, RATE)
    data = bytearray(whole.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20_000] = bytes(20_000)
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(AudioFileError, match="damaged"):
        separate_file(WholeWindow(), tmp_path / "a.flac", tmp_path / "out", pipelined=True)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
