"""Array work that keeps the interpreter's lock while it is short.

NumPy lets go of the lock for every operation on more than 500 elements. Beside a thread that runs Python all the time,
each of these is a chance to wait a whole switch interval, 5 ms, for a copy that takes one microsecond. What is here
keeps the lock for work of some microseconds and lets it go for more.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FiniteCheck", "copy", "pieces"]

_KEPT = 500
"""NumPy keeps the lock for operations on up to so many elements."""
_LONG = 1 << 15
"""Work on more elements than this takes long enough for others to run meanwhile."""


def copy(out: npt.NDArray[Any], source: npt.NDArray[Any]) -> None:
    """Copy an array into another one of the same shape, as ``numpy.copyto`` does; allocates no array.

    Channels may lie first in memory on one side, as everywhere here, and frames first on the other, as at devices.
    """
    size = out.size
    if size <= _KEPT or size > _LONG or out.dtype != source.dtype:
        np.copyto(out, source, casting="same_kind")
    elif out.ndim == 1:
        out.data[:] = source.data
    elif out.ndim == 2 and not out.strides[1] == source.strides[1] == out.itemsize:
        # A row whose elements lie apart would be copied one by one: ten times as slow.
        for piece in pieces(*out.shape):
            np.copyto(out[:, piece], source[:, piece])
    else:
        for row, given in zip(out, source, strict=True):
            copy(row, given)


@functools.lru_cache(maxsize=64)
def pieces(rows: int, frames: int) -> tuple[slice, ...]:
    """Cut ``frames`` so that an operation on ``rows`` times a piece keeps the lock; whole where that is too long."""
    size = rows * frames
    if size <= _KEPT or size > _LONG or rows > _KEPT:
        return (slice(0, frames),)
    step = _KEPT // rows
    return tuple(slice(n, min(n + step, frames)) for n in range(0, frames, step))


class FiniteCheck:
    """Tells whether arrays of one shape hold finite numbers only, without allocating an array.

    Parameters
    ----------
    shape : tuple of int

    Attributes
    ----------
    flags : ndarray of bool
        Which elements of the array looked at last are finite.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._bytes = bytearray(math.prod(shape))
        self._flat = np.frombuffer(self._bytes, np.bool_)
        self.flags = self._flat.reshape(shape)
        self._pieces = pieces(1, self._flat.size)

    def __call__(self, array: npt.NDArray[Any]) -> bool:
        """Look at a contiguous array of the shape; True if all of it is finite."""
        flat = array.reshape(-1)
        for piece in self._pieces:
            np.isfinite(flat[piece], out=self._flat[piece])
        return 0 not in self._bytes
