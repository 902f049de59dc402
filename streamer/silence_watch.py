"""Whether an input gives any sound at all: a microphone that may not be used gives zeros, and no error."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["SILENCE_S", "SilenceWatch"]

SILENCE_S = 3.0
"""The noise of a real input is never exactly zero for so long."""


class SilenceWatch:
    """Notices an input that has given nothing but digital silence since it began.

    Parameters
    ----------
    limit_frames : int
        How much of it is suspicious.

    Attributes
    ----------
    has_heard : bool
        Anything else has come; from then on nothing is looked at.
    """

    def __init__(self, limit_frames: int) -> None:
        self.has_heard = False
        self._left = limit_frames

    def hear(self, block: npt.NDArray[np.float32]) -> bool:
        """Take a block; True once, when the limit is reached. Allocates no array."""
        if self.has_heard or self._left <= 0:
            return False
        if np.count_nonzero(block):
            self.has_heard = True
            return False
        self._left -= block.shape[-1]
        return self._left <= 0
