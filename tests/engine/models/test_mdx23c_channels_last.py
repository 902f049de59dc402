"""The order of a network's maps changes nothing but where values lie, and holds from the first layer to the last."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.backends.torch_ways import build_network
from engine.models.mdx23c import Mdx23c
from engine.models.mdx23c_channels_last import order_by_channels
from tests.engine.mdx23c_models import TINY, random_tensors, tiny

ARCHITECTURES = {
    "tiny": TINY,
    "mono, five stems": tiny(channels=1, outputs=5),
    "relu, no norm": tiny(norm="", act="relu"),
    "batch norm": tiny(norm="BatchNorm"),
    "group norm": tiny(norm="GroupNorm2"),
    "three scales": tiny(scales=3, blocks=1, frequencies=16),
}


def network_of(name: str) -> Mdx23c:
    architecture = ARCHITECTURES[name]
    return build_network(architecture, random_tensors(architecture))


def spectrum_of(name: str, batch: int) -> torch.Tensor:
    a = ARCHITECTURES[name]
    generator = torch.Generator().manual_seed(3)
    return torch.randn(batch, 2 * a.channels, a.bands * a.frequencies, 16, generator=generator)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_same_is_computed(name: str, batch: int) -> None:
    spectrum = spectrum_of(name, batch)
    with torch.inference_mode():
        wanted = network_of(name)(spectrum)
        made = order_by_channels(network_of(name))(spectrum)
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("batch", [1, 3])
def test_every_map_keeps_the_order(batch: int, dtype: torch.dtype) -> None:
    network = order_by_channels(network_of("tiny").reduce_to(dtype))
    maps: list[bool] = []

    def look(module: torch.nn.Module, given: tuple[Any, ...], made: Any) -> None:
        maps.extend(each.is_contiguous(memory_format=torch.channels_last) for each in (*given, made))

    for block in (network.encoder_blocks, network.bottleneck_block, network.decoder_blocks):
        for module in block.modules():
            if not list(module.children()):
                module.register_forward_hook(look)
    with torch.inference_mode():
        network(spectrum_of("tiny", batch))
    assert len(maps) > 100
    assert all(maps)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_nothing_on_the_way_is_asked_of_the_device(dtype: torch.dtype) -> None:
    network = order_by_channels(network_of("tiny").reduce_to(dtype)).to("meta")
    made = network(spectrum_of("tiny", 2).to("meta"))
    assert (made.shape, made.dtype) == ((2, 2, 4, 16, 16), torch.float32)
