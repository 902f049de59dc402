"""Ctrl-C, heard where it can do no harm."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

__all__ = ["Interruption"]


class Interruption:
    """Keeps the first Ctrl-C until ``check`` or the end of the ``with`` block, which raise KeyboardInterrupt.

    An exception that rises inside a library's call back into Python would be printed and lost, and one between two
    renames would leave half of the files. A second Ctrl-C is raised at once. Where Ctrl-C is not Python's own, as
    under ``nohup`` or outside the main thread, nothing changes.
    """

    def __init__(self) -> None:
        self._is_noted = False
        self._is_ours = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self._is_noted:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.check()
        self._is_noted = True

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        self._is_ours = is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._is_ours:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if kind is None:
            self.check()
