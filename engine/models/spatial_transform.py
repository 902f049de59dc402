"""The Fourier transform of a stereo signal as two small matrix products, for an ONNX graph.

Left and right are the real and imaginary part of ONE complex signal. Its transform has two dense factors, for 2048
points 32 and 64 long (Cooley and Tukey, "An algorithm for the machine calculation of complex Fourier series", Math.
Comp. 19, 1965), with a multiplication by twiddle factors between them; complex numbers are rows or columns of reals,
real parts first. On one core that costs less than ONNX Runtime's DFT operator or one dense product: see
``benchmarks/spatial.py``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from engine.graph_builder import GraphBuilder

__all__ = ["add_forward", "add_inverse"]

F64 = npt.NDArray[np.float64]


def add_forward(b: GraphBuilder, signal: str, n_fft: int) -> str:
    """Transform ``signal`` (batch, 2, n_fft) over its last axis.

    With n = large * i + j and k = small * l + m, the sum over i is a product from the left, the sum over j one from
    the right, and exp(-2 pi i j m / n_fft) stands between them.
    """
    small, large = _factors(n_fft)
    rows = b.reshape(signal, "forward_rows", -1, 2 * small, large)
    inner = b.op("MatMul", [b.constant("forward_small", _dft(small, -1)), rows], "forward_inner")
    real, imag = b.split(inner, 1, (small, small), ("forward_inner_real", "forward_inner_imag"))
    turned = b.turn(real, imag, -2.0 * np.pi * _outer(small, large) / n_fft, "forward_twiddle")
    beside = b.op("Concat", [*turned], "forward_turned", axis=2)
    outer = b.op("MatMul", [beside, b.constant("forward_large", _dft(large, -1).T)], "forward_outer")
    apart = b.reshape(outer, "forward_apart", -1, small, 2, large)
    ordered = b.op("Transpose", [apart], "forward_ordered", perm=[0, 2, 3, 1])
    return b.reshape(ordered, "spectrum", -1, 2, n_fft)


def add_inverse(b: GraphBuilder, spectra: str, count: int, n_fft: int) -> str:
    """Transform ``spectra`` (batch, count, 2, n_fft) back, `add_forward` in reverse, but n_fft times too large."""
    small, large = _factors(n_fft)
    rows = b.reshape(spectra, "inverse_rows", -1, count, 2 * large, small)
    inner = b.op("MatMul", [b.constant("inverse_large", _dft(large, 1)), rows], "inverse_inner")
    real, imag = b.split(inner, 2, (large, large), ("inverse_inner_real", "inverse_inner_imag"))
    turned = b.turn(real, imag, 2.0 * np.pi * _outer(large, small) / n_fft, "inverse_twiddle")
    beside = b.op("Concat", [*turned], "inverse_turned", axis=3)
    outer = b.op("MatMul", [beside, b.constant("inverse_small", _dft(small, 1).T)], "inverse_outer")
    apart = b.reshape(outer, "inverse_apart", -1, count, large, 2, small)
    ordered = b.op("Transpose", [apart], "inverse_ordered", perm=[0, 1, 3, 4, 2])
    return b.reshape(ordered, "inverse", -1, count, 2, n_fft)


def _factors(n_fft: int) -> tuple[int, int]:
    """Two powers of two, as equal as can be, the smaller one first."""
    small = 1 << (int(math.log2(n_fft)) // 2)
    return small, n_fft // small


def _outer(rows: int, columns: int) -> F64:
    return np.outer(np.arange(rows), np.arange(columns)).astype(np.float64)


def _dft(size: int, sign: int) -> F64:
    """Real matrix (2 size, 2 size) from columns [real; imag] to their transform with exp(sign 2 pi i n k / size)."""
    angles = sign * 2.0 * np.pi * _outer(size, size) / size
    return np.block([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])
