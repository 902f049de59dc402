"""How far the stems that one row kept are from those of another, or from the truth."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from engine.metrics import StemScore

__all__ = ["kept_sdr_db", "worst_db"]


def kept_sdr_db(truth: str, estimate: str) -> tuple[float, ...]:
    """Give the SDR in dB of each stem.

    Parameters
    ----------
    truth, estimate : str
        ``.npy`` files of shape (stems, channels, frames), or (windows, stems, channels, frames).

    Returns
    -------
    tuple of float
        Not a number for silence; nothing where a file is missing.
    """
    if not (Path(truth).is_file() and Path(estimate).is_file()):
        return ()
    wanted, given = (np.load(path, mmap_mode="r") for path in (truth, estimate))
    if wanted.ndim == 3:
        wanted, given = wanted[None], given[None]
    scores = [StemScore() for _ in range(wanted.shape[1])]
    for true, made in zip(wanted, given, strict=False):
        for score, one, other in zip(scores, true, made, strict=True):
            frames = min(one.shape[-1], other.shape[-1])
            score.add(one[:, :frames], other[:, :frames])
    return tuple(score.sdr_db for score in scores)


def worst_db(truth: str, estimate: str) -> float:
    """Give the lowest SDR of any stem that has sound; NaN where there is none."""
    return min((each for each in kept_sdr_db(truth, estimate) if not math.isnan(each)), default=math.nan)
