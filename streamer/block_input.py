"""What may come in as a block: refused with its reason before anything is taken, or made finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import BlockError

__all__ = ["BlockInput"]

F32 = npt.NDArray[np.float32]


class BlockInput:
    """Checks the blocks of one prepared stream and copies them into memory of its own.

    Parameters
    ----------
    stems, channels, max_block_frames : int
    fixed_blocks : bool
        Every block must have ``max_block_frames``.

    Attributes
    ----------
    non_finite_samples : int
        Samples replaced by silence so far.
    """

    def __init__(self, *, stems: int, channels: int, max_block_frames: int, fixed_blocks: bool) -> None:
        self._stems = stems
        self._channels = channels
        self._max_block = max_block_frames
        self._fixed = fixed_blocks
        self._staged = np.zeros((channels, max_block_frames), np.float32)
        self._finite = np.zeros((channels, max_block_frames), np.bool_)
        self.non_finite_samples = 0

    def check(self, block: npt.NDArray[Any], out: F32 | None) -> int:
        """Give the number of frames of a block that fits, with an ``out`` that fits.

        Raises
        ------
        BlockError
            If one does not; the message says what is allowed.
        """
        if not isinstance(block, np.ndarray) or block.ndim != 2 or block.shape[0] != self._channels:
            raise BlockError(
                f"a block must be an array of shape ({self._channels}, frames), not "
                f"{type(block).__name__} of shape {getattr(block, 'shape', None)}: transpose or reshape it"
            )
        if block.dtype.kind != "f":
            raise BlockError(f"a block must hold floats, not {block.dtype}: divide integers by their full scale first")
        frames: int = block.shape[1]
        if not 0 < frames <= self._max_block or (self._fixed and frames != self._max_block):
            allowed = f"exactly {self._max_block}" if self._fixed else f"1 to {self._max_block}"
            raise BlockError(f"a block of {frames} frames was given: {allowed} were prepared; call prepare for others")
        expected = (self._stems, self._channels, frames)
        if out is not None and not isinstance(out, np.ndarray):
            raise BlockError(f"out is a {type(out).__name__}: it must be an array of shape {expected} and float32")
        if out is not None and (out.shape != expected or out.dtype != np.float32):
            raise BlockError(f"out has shape {out.shape} and type {out.dtype}: it must be {expected} and float32")
        if out is not None and not out.flags.writeable:
            raise BlockError("out is read-only: give an array that can be written to")
        return frames

    def stage(self, block: npt.NDArray[Any]) -> F32:
        """Copy a block that was checked, with silence for samples that are not finite; valid until the next call."""
        staged = self._staged[:, : block.shape[1]]
        with np.errstate(over="ignore"):
            np.copyto(staged, block, casting="same_kind")
        finite = self._finite[:, : block.shape[1]]
        if not np.isfinite(staged, out=finite).all():
            self.non_finite_samples += finite.size - int(np.count_nonzero(finite))
            np.logical_not(finite, out=finite)
            np.copyto(staged, 0.0, where=finite)
        return staged

    def silence(self, frames: int) -> F32:
        """Give a block of silence; valid until the next call."""
        staged = self._staged[:, :frames]
        staged[...] = 0.0
        return staged
