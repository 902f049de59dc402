"""What a network has to reckon is what PyTorch counts of it."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from engine.models.mdx23c import Mdx23c
from engine.models.mdx23c_architecture import Architecture
from streamer.bench.network_cost import network_flops
from streamer.bench.tasks.profile import kind_of
from tests.engine.mdx23c_models import TINY, tiny


@pytest.mark.parametrize("architecture", [TINY, tiny(outputs=4, blocks=1), tiny(width=8, growth=4, bands=1)])
def test_products_are_counted_as_pytorch_counts_them(architecture: Architecture) -> None:
    columns = 4 * architecture.column_step
    spectrum = torch.zeros(1, 2 * architecture.channels, architecture.bins, columns)
    with FlopCounterMode(display=False) as counted, torch.inference_mode():
        Mdx23c(architecture)(spectrum)
    assert network_flops(architecture, columns) == counted.get_total_flops()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::mkldnn_convolution", "convolutions"),
        ("aten::addmm", "products of matrices"),
        ("aten::_fft_r2c", "transforms"),
        ("aten::native_batch_norm", "norms"),
        ("aten::gelu", "activations"),
        ("Memcpy DtoH", "copies"),
        ("aten::mul", "other operators"),
    ],
)
def test_operators_are_told_apart_by_their_names(name: str, kind: str) -> None:
    assert kind_of(name) == kind
