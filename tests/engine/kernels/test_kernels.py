"""Each compiled step computes what PyTorch's operators do, for every shape of a map."""

from __future__ import annotations

import pytest
import torch

from engine.kernels.library import Kernels, load_kernels, why_no_kernels

Tensor = torch.Tensor


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    loaded = load_kernels()
    assert loaded is not None, why_no_kernels()
    return loaded


def a_map(times: int, frequencies: int, channels: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(times, frequencies, channels, generator=generator) + 1.5


def a_norm(channels: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return 1 + 0.3 * torch.randn(channels, generator=generator), torch.randn(channels, generator=generator)


def expected(x: Tensor, norm: tuple[Tensor, Tensor]) -> Tensor:
    gain, offset = (each.double() for each in norm)
    rows = x.double().permute(2, 0, 1)[None]
    activated = torch.nn.functional.gelu(torch.nn.functional.instance_norm(rows, weight=gain, bias=offset))
    return activated[0].permute(1, 2, 0)


def run(
    kernels: Kernels, x: Tensor, y: Tensor, norm: tuple[Tensor, Tensor], *, threads: int = 2, **options: bool
) -> None:
    moments = torch.full((kernels.moments(x.shape[-1]),), float("nan"), dtype=torch.float64)
    kernels.norm_gelu(x, y, norm, moments, is_folded=options.get("is_folded", False), threads=threads)


@pytest.mark.parametrize("channels", [1, 3, 16, 63, 64, 65, 200])
@pytest.mark.parametrize(("times", "frequencies"), [(2, 1), (7, 33), (40, 64)])
def test_norm_and_gelu_are_those_of_pytorch(kernels: Kernels, times: int, frequencies: int, channels: int) -> None:
    x, norm = a_map(times, frequencies, channels), a_norm(channels)
    y = torch.empty_like(x)
    run(kernels, x, y, norm)
    # Two pixels that happen to be alike are 300 times further apart once they are normed, and so is their rounding.
    torch.testing.assert_close(y.double(), expected(x, norm), rtol=1e-5, atol=1e-4 if times == 2 else 1e-5)


@pytest.mark.parametrize("channels", [3, 64, 70])
def test_bfloat16_is_rounded_once(kernels: Kernels, channels: int) -> None:
    x, norm = a_map(12, 30, channels).bfloat16(), a_norm(channels)
    y = torch.empty_like(x)
    run(kernels, x, y, norm)
    # Half a unit of the last of eight bits.
    torch.testing.assert_close(y.double(), expected(x, norm), rtol=2**-8, atol=1e-5)


def test_a_map_may_be_activated_in_place(kernels: Kernels) -> None:
    x, norm = a_map(9, 20, 24), a_norm(24)
    wanted = expected(x, norm)
    run(kernels, x, x, norm)
    torch.testing.assert_close(x.double(), wanted, rtol=1e-5, atol=1e-5)


def test_two_maps_may_lie_side_by_side(kernels: Kernels) -> None:
    one, other, norm = a_map(5, 6, 7), a_map(5, 6, 9, seed=2), (a_norm(7), a_norm(9))
    both = torch.empty(5, 6, 16)
    run(kernels, one, both, norm[0])
    run(kernels, other, both[..., 7:], norm[1])
    torch.testing.assert_close(both[..., :7].double(), expected(one, norm[0]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(both[..., 7:].double(), expected(other, norm[1]), rtol=1e-5, atol=1e-5)


def test_four_neighbours_become_one_pixel(kernels: Kernels) -> None:
    x, norm = a_map(6, 8, 5), a_norm(5)
    folded = torch.empty(3, 4, 20)
    run(kernels, x, folded, norm, is_folded=True)
    wanted = expected(x, norm).view(3, 2, 4, 2, 5).permute(0, 2, 1, 3, 4).reshape(3, 4, 20)
    torch.testing.assert_close(folded.double(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("offset", [1e3, -1e4])
def test_a_map_far_from_zero_keeps_its_spread(kernels: Kernels, offset: float) -> None:
    x, norm = a_map(40, 64, 16) + offset, a_norm(16)
    y = torch.empty_like(x)
    run(kernels, x, y, norm)
    torch.testing.assert_close(y.double(), expected(x, norm), rtol=1e-3, atol=3e-3)


@pytest.mark.parametrize("peak", [1e2, 1e4])
def test_a_loud_moment_at_the_start_costs_the_rest_nothing(kernels: Kernels, peak: float) -> None:
    generator = torch.Generator().manual_seed(3)
    x, norm = torch.randn(256, 256, 16, generator=generator), a_norm(16)
    x[0, 0] = peak
    y = torch.empty_like(x)
    run(kernels, x, y, norm)
    torch.testing.assert_close(y.double(), expected(x, norm), rtol=2e-5, atol=2e-5)


def test_a_map_of_one_value_gives_the_offsets(kernels: Kernels) -> None:
    norm = a_norm(16)
    x = torch.full((8, 8, 16), 7.0)
    y = torch.empty_like(x)
    run(kernels, x, y, norm)
    torch.testing.assert_close(y, torch.nn.functional.gelu(norm[1]).expand(8, 8, 16), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_finite_stays_visible(kernels: Kernels, value: float, dtype: torch.dtype) -> None:
    x, norm = a_map(8, 8, 20).to(dtype), a_norm(20)
    x[3, 4, 5] = value
    y = torch.empty_like(x)
    run(kernels, x, y, norm)
    assert y[..., 5].isnan().all()
    assert y[..., 6].isfinite().all()


def test_threads_change_no_more_than_rounding(kernels: Kernels) -> None:
    x, norm = a_map(31, 17, 66), a_norm(66)
    results = []
    for threads in (1, 2, 5):
        y = torch.empty_like(x)
        run(kernels, x, y, norm, threads=threads)
        results.append(y)
        again = torch.empty_like(x)
        run(kernels, x, again, norm, threads=threads)
        assert torch.equal(y, again)
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-6, atol=1e-6)
