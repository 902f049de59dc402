"""How much a network has to reckon: floating-point operations of its products and convolutions, done the plain way."""

from __future__ import annotations

import math

from engine.models.mdx23c_architecture import Architecture

__all__ = ["network_flops"]


def network_flops(architecture: Architecture, columns: int) -> int:
    """Count the operations, a product and a sum being two, for one window of so many columns."""
    a = architecture
    down = math.prod(a.scale)
    products = columns * a.frequencies * a.spectrum_channels * a.width
    for n in range(a.scales + 1):
        channels, frequencies = a.level(n)
        pixels = columns // a.scale[0] ** n * frequencies
        products += _blocks(channels, channels, pixels, frequencies, a)
        if n < a.scales:
            products += _blocks(2 * channels, channels, pixels, frequencies, a)
            below = a.level(n + 1)[0]
            # Down and up again; each pixel below is made of a square of them above.
            products += 2 * down * channels * below * (pixels // down)
    last = a.width + a.spectrum_channels + a.outputs * a.spectrum_channels
    return 2 * (products + columns * a.frequencies * a.width * last)


def _blocks(given: int, made: int, pixels: int, frequencies: int, a: Architecture) -> int:
    hidden = frequencies // a.bottleneck
    products = 0
    for n in range(a.blocks):
        taken = made if n else given
        convolutions = 9 * (taken * made + made * made) + taken * made
        products += pixels * (convolutions + 2 * made * hidden)
    return products
