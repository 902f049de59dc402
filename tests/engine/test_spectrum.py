"""The transform with NumPy alone is PyTorch's, in both directions, and allocates nothing."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch

from engine.models.mdx23c import SpectrumTransform
from engine.spectrum import WindowSpectrum

F32 = np.ndarray[Any, np.dtype[np.float32]]
SIZES = [
    pytest.param(2048, 512, 1024, 31 * 512, id="public drums"),
    pytest.param(12288, 2048, 4096, 9 * 2048, id="no power of two"),
    pytest.param(32, 8, 16, 120, id="tiny"),
    pytest.param(12, 6, 7, 60, id="every bin"),
    pytest.param(30, 7, 9, 77, id="no multiple of the hop"),
    pytest.param(1000, 441, 501, 9 * 441, id="hop and length without a common factor"),
    pytest.param(32, 8, 16, 24, id="shorter than a transform"),
]


def noise(*shape: int) -> F32:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("n_fft", "hop", "bins", "frames"), SIZES)
class TestAgainstTorch:
    def test_forward(self, n_fft: int, hop: int, bins: int, frames: int) -> None:
        audio = noise(2, frames)
        wanted = SpectrumTransform(n_fft, hop, bins).forward(torch.from_numpy(audio)[None])[0].numpy()
        transform = WindowSpectrum(n_fft, hop, bins, frames)
        assert wanted.shape == (4, bins, transform.columns)
        out = np.full_like(wanted, np.nan)
        transform.forward(audio, out)
        np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())

    def test_inverse(self, n_fft: int, hop: int, bins: int, frames: int) -> None:
        transform = WindowSpectrum(n_fft, hop, bins, frames)
        parts = noise(4, bins, transform.columns)
        wanted = SpectrumTransform(n_fft, hop, bins).inverse(torch.from_numpy(parts)[None, None])[0, 0].numpy()
        out = np.full((2, frames), np.nan, np.float32)
        transform.inverse(parts, out)
        assert wanted.shape == out.shape
        np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


def test_one_direction_leaves_nothing_behind_for_the_other() -> None:
    audio, transform = noise(2, 120), WindowSpectrum(32, 8, 16, 120)
    parts, again, stem = noise(4, 16, 16), np.empty((4, 16, 16), np.float32), np.empty((2, 120), np.float32)
    fresh = np.empty_like(stem)
    WindowSpectrum(32, 8, 16, 120).inverse(parts, fresh)
    first = np.empty_like(again)
    transform.forward(audio, first)
    transform.inverse(parts, stem)
    transform.forward(audio, again)
    np.testing.assert_array_equal(stem, fresh)
    np.testing.assert_array_equal(again, first)


def test_silence_is_silence_to_the_last_bit() -> None:
    transform = WindowSpectrum(32, 8, 16, 120)
    spectrum, stem = np.ones((2, 16, 16), np.float32), np.ones((1, 120), np.float32)
    transform.forward(np.zeros((1, 120), np.float32), spectrum)
    transform.inverse(spectrum, stem)
    assert not spectrum.any()
    assert not stem.any()


def test_nothing_large_is_allocated() -> None:
    audio, transform = noise(2, 31 * 512), WindowSpectrum(2048, 512, 1024, 31 * 512)
    spectrum, stem = np.empty((4, 1024, 32), np.float32), np.empty_like(audio)
    transform.forward(audio, spectrum)
    transform.inverse(spectrum, stem)
    tracemalloc.start()
    try:
        transform.forward(audio, spectrum)
        transform.inverse(spectrum, stem)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # What is transformed at once has 262 kB; NumPy's own pieces are smaller, and no more of them for longer windows.
    assert most < 100_000
