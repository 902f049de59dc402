"""A recording on its way to the model: checked, finite, at the model's rate, and counted."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import BlockError
from engine.files.rate_converter import RateConverter
from engine.separator import F32
from engine.way_back import WayBack

__all__ = ["SeparationCounters", "check_audio", "heard_pieces"]


@dataclass
class SeparationCounters:
    """What happened on the way; filled while a separation runs.

    Attributes
    ----------
    frames : int
        Input frames taken, at the input's rate.
    non_finite_samples : int
        Input samples replaced by silence.
    windows : int
        Windows the model ran.
    silent_windows : int
        Windows of digital silence that need not be run, for the model had been asked before.
    batch_size : int
        The most windows a run of the model in the end; 0 where none was run.
    halved_from : int
        The most windows a run before memory ran out; 0 where it did not.
    """

    frames: int = 0
    non_finite_samples: int = 0
    windows: int = 0
    silent_windows: int = 0
    batch_size: int = 0
    halved_from: int = 0


def check_audio(audio: npt.NDArray[Any]) -> None:
    """Refuse what is not an array (1 or 2 channels, frames) of floats."""
    if not isinstance(audio, np.ndarray) or audio.ndim != 2 or audio.shape[0] not in (1, 2):
        raise BlockError(
            f"audio must be an array of shape (1 or 2 channels, frames), not {type(audio).__name__} of shape "
            f"{getattr(audio, 'shape', None)}: transpose it or mix it down"
        )
    if audio.dtype.kind != "f":
        raise BlockError(f"audio must hold floats, not {audio.dtype}: divide integers by their full scale first")


def heard_pieces(
    blocks: Iterable[npt.NDArray[Any]],
    into_model: RateConverter,
    way_back: WayBack | None,
    counters: SeparationCounters,
    stop_frame: int | None,
) -> Generator[F32, None, None]:
    """Bring blocks to what the model hears."""
    make_finite = _Finite(counters, stop_frame)
    for block in blocks:
        heard = make_finite(block)
        if way_back is not None:
            way_back.hear(heard)
        yield into_model.process(heard)
    yield into_model.flush()


class _Finite:
    """Gives blocks as float32 with silence for samples that are not finite, and counts what was asked for."""

    def __init__(self, counters: SeparationCounters, stop_frame: int | None) -> None:
        self._counters = counters
        self._stop = math.inf if stop_frame is None else stop_frame
        self._flags = np.zeros((0, 0), np.bool_)

    def __call__(self, block: npt.NDArray[Any]) -> F32:
        check_audio(block)
        with np.errstate(over="ignore"):
            heard = np.asarray(block, np.float32)
        channels, n = heard.shape
        if self._flags.shape[0] != channels or self._flags.shape[1] < n:
            self._flags = np.zeros((channels, n), np.bool_)
        finite = np.isfinite(heard, out=self._flags[:, :n])
        counters = self._counters
        asked = int(max(0, min(n, self._stop - counters.frames)))
        counters.frames += n
        if finite.all():
            return heard
        counters.non_finite_samples += int(np.count_nonzero(~finite[:, :asked]))
        return np.where(finite, heard, np.float32(0.0))
