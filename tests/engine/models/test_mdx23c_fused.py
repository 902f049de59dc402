"""Fused steps compute the network of the reference, whatever it is built from, and allocate nothing on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.profiler import ProfilerActivity, profile

from engine.backends.torch_separator import TorchSeparator
from engine.errors import UnavailableError
from engine.metrics import sdr_db
from engine.models import buffered_spectrum
from engine.models.mdx23c_architecture import Architecture
from engine.models.mdx23c_weights import can_fuse
from engine.music_like import music_like
from tests.engine.mdx23c_models import TINY, config_data, save_model, tiny

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "as public ones": {},
    "one block": {"blocks": 1},
    "three blocks": {"blocks": 3},
    "one scale": {"scales": 1},
    "three scales": {"scales": 3, "frequencies": 16, "n_fft": 128},
    "mono": {"channels": 1},
    "five stems": {"outputs": 5},
    "wide": {"width": 24, "growth": 7},
    "large maps": {"width": 12, "frequencies": 64, "n_fft": 512},
    "growing fast": {"scales": 1, "width": 2, "growth": 20},
    "another bottleneck": {"bottleneck": 1},
}


def separators(folder: Path, architecture: Architecture, window: int, **options: Any) -> list[TorchSeparator]:
    config = config_data(architecture, window=window)
    if architecture.outputs > 2:
        config["training"]["instruments"] = [f"stem {n}" for n in range(architecture.outputs)]
    path = save_model(folder / "a.ckpt", architecture, config=config)
    return [TorchSeparator(path, way="eager"), TorchSeparator(path, way="fused", **options)]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_is_the_network_of_the_reference(name: str, tmp_path: Path) -> None:
    architecture = tiny(**ARCHITECTURES[name])
    window = architecture.hop_frames * (16 * architecture.column_step - 1)
    eager, fused = separators(tmp_path, architecture, window)
    runner = fused.runner(2, window)
    for seed in range(2):
        windows = np.random.default_rng(seed).uniform(-0.5, 0.5, (2, architecture.channels, window)).astype(np.float32)
        wanted, _ = eager.process(windows, ())
        runner.windows[...] = windows
        runner.run(2)
        np.testing.assert_allclose(runner.stems, wanted, rtol=0, atol=2e-5)
        assert np.abs(wanted).max() > 0.01


def test_several_threads_compute_what_one_does(tmp_path: Path) -> None:
    architecture = tiny(**ARCHITECTURES["wide"])
    window = architecture.hop_frames * (16 * architecture.column_step - 1)
    windows = np.random.default_rng(0).uniform(-0.5, 0.5, (1, architecture.channels, window)).astype(np.float32)
    for precision in ("fp32", "bf16"):
        _, fused = separators(tmp_path, architecture, window, precision=precision)
        alone, _ = fused.process(windows, ())
        _, shared = separators(tmp_path, architecture, window, precision=precision, threads=3)
        together, _ = shared.process(windows, ())
        # Sums are split elsewhere.
        np.testing.assert_allclose(together, alone, rtol=0, atol=2e-6 if precision == "fp32" else 2e-3)


def test_a_burst_before_silence_is_as_exact_as_noise(tmp_path: Path) -> None:
    architecture = tiny(width=8, frequencies=64, n_fft=512)
    window = architecture.hop_frames * (64 * architecture.column_step - 1)
    eager, fused = separators(tmp_path, architecture, window)
    windows = np.zeros((1, 2, window), np.float32)
    windows[..., :200] = 0.9
    wanted, found = eager.process(windows, ())[0][0], fused.process(windows, ())[0][0]
    assert sdr_db(wanted.reshape(-1, window), found.reshape(-1, window)) > 90


def test_windows_of_other_lengths_use_the_same_weights(tmp_path: Path) -> None:
    step = TINY.hop_frames * TINY.column_step
    eager, fused = separators(tmp_path, TINY, 4 * step - TINY.hop_frames)
    for window in (2 * step - 8, 4 * step - 8, 9 * step - 8):
        windows = np.random.default_rng(window).uniform(-0.5, 0.5, (1, 2, window)).astype(np.float32)
        np.testing.assert_allclose(fused.process(windows, ())[0], eager.process(windows, ())[0], rtol=0, atol=2e-5)


def test_bfloat16_stays_close_to_single_precision(tmp_path: Path) -> None:
    architecture = tiny(width=16, growth=8)
    window = 8 * (16 * architecture.column_step - 1)
    eager, reduced = separators(tmp_path, architecture, window, precision="bf16")
    windows = music_like(2, window, 44_100)[None]
    wanted, found = eager.process(windows, ())[0][0], reduced.process(windows, ())[0][0]
    assert sdr_db(wanted.reshape(-1, window), found.reshape(-1, window)) > 25
    assert not np.array_equal(wanted, found)


def test_silence_gives_silence(tmp_path: Path) -> None:
    window = 8 * (4 * TINY.column_step - 1)
    for precision in ("fp32", "bf16"):
        _, fused = separators(tmp_path, TINY, window, precision=precision)
        assert not fused.process(np.zeros((1, 2, window), np.float32), ())[0].any()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_steady_run_allocates_nothing_that_grows_with_the_window(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The library of the transforms allocates for as many columns as it is given at once.
    monkeypatch.setattr(buffered_spectrum, "_SLAB_FLOATS", 1 << 12)
    window = 8 * (512 * TINY.column_step - 1)
    _, fused = separators(tmp_path, TINY, window, precision=precision)
    runner = fused.runner(1, window)
    runner.windows[0] = music_like(2, window, 44_100)
    runner.run(1)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        runner.run(1)
    largest = max(event.self_cpu_memory_usage for event in seen.events())
    assert 0 < largest <= 1 << 16 < runner.windows.nbytes


@pytest.mark.parametrize(
    "changes", [{"norm": "BatchNorm"}, {"norm": ""}, {"act": "relu"}, {"scale": (2, 1)}], ids=lambda c: str(c)
)
def test_what_public_networks_are_not_built_from_is_left_to_pytorch(changes: dict[str, Any], tmp_path: Path) -> None:
    architecture = tiny(**changes)
    assert not can_fuse(architecture)
    if architecture.scale != (2, 2):
        return
    path = save_model(tmp_path / "a.ckpt", architecture)
    assert TorchSeparator(path).way == "eager"
    with pytest.raises(UnavailableError, match="choose the backend eager"):
        TorchSeparator(path, way="fused")
