"""One transform for all windows of a stream gives what each window's own gives."""

from __future__ import annotations

import torch

from engine.models.buffered_spectrum import BufferedSpectrum
from streamer.bench.shared_spectrum import SharedSpectrum, aligned_overlap
from tests.engine.mdx23c_models import tiny


def test_every_window_is_transformed_as_if_it_were_alone() -> None:
    a = tiny()
    columns, overlap = 40, 3
    assert aligned_overlap(columns) == overlap
    frames, hop_columns = (columns - 1) * a.hop_frames, (columns - 1) // overlap
    stream = torch.randn(2, 4 * frames, generator=torch.Generator().manual_seed(0))
    shared, alone = SharedSpectrum(a, frames, hop_columns), BufferedSpectrum(a, frames)
    found, wanted = (torch.empty(columns, a.frequencies, a.spectrum_channels) for _ in range(2))
    for n in range(5):
        window = stream[:, n * hop_columns * a.hop_frames :][:, :frames]
        shared.forward(window, found)
        alone.forward(window, wanted)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_windows_that_begin_between_columns_cannot_share() -> None:
    assert aligned_overlap(128) is None
