"""Convolutions of 3x3 with padding of 1 over maps of shape (time, frequency, channel), by products of matrices.

`WinogradConv` is F(4x4, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308:
a quarter of the products of the plain way, at about five times its rounding error, which is still 120 dB below the map.
`DirectConv` is oneDNN's.
"""

from __future__ import annotations

import math

from engine.backends.torch_runtime import torch
from engine.kernels.library import Kernels

__all__ = ["DirectConv", "WinogradConv", "scratch_floats"]

Tensor = torch.Tensor
_TILE = 4
_PRODUCTS = 36
_SLAB_FLOATS = 1 << 20
"""Transformed tiles at once, in and out: 8 MB, which a processor's cache holds, and enough for fast products."""
_LEAST_TILES = 64
_ONES = [1, 1]
_A, _B = 0.625, 1.5
"""Points at which polynomials are taken, besides 0 and infinity; those of the compiled steps."""


def _rise() -> Tensor:
    """Give the matrix (6, 3) that takes three weights to the six points."""
    near, far = 2 * _A**2 * (_A**2 - _B**2), 2 * _B**2 * (_B**2 - _A**2)
    points = ((0.0, (_A * _B) ** 2), (_A, near), (-_A, near), (_B, far), (-_B, far))
    rows = [[1 / scale, point / scale, point**2 / scale] for point, scale in points]
    return torch.tensor([*rows, [0.0, 0.0, 1.0]], dtype=torch.float64)


class WinogradConv:
    """A convolution in float32 whose weights are transformed once. Immutable.

    Parameters
    ----------
    weight : Tensor of float32, shape (made, given, 3, 3)
    """

    def __init__(self, weight: Tensor) -> None:
        made, given = weight.shape[:2]
        rise = _rise()
        product = torch.einsum("ia,ocab,jb->ijco", rise, weight.double(), rise)
        self._weight = product.reshape(_PRODUCTS, given, made).float().contiguous()
        self._given, self._made = given, made
        self._slab = _slab(given, made)

    def __call__(
        self, x: Tensor, y: Tensor, *, is_added: bool, kernels: Kernels, threads: int, scratch: Tensor
    ) -> None:
        """Put the convolution of ``x`` (time, frequency, given) into ``y`` (time, frequency, made), or add it there.

        ``scratch`` holds at least ``scratch_floats`` floats.
        """
        height, width = x.shape[:2]
        count = math.ceil(height / _TILE) * math.ceil(width / _TILE)
        for first in range(0, count, self._slab):
            n = min(self._slab, count - first)
            given, made = _PRODUCTS * n * self._given, _PRODUCTS * n * self._made
            tiles = scratch[:given].view(_PRODUCTS, n, self._given)
            products = scratch[given : given + made].view(_PRODUCTS, n, self._made)
            kernels.winograd_tiles(x, tiles, first, threads)
            torch.bmm(tiles, self._weight, out=products)
            kernels.winograd_map(products, y, first, is_added=is_added, threads=threads)

    @staticmethod
    def pays(weight: Tensor, height: int, width: int) -> bool:
        """Whether a map is so large that transformed weights, four times as many, are read for enough tiles."""
        made, given = weight.shape[:2]
        tiles = math.ceil(height / _TILE) * math.ceil(width / _TILE)
        return tiles >= max(_LEAST_TILES, (made + given) // 8)


class DirectConv:
    """A convolution by oneDNN, whose weights are packed once. Immutable.

    Parameters
    ----------
    weight : Tensor of float32 or bfloat16, shape (made, given, 3, 3)
    height, width : int
        Of the usual map, which the packing is chosen for.
    """

    def __init__(self, weight: Tensor, height: int, width: int) -> None:
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(
            weight, _ONES, _ONES, _ONES, 1, [1, weight.shape[1], height, width]
        )

    def __call__(
        self, x: Tensor, y: Tensor, *, is_added: bool, kernels: Kernels, threads: int, scratch: Tensor
    ) -> None:
        """Do as `WinogradConv` does; nothing is needed but ``x`` and ``y``."""
        if not is_added:
            y.zero_()
        torch.ops.mkldnn._convolution_pointwise_.binary(
            y.permute(2, 0, 1)[None],
            x.permute(2, 0, 1)[None],
            self._weight,
            None,
            _ONES,
            _ONES,
            _ONES,
            1,
            "add",
            1.0,
            None,
            [],
            None,
        )


def scratch_floats(given: int, made: int) -> int:
    """Floats of scratch memory that a `WinogradConv` between so many channels needs."""
    return _PRODUCTS * _slab(given, made) * (given + made)


def _slab(given: int, made: int) -> int:
    return max(_LEAST_TILES, 2 * _SLAB_FLOATS // _PRODUCTS // (given + made))
