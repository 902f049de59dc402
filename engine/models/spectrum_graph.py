"""The spectrum of a waveform and back as operations of an ONNX graph that are real, exact and fast everywhere.

A transform of ``n_fft`` = a x b points has two dense factors, a and b long, with a multiplication by twiddle factors
between them (Cooley and Tukey, "An algorithm for the machine calculation of complex Fourier series", Math. Comp. 19,
1965). All columns of a window stand beside each other as the last axis, so both factors are large matrix products,
which every runtime is good at. ONNX has operators for it, but not every runtime has good ones, or any: those of ONNX
Runtime for processors take several times as long, and where ``n_fft`` is no power of two they are wrong in the fourth
digit.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from engine.errors import ExportError
from engine.graph_builder import GraphBuilder

__all__ = ["add_forward", "add_inverse", "transform_factors"]

F64 = npt.NDArray[np.float64]
_LONGEST_FACTOR = 512  # a dense factor of so many points is a constant of 4 MB


def transform_factors(n_fft: int) -> tuple[int, int]:
    """Give two factors of a transform's length, as equal as can be, the smaller one first.

    Raises
    ------
    ExportError
        If the length is odd, or the greater factor too great for a dense product.
    """
    small = next(size for size in range(math.isqrt(n_fft), 0, -1) if n_fft % size == 0)
    if n_fft % 2 or n_fft // small > _LONGEST_FACTOR:
        raise ExportError(
            f"a transform of {n_fft} frames cannot be put into a graph: its length must be even and the product of two "
            f"numbers up to {_LONGEST_FACTOR}; export the network alone with --part core"
        )
    return small, n_fft // small


def add_forward(b: GraphBuilder, audio: str, *, n_fft: int, hop: int, bins: int) -> str:
    """Transform ``audio`` (rows, frames) to (rows, 2, bins, columns), real parts first.

    As `engine.models.mdx23c.SpectrumTransform` does it: a periodic Hann window, columns centred on multiples of the
    hop, both ends reflected. ``frames`` is a multiple of the hop.

    With n = large * i + j and k = small * l + m, the sum over i is the first product, the sum over j the second, and
    exp(-2 pi i j m / n_fft) stands between them. Only those l are summed that lead to ``bins``.
    """
    small, large = transform_factors(n_fft)
    hops, kept = -(-n_fft // hop), -(-bins // small)
    half, rest = n_fft // 2, -(-n_fft // hop) * hop - n_fft
    whole = b.op("Pad", [audio, b.integers(0, half, 0, half)], "forward_reflected", mode="reflect")
    if rest:
        whole = b.op("Pad", [whole, b.integers(0, 0, 0, rest)], "forward_padded")
    pieces = b.op("Transpose", [b.reshape(whole, "forward_pieces", 0, -1, hop)], "forward_by_place", perm=[0, 2, 1])
    shifted = [b.cut(pieces, 2, n, n + 1 - hops or None, f"forward_hop_{n}") for n in range(hops)]
    columns = b.op("Concat", shifted, "forward_columns", axis=1)
    if rest:
        columns = b.cut(columns, 1, 0, n_fft, "forward_whole_columns")
    count = b.size(columns, 2, "forward_column_count")
    window = b.constant("forward_window", _hann(n_fft)[:, None])
    windowed = b.op("Mul", [columns, window], "forward_windowed")
    inner_in = b.reshape(windowed, "forward_inner_in", 0, small, -1)
    cos, sin = _cos_sin(small, small, -2.0 * np.pi / small)
    inner = b.op("MatMul", [b.constant("forward_small", np.vstack((cos, sin))), inner_in], "forward_inner")
    apart = b.sized(inner, "forward_apart", -1, 2 * small, large, count)
    real, imag = b.split(apart, 1, (small, small), ("forward_real", "forward_imag"))
    turned = b.turn(real, imag, -_twiddles(small, large, n_fft), "forward_twiddle")
    beside = b.op("Concat", [*turned], "forward_turned", axis=2)
    cos, sin = _cos_sin(kept, large, -2.0 * np.pi / large)
    outer = b.op("MatMul", [b.constant("forward_large", np.block([[cos, -sin], [sin, cos]])), beside], "forward_outer")
    parts = b.sized(outer, "forward_parts", -1, small, 2, kept, count)
    ordered = b.op("Transpose", [parts], "forward_ordered", perm=[0, 2, 3, 1, 4])
    spectrum = b.sized(ordered, "forward_bins", -1, 2, kept * small, count)
    return spectrum if kept * small == bins else b.cut(spectrum, 2, 0, bins, "forward_kept")


def add_inverse(b: GraphBuilder, spectrum: str, *, n_fft: int, hop: int, bins: int) -> str:
    """Transform ``spectrum`` (rows, 2, bins, columns) back to (rows, frames): `add_forward` in reverse.

    Bins above ``bins`` count as zero. Columns are added up and divided by the sum of their squared windows.
    """
    small, large = transform_factors(n_fft)
    kept = -(-bins // small)
    count = b.size(spectrum, 3, "inverse_column_count")
    if kept * small != bins:
        missing = kept * small - bins
        spectrum = b.op("Pad", [spectrum, b.integers(0, 0, 0, 0, 0, 0, missing, 0)], "inverse_filled")
    # A bin stands for its mirror image too, but for the lowest and the highest of all.
    weights = np.full(kept * small, 2.0 / n_fft)
    weights[[0, *range(n_fft // 2, kept * small)]] = 1.0 / n_fft
    weighted = b.op("Mul", [spectrum, b.constant("inverse_weights", weights[:, None])], "inverse_weighted")
    parts = b.sized(weighted, "inverse_parts", -1, 2, kept, small, count)
    ordered = b.op("Transpose", [parts], "inverse_ordered", perm=[0, 3, 1, 2, 4])
    outer_in = b.sized(ordered, "inverse_outer_in", -1, small, 2 * kept, count)
    cos, sin = _cos_sin(large, kept, 2.0 * np.pi / large)
    outer = b.op(
        "MatMul", [b.constant("inverse_large", np.block([[cos, -sin], [sin, cos]])), outer_in], "inverse_outer"
    )
    real, imag = b.split(outer, 2, (large, large), ("inverse_real", "inverse_imag"))
    turned = b.turn(real, imag, _twiddles(small, large, n_fft), "inverse_twiddle")
    inner_in = b.sized(b.op("Concat", [*turned], "inverse_turned", axis=1), "inverse_inner_in", 0, 2 * small, -1)
    cos, sin = _cos_sin(small, small, 2.0 * np.pi / small)
    inner = b.op("MatMul", [b.constant("inverse_small", np.hstack((cos, -sin))), inner_in], "inverse_inner")
    columns = b.sized(inner, "inverse_columns", -1, n_fft, count)
    windowed = b.op("Mul", [columns, b.constant("inverse_window", _hann(n_fft)[:, None])], "inverse_windowed")
    return _overlap_add(b, windowed, count, n_fft, hop)


def _overlap_add(b: GraphBuilder, columns: str, count: str, n_fft: int, hop: int) -> str:
    hops, half = -(-n_fft // hop), n_fft // 2
    rest = hops * hop - n_fft
    if rest:
        columns = b.op("Pad", [columns, b.integers(0, 0, 0, 0, rest, 0)], "inverse_padded")
    placed = []
    for n in range(hops):
        piece = b.cut(columns, 1, n * hop, (n + 1) * hop, f"inverse_hop_{n}")
        placed.append(b.op("Pad", [piece, b.integers(0, 0, n, 0, 0, hops - 1 - n)], f"inverse_placed_{n}"))
    summed = b.op("Sum", placed, "inverse_summed")
    normal = b.op("Mul", [summed, _normaliser(b, count, n_fft, hop)], "inverse_normal")
    in_order = b.op("Transpose", [normal], "inverse_in_order", perm=[0, 2, 1])
    return b.cut(b.reshape(in_order, "inverse_whole", 0, -1), 1, half, half - hops * hop, "inverse_audio")


def _normaliser(b: GraphBuilder, count: str, n_fft: int, hop: int) -> str:
    """Give (hop, columns + hops - 1): one over the sum of the squared windows that lie over each frame."""
    hops = -(-n_fft // hop)
    squares = np.zeros(hops * hop)
    squares[:n_fft] = _hann(n_fft) ** 2
    total = b.op("Add", [count, b.integers(hops - 1)], "places")
    scalars = [b.scalar("first_place", 0), b.op("Squeeze", [total], "place_count"), b.scalar("next_place", 1)]
    places = b.op("Range", scalars, "place")
    # Hop n of a column at place m lies at place m + n.
    column = b.op("Sub", [places, b.constant("column_hops", np.arange(hops)[:, None], np.int64)], "place_column")
    is_there = b.op("GreaterOrEqual", [column, b.integers(0)], "is_after_first")
    is_there = b.op("And", [is_there, b.op("Less", [column, count], "is_before_last")], "is_column")
    lies = b.op("Cast", [is_there], "column_lies", to=TensorProto.FLOAT)
    sums = b.op("MatMul", [b.constant("squares", squares.reshape(hops, hop).T), lies], "square_sums")
    # What no window lies over is cut off afterwards, and must not be divided by zero before.
    return b.op("Reciprocal", [b.op("Max", [sums, b.constant("least", 1e-11)], "square_floor")], "normaliser")


def _hann(n_fft: int) -> F64:
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)


def _cos_sin(rows: int, columns: int, step: float) -> tuple[F64, F64]:
    angles = step * np.outer(np.arange(rows), np.arange(columns))
    return np.cos(angles), np.sin(angles)


def _twiddles(small: int, large: int, n_fft: int) -> F64:
    """Angles (small, large, 1) between the two products of a transform back."""
    return 2.0 * np.pi * np.outer(np.arange(small), np.arange(large))[..., None] / n_fft
