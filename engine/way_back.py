"""From the model's rate back to the input's, with nothing lost on the way."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt

from engine.files.rate_converter import RateConverter, converted_frames

__all__ = ["ModelExcerpt", "WayBack", "model_excerpt"]

F32 = npt.NDArray[np.float32]
# Longer than soxr HQ's filter on either side, in frames of the lower rate.
_FILTER_FRAMES = 4096


class ModelExcerpt:
    """Frames to separate so that some of the input's can be had: on the model's axis, and where they begin on its.

    Attributes
    ----------
    start : int
        First frame on the model's axis.
    stop : int or None
        The frame behind the last; None for all that there are.
    first_frame : int
        The frame of the input that lies exactly at ``start``.
    """

    def __init__(self, start: int, stop: int | None, first_frame: int) -> None:
        self.start = start
        self.stop = stop
        self.first_frame = first_frame


def model_excerpt(start: int, stop: int | None, sample_rate: int, model_rate: int) -> ModelExcerpt:
    """Give what to separate for the frames ``[start, stop)`` of an input: the same, and more where rates differ.

    A conversion that begins later than at frame 0 gives the same only if it begins where a frame of one rate lies
    upon one of the other, and behind the length of its filter.
    """
    if sample_rate == model_rate:
        return ModelExcerpt(start, stop, start)
    step = sample_rate // math.gcd(sample_rate, model_rate)
    margin = math.ceil(_FILTER_FRAMES * sample_rate / min(sample_rate, model_rate))
    first = max(0, start - margin) // step * step
    end = None if stop is None else converted_frames(stop + margin, sample_rate, model_rate)
    return ModelExcerpt(first * model_rate // sample_rate, end, first)


class WayBack:
    """Takes stems back to the input's rate; what two conversions took from the input goes to the residual stem.

    So stems that add up to what the model heard add up to the input. One thread calls ``hear``, which may be another
    than that of the rest; what it hears must be there before what is made of it.

    Parameters
    ----------
    stems, channels : int
    residual : int or None
        Place of the residual stem, where it is among them. Behind the stems then come, as one more, the frames
        that the model heard.
    with_rest : bool
        Give one more: what the stems leave of the input.
    model_rate, sample_rate : int
    first_frame : int
        Where the stems begin, on the input's axis.
    """

    def __init__(
        self,
        stems: int,
        channels: int,
        *,
        residual: int | None,
        with_rest: bool,
        model_rate: int,
        sample_rate: int,
        first_frame: int = 0,
    ) -> None:
        self._stems = stems
        self._channels = channels
        self._residual = residual
        self._with_rest = with_rest
        self._rows = stems + (residual is not None)
        self._converter = RateConverter(model_rate, sample_rate, self._rows * channels)
        self._keeps_heard = with_rest or residual is not None
        self._heard: deque[F32] = deque()
        self._heard_frames = self._taken_frames = 0
        self._unheard = first_frame
        self._given = first_frame

    def hear(self, block: F32) -> None:
        """Keep an input block, shape (channels, n), until its stems come."""
        before = min(self._unheard, block.shape[1])
        self._unheard -= before
        if self._keeps_heard and before < block.shape[1]:
            # A copy, for whoever reads may use one array for all blocks.
            self._heard.append(block[:, before:].copy())
            self._heard_frames += block.shape[1] - before

    def convert(self, part: F32) -> F32:
        """Convert stems, and the mixture behind them where there is a residual: shape (rows, channels, n)."""
        rows = np.ascontiguousarray(part.reshape(self._rows * self._channels, -1))
        return self._completed(self._converter.process(rows))

    def flush(self, end: int) -> F32:
        """Give the rest before frame ``end`` of the input."""
        missing = max(0, end - self._given)
        rest = self._converter.flush()[:, :missing]
        return self._completed(np.pad(rest, ((0, 0), (0, missing - rest.shape[1]))))

    def _completed(self, rows: F32) -> F32:
        n = rows.shape[1]
        if self._keeps_heard:
            n = min(n, self._heard_frames - self._taken_frames)
        part = rows[:, :n].reshape(self._rows, self._channels, n)
        self._given += n
        if not self._keeps_heard:
            return part
        heard = self._take(n)
        stems = part[: self._stems]
        if self._residual is not None:
            stems[self._residual] += heard - part[-1]
        if not self._with_rest:
            return stems
        return np.concatenate([stems, (heard - stems.sum(axis=0))[None]])

    def _take(self, n: int) -> F32:
        heard = np.empty((self._channels, n), np.float32)
        self._taken_frames += n
        done = 0
        while done < n:
            block = self._heard.popleft()
            taken = min(n - done, block.shape[1])
            heard[:, done : done + taken] = block[:, :taken]
            if taken < block.shape[1]:
                self._heard.appendleft(block[:, taken:])
            done += taken
        return heard
