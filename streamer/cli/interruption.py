"""Ctrl-C and a request to end, heard where they can do no harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

__all__ = ["Interruption"]

_Handler = Callable[[int, FrameType | None], object] | signal.Handlers
_PLAIN: dict[signal.Signals, _Handler] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}
if hasattr(signal, "SIGHUP"):
    # A terminal that is closed sends it.
    _PLAIN[signal.SIGHUP] = signal.SIG_DFL


class Interruption:
    """Keeps the first Ctrl-C, SIGTERM or SIGHUP until ``check`` or the end of the block raises KeyboardInterrupt.

    An exception that rises inside a library's call back into Python would be printed and lost, and one between two
    renames would leave half of the files. A second one is raised at once. Where these signals are not Python's own, as
    under ``nohup`` or outside the main thread, nothing changes.
    """

    def __init__(self) -> None:
        self._is_noted = False
        self._kept: dict[signal.Signals, _Handler] = {}

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal came."""
        if self._is_noted:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.check()
        self._is_noted = True

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        for number, plain in _PLAIN.items():
            if is_main and signal.getsignal(number) is plain:
                self._kept[number] = plain
                signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, plain in self._kept.items():
            signal.signal(number, plain)
        if kind is None:
            self.check()
