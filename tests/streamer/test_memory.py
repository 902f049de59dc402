"""Memory is taken in ``prepare``: after it blocks leave none behind, and silence is as cheap as music."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from engine.denormals import DenormalsAsZero
from engine.separator import Separator, StateArrays
from engine.worker import Worker
from streamer.processor import StemProcessor
from streamer.testing import NEVER, DelaySeparator, IdentitySeparator, Outcome, Run, ScriptedWorker, VirtualClock

F32 = npt.NDArray[np.float32]
KINDS = pytest.mark.parametrize("make", [IdentitySeparator, DelaySeparator])
HOSTS = pytest.mark.parametrize("rate", [44_100, 48_000])
BLOCKS = 2000
ALLOWED_BYTES = 64 << 10


@contextmanager
def traced() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def kept_bytes() -> int:
    """Traced bytes in use; a full collection also empties the interpreter's own stock of freed tuples."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def lengths(count: int) -> list[int]:
    return [int(n) for n in np.random.default_rng(7).integers(128, 513, count)]


def troubled(run: Run) -> Outcome:
    """Give a run that is on time, late, very late, failing or not finite, as the worst of days would."""
    fault = {13: "raise", 29: "nan"}.get(run.number % 31)
    return Outcome(frames=(100, 400, 100, 900, 5000, 100, 100)[run.number % 7], fault=fault)  # type: ignore[arg-type]


# What blocks leave behind


@KINDS
@HOSTS
def test_blocks_that_wait_for_the_model_leave_no_memory_behind(make: Callable[[], Separator], rate: int) -> None:
    audio = np.random.default_rng(1).uniform(-1, 1, (2, 512)).astype(np.float32)
    processor = StemProcessor(make(), worker=Worker())
    with processor.prepare(sample_rate=rate, channels=2, max_block_frames=512), traced():
        for n in lengths(20):
            processor.process(audio[:, :n])
        before = kept_bytes()
        for n in lengths(BLOCKS):
            processor.process(audio[:, :n])
        assert kept_bytes() - before < ALLOWED_BYTES


@KINDS
@HOSTS
def test_live_blocks_leave_no_memory_behind(make: Callable[[], Separator], rate: int) -> None:
    audio = np.random.default_rng(1).uniform(-1, 1, (2, 512)).astype(np.float32)
    clock = VirtualClock(rate)
    processor = StemProcessor(make(), realtime=True, worker=ScriptedWorker(clock, troubled), clock=clock)
    with processor.prepare(sample_rate=rate, channels=2, max_block_frames=512), traced():
        for n in lengths(20):
            clock.advance(n)
            processor.process(audio[:, :n])
        before = kept_bytes()
        for n in lengths(BLOCKS):
            clock.advance(n)
            processor.process(audio[:, :n])
        assert kept_bytes() - before < ALLOWED_BYTES


@KINDS
def test_resets_leave_no_memory_behind(make: Callable[[], Separator]) -> None:
    audio = np.ones((2, 512), np.float32)
    processor = StemProcessor(make(), worker=Worker())
    with processor.prepare(sample_rate=48_000, channels=2, max_block_frames=512), traced():
        before = 0
        for number in range(220):
            for _ in range(5):
                processor.process(audio)
            processor.flush()
            processor.reset()
            before = kept_bytes() if number == 20 else before
        assert kept_bytes() - before < ALLOWED_BYTES


@KINDS
def test_a_processor_that_was_released_leaves_no_memory_behind(make: Callable[[], Separator]) -> None:
    model = make()

    def use() -> None:
        with StemProcessor(model).prepare(sample_rate=48_000, channels=2, max_block_frames=512) as processor:
            processor.process(np.ones((2, 512), np.float32))

    use()
    with traced():
        use()
        before = kept_bytes()
        for _ in range(5):
            use()
        assert kept_bytes() - before < ALLOWED_BYTES


# What the audio side allocates


class Apart(ScriptedWorker):
    """A worker that begins its runs between blocks only, so that a block holds the audio side's work alone."""

    def wake(self) -> None:
        """Do nothing: the test begins the runs."""

    def work(self) -> None:
        super().wake()


@KINDS
@HOSTS
@pytest.mark.parametrize("script", [None, troubled, lambda run: NEVER])
def test_a_live_block_allocates_no_array_on_the_audio_side(
    make: Callable[[], Separator], rate: int, script: Any
) -> None:
    block, frames = np.random.default_rng(1).uniform(-1, 1, (2, 2048)).astype(np.float32), 2048
    out = np.zeros((3, 2, frames), np.float32)
    clock = VirtualClock(rate)
    worker = Apart(clock, script)
    processor = StemProcessor(make(), realtime=True, worker=worker, clock=clock)
    with processor.prepare(sample_rate=rate, channels=2, max_block_frames=frames), traced():
        for number in range(100):
            clock.advance(frames)
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            processor.process(block, out)
            peak = tracemalloc.get_traced_memory()[1]
            worker.work()
            # One row of a block would be 8 KiB.
            assert number < 5 or peak - before < 6 << 10


# An hour


@KINDS
def test_an_hour_of_live_audio_takes_no_more_memory_than_a_minute(make: Any) -> None:
    lengths = {"window_frames": 16_384, "fade_frames": 1024} if make is IdentitySeparator else {}
    model = make(sample_rate=8000, channels=1, hop_frames=8192, lookahead_frames=1024, **lengths)
    host_rate, frames = 8000, 8192
    clock = VirtualClock(host_rate)
    processor = StemProcessor(model, realtime=True, worker=ScriptedWorker(clock, troubled), clock=clock)
    audio = np.random.default_rng(1).uniform(-1, 1, (1, frames)).astype(np.float32)
    process = psutil.Process()
    with processor.prepare(sample_rate=host_rate, channels=1, max_block_frames=frames):

        def play(seconds: int) -> None:
            for _ in range(seconds * host_rate // frames):
                clock.advance(frames)
                processor.process(audio)

        play(60)
        gc.collect()
        before = process.memory_info().rss
        play(3540)
        assert process.memory_info().rss - before < 2 << 20
        assert processor.stats().windows > 3000


# Silence


def is_denormal(audio: F32) -> npt.NDArray[np.bool_]:
    # By their bits: a comparison could take them for zero.
    bits = audio.view(np.uint32) & 0x7FFF_FFFF
    return (bits != 0) & (bits < 0x0080_0000)


@pytest.mark.skipif(not DenormalsAsZero().supported, reason="not known for this platform")
@HOSTS
def test_a_fade_into_denormals_makes_none_in_any_separated_stem(rate: int) -> None:
    fade = np.geomspace(1, 1e-44, rate)
    audio = np.tile(fade * np.sin(2 * np.pi * 1000 / rate * np.arange(rate)), (2, 1)).astype(np.float32)
    assert is_denormal(audio).any()
    processor = StemProcessor(IdentitySeparator(), mixture_consistent=False)
    with processor.prepare(sample_rate=rate, channels=2, max_block_frames=512):
        parts = [processor.process(audio[:, n : n + 512]).copy() for n in range(0, rate, 512)]
        stems = np.concatenate([*parts, processor.flush()], axis=-1)[..., processor.latency_frames :]
    assert not is_denormal(stems[:2]).any()
    np.testing.assert_allclose(stems[0, :, 100:], 0.25 * audio[:, 100:], rtol=0, atol=0.01)


@pytest.mark.skipif(not DenormalsAsZero().supported, reason="not known for this platform")
def test_a_model_of_any_kind_runs_with_denormals_as_zero() -> None:
    class Noting(IdentitySeparator):
        seen: tuple[bool, ...] = ()

        def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
            tiny = np.full(64, 1e-39, np.float32)
            self.seen += ((tiny * np.float32(0.5)).view(np.int32).any(),)
            return super().process(windows, states)

    model, before = Noting(), (np.full(64, 1e-39, np.float32) * np.float32(0.5)).any()
    processor = StemProcessor(model)
    with processor.prepare(sample_rate=44_100, channels=2, max_block_frames=4096):
        processor.process(np.ones((2, 4096), np.float32))
    assert len(model.seen) > 4
    assert not any(model.seen)
    assert (np.full(64, 1e-39, np.float32) * np.float32(0.5)).any() == before
