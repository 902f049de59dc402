"""The buffered transform is the one that the networks were trained with, folded as they fold it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.models import buffered_spectrum
from engine.models.buffered_spectrum import BufferedSpectrum
from engine.models.mdx23c import SpectrumTransform
from tests.engine.mdx23c_models import TINY

ARCHITECTURES = {
    "tiny": TINY,
    "all bins but the last": replace(TINY, frequencies=8),
    "fewer bins": replace(TINY, frequencies=4, bands=3),
    "mono, five stems": replace(TINY, channels=1, outputs=5),
    "a hop that does not divide": replace(TINY, hop_frames=12),
}


@pytest.mark.parametrize("slab", [1, 1 << 10, 1 << 18])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_both_ways_are_the_plain_transform_every_time(name: str, slab: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffered_spectrum, "_SLAB_FLOATS", slab)
    a = ARCHITECTURES[name]
    columns, folded = 24, a.spectrum_channels
    frames = a.hop_frames * (columns - 1)
    plain, buffered = SpectrumTransform(a.n_fft, a.hop_frames, a.bins), BufferedSpectrum(a, frames)
    assert buffered.columns == columns
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        window = torch.randn(a.channels, frames, generator=generator)
        mixture = torch.empty(columns, a.frequencies, folded)
        buffered.forward(window, mixture)
        wanted = plain.forward(window[None]).reshape(folded, a.frequencies, columns).permute(2, 1, 0)
        torch.testing.assert_close(mixture, wanted, rtol=0, atol=1e-5)
        parts = torch.randn(1, a.outputs, 2 * a.channels, a.bins, columns, generator=generator)
        stems = parts.reshape(a.outputs * folded, a.frequencies, columns).permute(2, 1, 0).contiguous()
        windows = torch.empty(a.outputs, a.channels, frames)
        buffered.inverse(stems, windows)
        torch.testing.assert_close(windows, plain.inverse(parts)[0], rtol=0, atol=1e-5)
