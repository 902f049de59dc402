"""What a window needs is allocated once: a steady separation or stream allocates no large array any more."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.file_separation import separate_file
from engine.files.levels import Clip
from engine.files.stem_writers import StemWriters
from engine.offline import separate, separate_blocks
from engine.recording import MAX_BLOCK_FRAMES
from engine.separator import F32, Runner, Separator
from engine.worker import Worker
from streamer.processor import StemProcessor
from streamer.testing import IdentitySeparator

RATE = 44_100
WINDOW, HOP = 131_072, 65_536
ALLOWED_BYTES = 160 << 10
"""One row of a hop would be 256 KiB. NumPy has buffers of its own, 96 KiB whatever the length."""


class InPlace(IdentitySeparator):
    """A model of long windows that itself allocates nothing."""

    def __init__(self) -> None:
        super().__init__(window_frames=WINDOW, hop_frames=HOP, lookahead_frames=4096, fade_frames=2048)

    def runner(self, batch_size: int, window_frames: int) -> Runner:
        return _InPlaceRunner(self, batch_size, window_frames)


class _InPlaceRunner(Runner):
    def run(self, n: int) -> None:
        for window, stems in zip(self.windows[:n], self.stems[:n], strict=True):
            for number, stem in enumerate(stems):
                np.multiply(window, 0.25 * (1 + number), out=stem)


class Watch:
    """The most that was allocated at once between two looks."""

    def __init__(self) -> None:
        self.peaks: list[int] = []
        self._before = 0

    def look(self, *_: Any) -> None:
        if self._before:
            self.peaks.append(tracemalloc.get_traced_memory()[1] - self._before)
        tracemalloc.reset_peak()
        self._before = tracemalloc.get_traced_memory()[0]

    @property
    def steady(self) -> list[int]:
        """The middle half: everything is allocated in the beginning, and the end of a recording is made up."""
        looks = len(self.peaks)
        assert looks >= 12
        return self.peaks[looks // 4 : -(looks // 4)]


@contextmanager
def watched() -> Iterator[Watch]:
    tracemalloc.start()
    try:
        yield Watch()
    finally:
        tracemalloc.stop()


def blocks(frames: int, channels: int = 2) -> Iterator[F32]:
    block = np.random.default_rng(1).uniform(-1, 1, (channels, MAX_BLOCK_FRAMES)).astype(np.float32)
    for _ in range(frames // MAX_BLOCK_FRAMES):
        yield block


class OneArray:
    """Memory for parts that is used again."""

    def __init__(self) -> None:
        self._frames: F32 = np.zeros((8, 2, MAX_BLOCK_FRAMES), np.float32)

    def __call__(self, shape: tuple[int, int, int]) -> F32:
        stems, channels, n = shape
        return self._frames[:stems, :channels, :n]


@pytest.mark.parametrize(("batch_size", "pipelined"), [(1, False), (2, True)])
@pytest.mark.parametrize(
    "settings", [{}, {"channels": 1}, {"stems": ["drums"]}, {"with_rest": True, "stems": ["other"]}, {"overlap": 4}]
)
def test_a_steady_separation_allocates_nothing_large(
    settings: dict[str, Any], batch_size: int, pipelined: bool
) -> None:
    with watched() as watch:
        for _ in separate_blocks(
            InPlace(),
            blocks(50 * HOP, settings.get("channels", 2)),
            RATE,
            batch_size=batch_size,
            pipelined=pipelined,
            into=OneArray(),
            **{"channels": 2, **settings},
        ):
            watch.look()
        assert max(watch.steady) < ALLOWED_BYTES


def test_an_array_is_separated_straight_into_its_result() -> None:
    audio = np.concatenate(list(blocks(50 * HOP)), axis=1)
    with watched() as watch:
        separate(InPlace(), audio, RATE, progress=watch.look)
        assert max(watch.steady) < ALLOWED_BYTES


@pytest.mark.parametrize(
    "settings", [{}, {"ext": "flac"}, {"subtype": "PCM_16"}, {"two_stems": "drums"}, {"pipelined": True}]
)
def test_a_file_is_separated_in_memory_that_is_used_again(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with soundfile.SoundFile(tmp_path / "a.wav", "w", RATE, 2, "FLOAT") as file:
        for block in blocks(50 * HOP):
            file.write(0.3 * block.T)
    write = StemWriters.write
    with watched() as watch:
        monkeypatch.setattr(StemWriters, "write", lambda *arguments: (write(*arguments), watch.look()))
        separate_file(InPlace(), tmp_path / "a.wav", tmp_path / "out", clip=Clip.CLAMP, **settings)
        assert max(watch.steady) < ALLOWED_BYTES


@pytest.mark.parametrize("make", [InPlace])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_steady_stream_allocates_nothing_large(make: Callable[[], Separator], channels: int) -> None:
    block = np.random.default_rng(1).uniform(-1, 1, (channels, 4096)).astype(np.float32)
    processor = StemProcessor(make(), worker=Worker())
    with processor.prepare(sample_rate=RATE, channels=channels, max_block_frames=4096), watched() as watch:
        for _ in range(120):
            processor.process(block)
            watch.look()
        assert max(watch.steady) < ALLOWED_BYTES
