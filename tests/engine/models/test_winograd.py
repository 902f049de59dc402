"""Both convolutions are that of PyTorch, for every size of a map; Winograd's costs little more rounding."""

from __future__ import annotations

import pytest
import torch

from engine.kernels.library import Kernels, load_kernels
from engine.models.winograd import DirectConv, WinogradConv, scratch_floats

Tensor = torch.Tensor


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    loaded = load_kernels()
    assert loaded is not None
    return loaded


def weights(given: int, made: int) -> Tensor:
    return torch.randn(made, given, 3, 3, generator=torch.Generator().manual_seed(0)) / (9 * given) ** 0.5


def a_map(height: int, width: int, channels: int) -> Tensor:
    return torch.randn(height, width, channels, generator=torch.Generator().manual_seed(1))


def plain(x: Tensor, weight: Tensor) -> Tensor:
    rows = torch.nn.functional.conv2d(x.double().permute(2, 0, 1)[None], weight.double(), padding=1)
    return rows[0].permute(1, 2, 0)


def convolve(
    conv: WinogradConv | DirectConv, x: Tensor, y: Tensor, kernels: Kernels, *, is_added: bool = False
) -> None:
    scratch = torch.full((scratch_floats(x.shape[-1], y.shape[-1]),), float("nan"))
    with torch.inference_mode():
        conv(x, y, is_added=is_added, kernels=kernels, threads=2, scratch=scratch)


@pytest.mark.parametrize(("given", "made"), [(1, 1), (3, 20), (16, 16), (33, 15), (64, 40)])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 7), (4, 4), (13, 30), (32, 64)])
def test_it_is_the_plain_convolution(kernels: Kernels, height: int, width: int, given: int, made: int) -> None:
    x, weight = a_map(height, width, given), weights(given, made)
    for conv in (WinogradConv(weight), DirectConv(weight, height, width)):
        y = (
            torch.full((height, width, made), float("nan"))
            if isinstance(conv, WinogradConv)
            else torch.ones(height, width, made)
        )
        convolve(conv, x, y, kernels)
        torch.testing.assert_close(y.double(), plain(x, weight), rtol=0, atol=2e-5)


def test_a_map_of_many_slabs_has_no_seams(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.models.winograd._SLAB_FLOATS", 1 << 10)
    x, weight = a_map(50, 70, 8), weights(8, 12)
    y = torch.empty(50, 70, 12)
    convolve(WinogradConv(weight), x, y, kernels)
    torch.testing.assert_close(y.double(), plain(x, weight), rtol=0, atol=2e-5)


def test_it_may_be_added_to_what_is_there(kernels: Kernels) -> None:
    x, weight, before = a_map(9, 11, 6), weights(6, 5), a_map(9, 11, 5)
    for conv in (WinogradConv(weight), DirectConv(weight, 9, 11)):
        y = before.clone()
        convolve(conv, x, y, kernels, is_added=True)
        torch.testing.assert_close(y.double(), before + plain(x, weight), rtol=0, atol=2e-5)


def test_rounding_is_far_below_the_map(kernels: Kernels) -> None:
    x, weight = a_map(32, 32, 128), weights(128, 64)
    y = torch.empty(32, 32, 64)
    convolve(WinogradConv(weight), x, y, kernels)
    error, level = (y - plain(x, weight)).square().mean(), y.double().square().mean()
    assert 10 * torch.log10(level / error) > 115


def test_it_pays_where_many_tiles_share_the_weights() -> None:
    assert WinogradConv.pays(weights(128, 128), 256, 1024)
    assert not WinogradConv.pays(weights(768, 768), 8, 32)
    assert not WinogradConv.pays(weights(4, 4), 16, 16)
