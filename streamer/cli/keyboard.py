"""Keys as they are pressed, without Enter and without being shown, where standard input is a terminal."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Keyboard"]

_ESCAPES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1bOC": "right",
    "\x1bOD": "left",
    " ": "space",
}
_BEGUN = ("\x1b[", "\x1bO", "\x1b")
"""What the rest of an arrow may follow, over a slow connection."""
_WINDOWS_ARROWS = {"H": "up", "P": "down", "M": "right", "K": "left"}
_READ_BYTES = 1024


class Keyboard:
    """Gives keys in a ``with`` block; none where standard input is no terminal, so a program can always ask.

    Ctrl-C stays Ctrl-C. In the background there are no keys; after ``fg`` they work again, and at the end the terminal
    is as it was.
    """

    def __init__(self) -> None:
        self._descriptor = -1
        self._settings: Any = None
        self._continued: Any = None
        self._begun = ""

    @property
    def is_there(self) -> bool:
        """Whether keys can come."""
        return self._settings is not None

    def __enter__(self) -> Self:
        if sys.stdin is None or not sys.stdin.isatty():
            return self
        if sys.platform == "win32":
            self._settings = True
            return self
        import termios

        self._descriptor = sys.stdin.fileno()
        self._settings = termios.tcgetattr(self._descriptor)
        self._set_raw()
        try:
            self._continued = signal.signal(signal.SIGCONT, self._set_raw)
        except ValueError:
            # Only the main thread may; elsewhere Ctrl-Z costs the keys.
            self._continued = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._settings is None or sys.platform == "win32":
            return
        import termios

        if self._continued is not None:
            signal.signal(signal.SIGCONT, self._continued)
        # A terminal that went away has no settings any more.
        with suppress(termios.error):
            if self._is_ours():
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._settings)
        self._settings = None

    def pressed(self) -> Sequence[str]:
        """Give the keys since the last call: characters, and ``up``, ``down``, ``left``, ``right``, ``space``."""
        if self._settings is None:
            return ()
        if sys.platform == "win32":
            return _pressed_on_windows()
        return self._pressed() if self._is_ours() else ()

    def _pressed(self) -> Sequence[str]:
        text = self._begun
        while select.select([self._descriptor], [], [], 0)[0]:
            read = os.read(self._descriptor, _READ_BYTES)
            if not read:
                break
            text += read.decode(errors="ignore")
        self._begun = next((begun for begun in _BEGUN if text.endswith(begun)), "")
        return _keys_in(text.removesuffix(self._begun))

    def _is_ours(self) -> bool:
        """Whether this job may use the terminal: the system stops one in the background that does."""
        if sys.platform == "win32":
            return True
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            # One that does not control this job cannot stop it either.
            return True

    def _set_raw(self, number: int = 0, frame: FrameType | None = None) -> None:
        if sys.platform != "win32" and self._is_ours():
            import termios
            import tty

            tty.setcbreak(self._descriptor, termios.TCSANOW)


def _keys_in(text: str) -> list[str]:
    """Take a terminal's text apart: an arrow is an escape and two characters."""
    keys = []
    while text:
        n = 3 if text[:3] in _ESCAPES else 1
        key, text = text[:n], text[n:]
        keys.append(_ESCAPES.get(key, key))
    return keys


def _pressed_on_windows() -> Sequence[str]:
    keys: list[str] = []
    if sys.platform == "win32":
        import msvcrt

        while msvcrt.kbhit():
            key = msvcrt.getwch()
            if key == "\x03":
                raise KeyboardInterrupt
            if key in ("\x00", "\xe0"):
                arrow = _WINDOWS_ARROWS.get(msvcrt.getwch())
                keys += [arrow] if arrow else []
            else:
                keys.append(_ESCAPES.get(key, key))
    return keys
