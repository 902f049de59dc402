"""One process at a time: a lock that the system takes back from a process that died."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

__all__ = ["locked"]

_POLL_S = 0.2


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock file within a ``with`` block.

    The system ends the lock with the process, so none is ever stale. The file is removed afterwards.

    Parameters
    ----------
    path : Path
        The lock file, in a folder that exists.
    waiting : callable, optional
        Called again and again while another process, or another thread, has the lock. What it raises ends the wait.

    Raises
    ------
    OSError
        If the file cannot be made, or its file system knows no locks.
    """
    file = _taken(path)
    while file is None:
        if waiting is not None:
            waiting()
        time.sleep(_POLL_S)
        file = _taken(path)
    try:
        yield
    finally:
        # Removed while it is held: whoever opened it meanwhile finds that it is no longer the one in its place.
        with suppress(OSError):
            path.unlink()
        file.close()


def _taken(path: Path) -> IO[bytes] | None:
    file = path.open("ab")
    try:
        if _lock(file) and _is_in_place(file, path):
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def _is_in_place(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
