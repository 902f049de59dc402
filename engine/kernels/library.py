"""The compiled steps as functions of tensors."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

from engine.backends.torch_runtime import torch
from engine.kernels.building import BuildError, built_library

__all__ = ["Kernels", "load_kernels", "why_no_kernels"]

Tensor = torch.Tensor
_EPSILON = 1e-5  # of PyTorch's norms
_MOST_THREADS = 64
_POINTER, _LONG, _INT, _FLOAT = ctypes.c_void_p, ctypes.c_long, ctypes.c_int, ctypes.c_float
_SUFFIXES = {torch.float32: "fp32", torch.bfloat16: "bf16"}


class Kernels:
    """Functions of the compiled library. Any thread may call them; the interpreter's lock is free meanwhile.

    Tensors are on the processor, contiguous where nothing else is said, and not checked: callers own their buffers.

    Parameters
    ----------
    path : Path
        The library.

    Attributes
    ----------
    most_threads : int
        Threads that a call may ask for.
    """

    most_threads = _MOST_THREADS

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        self._norm_gelu = {}
        for dtype, suffix in _SUFFIXES.items():
            function = getattr(library, f"norm_gelu_{suffix}")
            function.argtypes = [*4 * [_POINTER], _FLOAT, *4 * [_LONG], _INT, _INT, _POINTER]
            function.restype = None
            self._norm_gelu[dtype] = function
        self._tiles, self._map = library.winograd_tiles_fp32, library.winograd_map_fp32
        self._tiles.argtypes = [_POINTER, _POINTER, *5 * [_LONG], _INT]
        self._map.argtypes = [_POINTER, _POINTER, *5 * [_LONG], _INT, _INT]
        self._tiles.restype = self._map.restype = None

    @staticmethod
    def moments(channels: int) -> int:
        """Count the doubles of the memory that ``norm_gelu`` works in."""
        return (2 * _MOST_THREADS + 1) * channels

    def norm_gelu(
        self, x: Tensor, y: Tensor, norm: tuple[Tensor, Tensor], moments: Tensor, *, is_folded: bool, threads: int
    ) -> None:
        """Put ``gelu(instance_norm(x))`` into ``y``, which may be ``x``.

        Parameters
        ----------
        x : Tensor of float32 or bfloat16, shape (time, frequency, channels)
        y : Tensor of the same type
            The same shape, its pixels apart by any stride; or (time / 2, frequency / 2, 4 * channels) if ``is_folded``,
            with the four neighbours of each pixel, time before frequency.
        norm : tuple of Tensor
            Gains and offsets, float32.
        moments : Tensor of float64
            At least ``moments(channels)``; overwritten.
        """
        times, frequencies, channels = x.shape
        self._norm_gelu[x.dtype](
            x.data_ptr(),
            y.data_ptr(),
            norm[0].data_ptr(),
            norm[1].data_ptr(),
            _EPSILON,
            times * frequencies,
            channels,
            frequencies,
            y.stride(1),
            is_folded,
            threads,
            moments.data_ptr(),
        )

    def winograd_tiles(self, x: Tensor, tiles: Tensor, first: int, threads: int) -> None:
        """Transform tiles of the map ``x``, from number ``first`` on, into ``tiles`` (36, count, channels)."""
        height, width, channels = x.shape
        self._tiles(x.data_ptr(), tiles.data_ptr(), height, width, channels, first, tiles.shape[1], threads)

    def winograd_map(self, products: Tensor, y: Tensor, first: int, *, is_added: bool, threads: int) -> None:
        """Transform ``products`` (36, count, channels) back into tiles of ``y``, or add them there."""
        height, width, channels = y.shape
        self._map(
            products.data_ptr(), y.data_ptr(), height, width, channels, first, products.shape[1], is_added, threads
        )


@functools.cache
def _load() -> tuple[Kernels | None, str]:
    try:
        path = built_library()
        try:
            return Kernels(path), ""
        except (OSError, AttributeError):
            # Cut short, or of another kind: once more.
            path.unlink(missing_ok=True)
            return Kernels(built_library()), ""
    except BuildError as error:
        return None, str(error)
    except (OSError, AttributeError) as error:
        cause = " ".join(str(error).split())
        return None, f"the fused steps cannot be loaded ({cause}): name a folder for programs with STEMSTREAM_CACHE"


def load_kernels() -> Kernels | None:
    """Give the kernels of this machine, compiled when they are first asked for; None where they cannot be."""
    return _load()[0]


def why_no_kernels() -> str:
    """Say why there are none, and the remedy; empty where there are."""
    return _load()[1]
