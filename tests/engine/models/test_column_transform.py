"""The transform of devices is the one that the networks were trained with, and looks at nothing on its way."""

from __future__ import annotations

import pytest
import torch

from engine.models.column_transform import ColumnTransform
from engine.models.mdx23c import SpectrumTransform

CPU = torch.device("cpu")
LENGTHS = {
    "usual": (32, 8, 16),
    "all bins": (32, 8, 17),
    "few bins": (64, 16, 5),
    "a hop that does not divide": (32, 12, 16),
}


@pytest.mark.parametrize("columns", [2, 16, 25])
@pytest.mark.parametrize("name", LENGTHS)
def test_both_ways_are_the_plain_transform(name: str, columns: int) -> None:
    n_fft, hop, bins = LENGTHS[name]
    frames = hop * (columns - 1)
    plain, ours = SpectrumTransform(n_fft, hop, bins), ColumnTransform(n_fft, hop, bins, device=CPU)
    if frames > n_fft // 2:
        audio = torch.randn(3, 2, frames, generator=torch.Generator().manual_seed(1))
        made = ours.forward(audio)
        torch.testing.assert_close(made, plain.forward(audio), rtol=0, atol=2e-5)
        assert made.is_contiguous()
    parts = torch.randn(3, 4, 4, bins, columns, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(ours.inverse(parts), plain.inverse(parts), rtol=0, atol=2e-5)


def test_nothing_on_the_way_is_asked_of_the_device() -> None:
    # Tensors without values: whoever looks at one fails, as ``torch.istft`` does.
    ours = ColumnTransform(32, 8, 16, device=torch.device("meta"))
    parts = ours.forward(torch.zeros(2, 2, 120, device="meta"))
    assert parts.shape == (2, 4, 16, 16)
    assert ours.inverse(parts[:, None]).shape == (2, 1, 2, 120)
    with pytest.raises((RuntimeError, NotImplementedError)):
        SpectrumTransform(32, 8, 16).inverse(parts[:, None])
