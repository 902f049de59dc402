"""On a CUDA device: as exact as promised, the same in every batch and thread, and never waited for by who plays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.backends.torch_gpu import GpuRunner
from engine.backends.torch_separator import TorchSeparator
from engine.errors import OutOfMemory
from engine.metrics import sdr_db
from engine.music_like import music_like
from engine.offline import separate
from engine.separator import F32, Separator
from engine.worker import Worker
from streamer.processor import StemProcessor
from tests.engine.backends.test_torch_gpu import on_device
from tests.engine.mdx23c_models import WINDOW, save_model, tiny

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

RATE = 44_100
RUNS_TO_A_GRAPH = 4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save_model(tmp_path / "small.ckpt", tiny(outputs=4))


def on_gpu(path: Path, precision: str = "fp32", way: str = "eager") -> TorchSeparator:
    return TorchSeparator(path, device="cuda", precision=precision, way=way)


def on_cpu(path: Path) -> TorchSeparator:
    return TorchSeparator(path, way="eager")


def runner_of(separator: Separator, batch_size: int) -> GpuRunner:
    runner = separator.runner(batch_size, WINDOW)
    assert isinstance(runner, GpuRunner)
    return runner


def windows(count: int, seed: int = 0) -> F32:
    sound = music_like(2, (count + 1) * WINDOW, RATE)
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, sound.shape[1] - WINDOW, count)
    return np.stack([sound[:, n : n + WINDOW] for n in starts])


@pytest.mark.parametrize("way", ["eager", pytest.param("compiled", marks=pytest.mark.slow)])
def test_fp32_is_what_the_processor_gives(path: Path, way: str) -> None:
    given = windows(1)
    wanted, _ = on_cpu(path).process(given, ())
    runner = runner_of(on_gpu(path, way=way), 1)
    runner.windows[...] = given
    for _ in range(RUNS_TO_A_GRAPH):
        runner.run(1)
        np.testing.assert_allclose(runner.stems, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def test_fp16_stays_forty_decibels_away(path: Path) -> None:
    sound = music_like(2, 20 * WINDOW, RATE)
    wanted = separate(on_cpu(path), sound, RATE)
    made = separate(on_gpu(path, "fp16"), sound, RATE)
    assert min(sdr_db(*pair) for pair in zip(wanted, made, strict=True)) >= 40


def test_bf16_is_as_near_as_a_processor_comes(path: Path) -> None:
    # Networks of random weights, without public ones' scales, are 40 dB away in fp16 only.
    sound = music_like(2, 20 * WINDOW, RATE)
    wanted = separate(on_cpu(path), sound, RATE)
    made, there = (separate(each, sound, RATE) for each in (on_gpu(path, "bf16"), on_device(path, torch.bfloat16)))
    for reference, ours, theirs in zip(wanted, made, there, strict=True):
        assert sdr_db(reference, ours) >= sdr_db(reference, theirs) - 3


def test_batches_are_equal_and_graphs_hear_what_is_new(path: Path) -> None:
    separator = on_gpu(path)
    runner, wanted_of = runner_of(separator, 8), on_cpu(path)
    for seed in range(RUNS_TO_A_GRAPH + 1):
        given = windows(8, seed)
        wanted, _ = wanted_of.process(given, ())
        for n in (1, 2, 4, 8, 3):
            runner.windows[:n] = given[:n]
            runner.run(n)
            np.testing.assert_allclose(runner.stems[:n], wanted[:n], rtol=0, atol=1e-4 * np.abs(wanted).max())
    assert runner._run_rows._can_capture  # type: ignore[attr-defined]
    assert sorted(runner._run_rows._graphs) == [1, 2, 4, 8]  # type: ignore[attr-defined]


def test_two_threads_do_not_disturb_each_other(path: Path) -> None:
    separator = on_gpu(path)
    given = windows(4)
    wanted, _ = on_cpu(path).process(given, ())
    errors: list[float] = []

    def run(row: int) -> None:
        runner = runner_of(separator, 2)
        for _ in range(20):
            runner.windows[...] = given[row : row + 2]
            runner.run(2)
            errors.append(float(np.abs(runner.stems - wanted[row : row + 2]).max()))

    threads = [threading.Thread(target=run, args=(row,)) for row in (0, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 40
    assert max(errors) <= 1e-4 * np.abs(wanted).max()


def test_memory_stays_flat(path: Path) -> None:
    separator = on_gpu(path, "fp16")
    runner = runner_of(separator, 4)
    for n in (1, 2, 4):
        for _ in range(RUNS_TO_A_GRAPH):
            runner.run(n)
    before = torch.cuda.memory_stats()
    for turn in range(50):
        runner.run((1, 2, 3, 4)[turn % 4])
    after = torch.cuda.memory_stats()
    for name in ("allocated_bytes.all.current", "reserved_bytes.all.current", "allocation.all.allocated"):
        assert after[name] == before[name]


@pytest.fixture
def little_memory() -> Iterator[None]:
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + (160 << 20)) / total))
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.usefixtures("little_memory")
def test_no_memory_is_told_and_the_worker_goes_on_with_smaller_batches(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = save_model(tmp_path / "wide.ckpt", tiny(width=64, outputs=4))
    separator = on_gpu(path)
    with pytest.raises(OutOfMemory, match="ran out of memory"):
        runner_of(separator, 1024).run(1024)
    sound = music_like(2, 1100 * WINDOW // 4, RATE)
    made = separate(separator, sound, RATE, worker=Worker(1024))
    wanted = separate(on_cpu(path), sound, RATE)
    np.testing.assert_allclose(made, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    assert "memory ran out" in caplog.text


@pytest.mark.parametrize("stems", [None, ["bass"], ["vocals", "bass"]])
def test_a_recording_comes_out_as_on_the_processor(path: Path, stems: list[str] | None) -> None:
    sound = music_like(2, 30 * WINDOW, RATE)
    sound[:, 5 * WINDOW : 12 * WINDOW] = 0.0
    wanted = separate(on_cpu(path), sound, RATE, stems=stems)
    made = separate(on_gpu(path), sound, RATE, stems=stems, batch_size=4)
    np.testing.assert_allclose(made, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def test_who_plays_never_waits_for_the_device(path: Path) -> None:
    sound = music_like(2, 30 * WINDOW, RATE)
    processor = StemProcessor(on_gpu(path, "fp16"))
    with processor.prepare(sample_rate=RATE, channels=2, max_block_frames=40):
        # From here on PyTorch raises an error in whatever thread makes a copy or a stream be waited for.
        torch.cuda.set_sync_debug_mode("error")
        try:
            blocks = [processor.process(sound[:, n : n + 40]).copy() for n in range(0, sound.shape[1], 40)]
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert processor.stats().model_exceptions == processor.stats().non_finite_outputs == 0
    assert np.abs(np.concatenate(blocks, axis=-1)).max() > 0
