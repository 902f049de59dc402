"""Fewer channels out of more: what a loopback of a surround output has to be for a stereo model."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["downmix_matrix"]

_HALF_POWER = math.sqrt(0.5)
# Which of the loudspeakers goes to left and right, by the number of channels in the order of WAVEFORMATEXTENSIBLE:
# front left and right, centre, low frequencies, back left and right, side left and right.
_SIDES = {
    4: "LRlr",
    5: "LRClr",
    6: "LRC-lr",
    7: "LRC-Mlr",
    8: "LRC-lrlr",
}
_GAINS = {
    "L": (1.0, 0.0),
    "R": (0.0, 1.0),
    "C": (_HALF_POWER, _HALF_POWER),
    "M": (0.5, 0.5),
    "l": (_HALF_POWER, 0.0),
    "r": (0.0, _HALF_POWER),
    "-": (0.0, 0.0),
}


def downmix_matrix(source_channels: int, channels: int) -> npt.NDArray[np.float32] | None:
    """Give the gains that make ``channels`` out of ``source_channels``; None where nothing has to be done.

    Parameters
    ----------
    source_channels : int
        In the order of Windows' WAVEFORMATEXTENSIBLE.
    channels : int
        1 or 2.

    Returns
    -------
    ndarray of float32, shape (channels, source_channels)
        Centre and surround at -3 dB, low frequencies left out, after ITU-R BS.775; front left and right as they are,
        so that stereo on a surround output comes as it was played. One channel is the mean of two. Layouts that are
        not known give their first two channels.
    """
    if source_channels == channels:
        return None
    if source_channels == 1:
        return np.ones((channels, 1), np.float32)
    layout = _SIDES.get(source_channels, "LR".ljust(source_channels, "-"))
    stereo = np.array([_GAINS[place] for place in layout], np.float32).T
    return stereo if channels == 2 else stereo.mean(axis=0, keepdims=True)
