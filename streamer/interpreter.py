"""What the interpreter does to audio, and the settings that keep it from that while sound is live."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from engine.errors import ConfigurationError

__all__ = ["SWITCH_INTERVAL_S", "calm_interpreter"]

SWITCH_INTERVAL_S = 0.0005
"""A thread that runs Python gives the interpreter up to a waiting one after so long; Python's own value, 5 ms, is the
length of a block."""


_MAX_INTERVAL_S = 1.0


@dataclass
class _Calm:
    """What all who are calm at the moment have in common; changed under its lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    hurried: int = 0
    frozen: int = 0
    interval_s: float = 0.0
    was_frozen: bool = False


_CALM = _Calm()


def calm_interpreter(
    switch_interval_s: float | None = SWITCH_INTERVAL_S, *, freezes: bool = True
) -> AbstractContextManager[None]:
    """Keep other Python threads and the garbage collector from holding up the sound, and put everything back.

    Parameters
    ----------
    switch_interval_s : float, optional
        For ``sys.setswitchinterval``, up to 1; None leaves it as it is. It holds for the whole process.
    freezes : bool
        Take what exists now out of the garbage collector's sight, as ``gc.freeze`` does: a full collection of a large
        heap stops every thread for a tenth of a second and more. Objects made later are still collected.

    Raises
    ------
    ConfigurationError
        If the interval is none; at once, and not when the block begins.

    Notes
    -----
    Settings of a process, not of a thread. Where several overlap, the shortest interval holds, the first to begin keeps
    what there was before, and the last to end puts it back.
    """
    is_number = isinstance(switch_interval_s, int | float) and not isinstance(switch_interval_s, bool)
    if switch_interval_s is not None and not (is_number and 0 < switch_interval_s <= _MAX_INTERVAL_S):
        raise ConfigurationError(
            f"switch_interval_s={switch_interval_s!r} is no interval: give seconds above 0 and up to "
            f"{_MAX_INTERVAL_S:g}, or None to leave it as it is"
        )
    return _calm(switch_interval_s, freezes)


@contextmanager
def _calm(switch_interval_s: float | None, freezes: bool) -> Iterator[None]:
    with ExitStack() as exits:
        if switch_interval_s is not None:
            _hurry(switch_interval_s)
            exits.callback(_slow_down)
        if freezes:
            _freeze()
            exits.callback(_thaw)
        yield


def _hurry(interval_s: float) -> None:
    with _CALM.lock:
        before_s = sys.getswitchinterval()
        sys.setswitchinterval(min(interval_s, before_s) if _CALM.hurried else interval_s)
        if not _CALM.hurried:
            _CALM.interval_s = before_s
        _CALM.hurried += 1


def _slow_down() -> None:
    with _CALM.lock:
        _CALM.hurried -= 1
        if not _CALM.hurried:
            sys.setswitchinterval(_CALM.interval_s)


def _freeze() -> None:
    with _CALM.lock:
        if not _CALM.frozen:
            _CALM.was_frozen = gc.get_freeze_count() > 0
        _CALM.frozen += 1
        gc.collect()
        gc.freeze()


def _thaw() -> None:
    with _CALM.lock:
        _CALM.frozen -= 1
        if not (_CALM.frozen or _CALM.was_frozen):
            gc.unfreeze()
