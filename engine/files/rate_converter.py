"""Sample-rate conversion of files: soxr HQ, streamed, with lengths exact to the frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

from engine.errors import BlockError, ConfigurationError, LifecycleError

__all__ = ["RateConverter", "converted_frames"]

F32 = npt.NDArray[np.float32]


def converted_frames(frames: int, from_rate: int, to_rate: int) -> int:
    """Length after conversion: ``frames * to_rate / from_rate``, rounded to nearest, halves up."""
    return (2 * frames * to_rate + from_rate) // (2 * from_rate)


class RateConverter:
    """Convert one stream from one rate to another.

    Frame n of the input is heard at ``n * to_rate / from_rate`` of the output: soxr takes its own delay out again.
    Equal rates give back the very blocks that came in. An object belongs to one thread.

    Parameters
    ----------
    from_rate, to_rate : int
        In Hz, at least 1.
    channels : int
        Of every block.
    target_frames : int, optional
        What the output is cut or filled with zeros to, for instance the length before an earlier conversion, so
        that a round trip gives back every frame. Default: ``converted_frames`` of what came in, or with equal
        rates exactly what came in.

    Raises
    ------
    ConfigurationError
        If a rate or ``channels`` is less than 1, or ``target_frames`` is negative.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int, *, target_frames: int | None = None) -> None:
        for name, value in (("from_rate", from_rate), ("to_rate", to_rate), ("channels", channels)):
            if value < 1:
                raise ConfigurationError(f"{name} is {value}: it must be at least 1")
        if target_frames is not None and target_frames < 0:
            raise ConfigurationError(f"target_frames is {target_frames}: it must be 0 or more")
        self._from_rate = from_rate
        self._to_rate = to_rate
        self._channels = channels
        self._target_frames = target_frames
        self._frames_in = 0
        self._frames_out = 0
        self._is_flushed = False
        self._stream = (
            None
            if from_rate == to_rate
            else soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality="HQ")
        )

    def process(self, block: F32) -> F32:
        """Convert one block.

        Parameters
        ----------
        block : ndarray of float32, shape (channels, frames)

        Returns
        -------
        ndarray of float32, shape (channels, converted)
            What is ready so far, often of another length than the block and 0 at first.

        Raises
        ------
        BlockError
            If the block is not float32 ``(channels, frames)``.
        LifecycleError
            After ``flush``.
        """
        if self._is_flushed:
            raise LifecycleError("process after flush: use a new RateConverter for another stream")
        if block.ndim != 2 or block.shape[0] != self._channels or block.dtype != np.float32:
            raise BlockError(
                f"block is {block.dtype} of shape {block.shape}: it must be float32 of shape ({self._channels}, frames)"
            )
        self._frames_in += block.shape[1]
        if self._stream is None:
            return self._limited(block)
        if not block.shape[1]:
            return np.zeros((self._channels, 0), np.float32)
        # soxr's array is copied, for it may be reused by the next call.
        return self._limited(np.array(self._stream.resample_chunk(block.T).T, order="C"))

    def flush(self) -> F32:
        """End the stream and give the rest, so that the total is exact.

        Returns
        -------
        ndarray of float32, shape (channels, rest)

        Raises
        ------
        LifecycleError
            If called twice.
        """
        if self._is_flushed:
            raise LifecycleError("flush after flush: use a new RateConverter for another stream")
        self._is_flushed = True
        if self._target_frames is None:
            self._target_frames = converted_frames(self._frames_in, self._from_rate, self._to_rate)
        rest = np.zeros((self._channels, 0), np.float32)
        if self._stream is not None:
            last = self._stream.resample_chunk(np.zeros((0, self._channels), np.float32), last=True)
            rest = np.array(last.T, order="C")
        rest = self._limited(rest)
        missing = self._target_frames - self._frames_out
        self._frames_out = self._target_frames
        return np.pad(rest, ((0, 0), (0, missing))) if missing else rest

    def _limited(self, block: F32) -> F32:
        if self._target_frames is not None and self._frames_out + block.shape[1] > self._target_frames:
            block = block[:, : self._target_frames - self._frames_out]
        self._frames_out += block.shape[1]
        return block
