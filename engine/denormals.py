"""Denormal numbers as zero, for one thread: a fade to silence must not cost more than music does."""

from __future__ import annotations

import ctypes
import platform
import sys
from types import TracebackType

__all__ = ["DenormalsAsZero"]

# Where the C library's ``fenv_t`` keeps the control word, and which bits of it flush: FTZ and DAZ, or FZ.
_CONTROL_WORDS = {"x86_64": (28, 0x8040), "aarch64": (0, 1 << 24)}
_FENV_BYTES = 64  # more than any fenv_t


class DenormalsAsZero:
    """Within a ``with`` block, arithmetic of the calling thread treats denormals as zero.

    The thread's own setting comes back at the end: nothing that a library is called for should change how its
    caller's arithmetic works. ONNX Runtime's own option does, and yet it reaches only the thread that creates a
    process's first session, and threads that this one starts later.

    Nothing is allocated on the way in or out, which takes about a microsecond together. An object serves one
    thread at a time and is not re-entrant; blocks of several objects may be nested.

    Attributes
    ----------
    supported : bool
        False where the platform is not known, and the block does nothing. Linux on x86-64 and ARM64 is.
    """

    def __init__(self) -> None:
        self.supported = _control is not None
        if _control is None:
            return
        self._library, offset, self._bits = _control
        self._kept = ctypes.create_string_buffer(_FENV_BYTES)
        self._flushing = ctypes.create_string_buffer(_FENV_BYTES)
        self._word = ctypes.c_uint32.from_buffer(self._flushing, offset)

    def __enter__(self) -> DenormalsAsZero:
        if self.supported:
            self._library.fegetenv(self._kept)
            self._library.fegetenv(self._flushing)
            self._word.value |= self._bits
            self._library.fesetenv(self._flushing)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.supported:
            self._library.fesetenv(self._kept)


def _find_control() -> tuple[ctypes.PyDLL, int, int] | None:
    if sys.platform != "linux" or platform.machine() not in _CONTROL_WORDS:
        return None
    try:
        # PyDLL keeps the interpreter lock: giving it up for some nanoseconds could cost the thread its turn.
        return (ctypes.PyDLL("libm.so.6"), *_CONTROL_WORDS[platform.machine()])
    except OSError:
        return None


_control = _find_control()
