"""What runs on a GPU is what a processor gives, and stays there until it is final; the processor stands in for it."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.backends.torch_gpu import GpuModel, GpuRunner
from engine.backends.torch_runner import told_failures
from engine.backends.torch_separator import TorchSeparator
from engine.errors import OutOfMemory
from engine.metrics import sdr_db
from engine.models.mdx23c_checkpoint import read_mdx23c
from engine.music_like import music_like
from engine.offline import SeparationCounters, separate
from engine.separator import F32, Runner, Separator, StateArrays
from engine.worker import Worker
from streamer.processor import StemProcessor
from tests.engine.mdx23c_models import GOLDEN_NAMES, WINDOW, Golden, GoldenNetwork, save_model, tiny

RATE = 44_100


def on_device(path: Path, dtype: torch.dtype = torch.float32, config: Path | None = None) -> TorchSeparator:
    """Load a model as for a GPU, which is the processor."""
    separator = TorchSeparator(path, config=config, way="eager")
    checkpoint = read_mdx23c(path, config)
    separator._model = GpuModel(
        checkpoint.architecture, checkpoint.tensors, dtype, torch.device("cpu"), is_compiled=False
    )
    return separator


class OnHost(Separator):
    """The same model, all of whose stems are copied to the processor and added up there."""

    def __init__(self, source: Separator) -> None:
        self.spec = source.spec
        self._source = source

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        return self._source.process(windows, states)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save_model(tmp_path / "small.ckpt", tiny(scales=1, blocks=1, outputs=4))


def runner_of(separator: Separator, batch_size: int = 1) -> GpuRunner:
    runner = separator.runner(batch_size, separator.spec.window_frames)
    assert isinstance(runner, GpuRunner)
    return runner


def rms(values: F32) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_a_window_comes_out_as_on_the_processor(name: str) -> None:
    golden = Golden(name)
    window, _ = golden.chunk
    separator = on_device(golden.checkpoint, config=golden.config)
    exact, _ = GoldenNetwork(golden, separator.spec, torch.float64).process(window[None], ())
    plain, _ = GoldenNetwork(golden, separator.spec, torch.float32).process(window[None], ())
    made, _ = separator.process(window[None], ())
    assert rms(made - exact) <= 10 * rms(plain - exact) + 1e-7


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_smaller_types_leave_the_stems_what_they_are(path: Path, dtype: torch.dtype) -> None:
    window = music_like(2, WINDOW, RATE)[None]
    wanted, _ = on_device(path).process(window, ())
    made, _ = on_device(path, dtype).process(window, ())
    assert made.dtype == np.float32
    assert 30 < min(sdr_db(*pair) for pair in zip(wanted[0], made[0], strict=True)) < 120


def test_a_batch_changes_nothing(path: Path) -> None:
    separator = on_device(path)
    windows = np.random.default_rng(2).uniform(-1, 1, (8, 2, WINDOW)).astype(np.float32)
    alone = np.concatenate([separator.process(window[None], ())[0] for window in windows])
    runner = runner_of(separator, 8)
    for n in (1, 2, 4, 8, 3):
        runner.windows[:n] = windows[:n]
        runner.run(n)
        np.testing.assert_allclose(runner.stems[:n], alone[:n], rtol=0, atol=1e-6)


def test_stems_are_copied_when_they_are_read_and_only_then(path: Path) -> None:
    runner = runner_of(on_device(path), 2)
    runner.windows[...] = music_like(2, WINDOW, RATE)
    runner.run(2)
    assert runner._host_out is None
    first = runner.stems.copy()
    assert first.any()
    runner.windows[1] = 0.0
    runner.run(2)
    np.testing.assert_array_equal(runner._host_out, first)
    assert not runner.stems[1].any()
    np.testing.assert_array_equal(runner.stems[0], runner.outcomes[0])


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("overlap", [1, 4])
@pytest.mark.parametrize(
    "settings", [{}, {"stems": ["drums"]}, {"stems": ["bass", "vocals", "drums"]}, {"stems": ["bass"], "rest": True}]
)
def test_a_recording_that_is_added_up_there_is_the_same_to_the_last_bit(
    path: Path, settings: dict[str, Any], overlap: int, batch_size: int
) -> None:
    separator, options = on_device(path), dict(settings)
    assert set(separator.spec.stems) >= {"vocals", "drums", "bass"}
    audio = np.random.default_rng(4).uniform(-0.5, 0.5, (2, 9 * WINDOW)).astype(np.float32)
    audio[:, 3 * WINDOW : 7 * WINDOW] = 0.0
    wished = {"stems": options.get("stems"), "with_rest": options.get("rest", False), "overlap": overlap}
    counters = SeparationCounters()
    made = separate(separator, audio, RATE, batch_size=batch_size, counters=counters, **wished)
    wanted = separate(OnHost(separator), audio, RATE, batch_size=batch_size, **wished)
    np.testing.assert_array_equal(made.view(np.uint32), wanted.view(np.uint32))
    assert counters.silent_windows >= 2


def test_a_stream_that_is_added_up_there_is_the_same_to_the_last_bit(path: Path) -> None:
    audio = np.random.default_rng(5).uniform(-0.5, 0.5, (2, 6 * WINDOW)).astype(np.float32)
    heard = []
    separator = on_device(path)
    for model in (separator, OnHost(separator)):
        processor = StemProcessor(model)
        with processor.prepare(sample_rate=RATE, channels=2, max_block_frames=40):
            blocks = [processor.process(audio[:, n : n + 40]).copy() for n in range(0, audio.shape[1], 40)]
        heard.append(np.concatenate(blocks, axis=-1))
    assert np.abs(heard[0]).max() > 0.01
    np.testing.assert_array_equal(heard[0].view(np.uint32), heard[1].view(np.uint32))


def test_steady_windows_are_read_only_where_they_lie(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: GpuRunner) -> F32:
        raise AssertionError("all stems of a window were copied")

    monkeypatch.setattr(GpuRunner, "stems", property(read))
    audio = np.random.default_rng(4).uniform(-0.5, 0.5, (2, 3 * WINDOW)).astype(np.float32)
    assert separate(on_device(path), audio, RATE, batch_size=2, stems=["bass", "vocals", "drums"]).any()
    processor = StemProcessor(on_device(path))
    with processor.prepare(sample_rate=RATE, channels=2, max_block_frames=40):
        for n in range(0, audio.shape[1], 40):
            processor.process(audio[:, n : n + 40])


def test_a_value_that_is_not_finite_fails_the_recording(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    separator = on_device(path)
    model = separator._model
    assert isinstance(model, GpuModel)
    monkeypatch.setattr(model, "_network", lambda spectrum: torch.full((len(spectrum), 4, 4, 16, 16), torch.nan))
    with pytest.raises(Exception, match="gave values that are not finite"):
        separate(separator, np.ones((2, WINDOW), np.float32), RATE)


def test_where_memory_runs_out_the_batch_is_halved_and_nothing_is_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    separator = on_device(path)
    audio = np.random.default_rng(6).uniform(-0.5, 0.5, (2, 5 * WINDOW)).astype(np.float32)
    wanted = separate(separator, audio, RATE)
    model = separator._model
    assert isinstance(model, GpuModel)
    network, sizes = model._network, []

    def small(spectrum: torch.Tensor) -> torch.Tensor:
        sizes.append(len(spectrum))
        if len(spectrum) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return network(spectrum)

    monkeypatch.setattr(model, "_network", small)
    made = separate(separator, audio, RATE, worker=Worker(8))
    np.testing.assert_allclose(made, wanted, rtol=0, atol=1e-6)
    # One more each time: what lacks operators tells so in a first run of a window.
    assert [size for size in sizes if size != 1][:3] == [8, 4, 2]


@pytest.mark.parametrize(
    "said", ["CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"]
)
def test_every_way_in_which_a_device_tells_of_no_memory_is_understood(said: str) -> None:
    with pytest.raises(OutOfMemory, match="ran out of memory"), told_failures("m"):
        raise RuntimeError(said)


def test_a_runner_is_freed_with_its_owner_at_once(path: Path) -> None:
    gc.disable()
    try:
        runner: Runner = runner_of(on_device(path), 2)
        runner.run(2)
        held = weakref.ref(runner)
        del runner
        assert held() is None
    finally:
        gc.enable()
