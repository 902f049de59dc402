"""What the interpreter does to audio, and the settings that keep it from that while sound is live."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["SWITCH_INTERVAL_S", "calm_interpreter"]

SWITCH_INTERVAL_S = 0.0005
"""A thread that runs Python gives the interpreter up to a waiting one after so long; Python's own value, 5 ms, is the
length of a block."""


@contextmanager
def calm_interpreter(switch_interval_s: float | None = SWITCH_INTERVAL_S, *, freezes: bool = True) -> Iterator[None]:
    """Keep other Python threads and the garbage collector from holding up the sound, and put everything back.

    Parameters
    ----------
    switch_interval_s : float, optional
        For ``sys.setswitchinterval``; None leaves it as it is. It holds for the whole process.
    freezes : bool
        Take what exists now out of the garbage collector's sight, as ``gc.freeze`` does: a full collection of a large
        heap stops every thread for a tenth of a second and more. Objects made later are still collected.

    Notes
    -----
    Settings of a process, not of a thread: of two that overlap, the one that ends last puts its own values back.
    """
    interval, was_frozen = sys.getswitchinterval(), gc.get_freeze_count() > 0
    if switch_interval_s is not None:
        sys.setswitchinterval(switch_interval_s)
    if freezes:
        gc.collect()
        gc.freeze()
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        if freezes and not was_frozen:
            gc.unfreeze()
