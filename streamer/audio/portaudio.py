"""PortAudio in this process: loading it, listing anew what is there, and letting go of streams that hang."""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from engine.errors import DeviceError, DeviceLostError, LifecycleError

__all__ = ["close_apart", "library", "listing", "mixer_library", "refresh", "stream_closed", "stream_opened"]

_INSTALL = "run pip install 'stemstream[live]'"
_RESTART_S = 5.0
"""PortAudio asks every sound server when it starts; one that is there but does not answer holds it up for ever."""


@dataclass
class _Use:
    """What this process does with PortAudio; guarded by ``_turn``."""

    open_streams: int = 0
    listings: int = 0
    is_restarting: bool = False
    is_stuck: bool = False
    """A stream hangs, so PortAudio must not be stopped."""
    is_gone: bool = False
    """PortAudio hangs between its end and its next start, so nothing of it may be called."""


_use = _Use()
# Never held while PortAudio is called, since that may hang: who opens or lists is counted before, and who restarts
# is marked.
_turn = threading.Condition()


def library() -> Any:
    """Give the package sounddevice with PortAudio started; any thread.

    Raises
    ------
    DeviceError
        If a part is missing; the message says how to install it.
    """
    # Looking for devices must not start a server.
    os.environ.setdefault("JACK_NO_START_SERVER", "1")
    try:
        import sounddevice
    except ImportError as error:
        raise DeviceError(f"sound devices need the package sounddevice, which is not installed: {_INSTALL}") from error
    except OSError as error:
        remedy = "run apt install libportaudio2" if sys.platform == "linux" else "run pip install -U sounddevice"
        raise DeviceError(f"sound devices need the library PortAudio, which was not found: {remedy}") from error
    _outlive(sounddevice)
    return sounddevice


@functools.cache
def _outlive(sounddevice: ModuleType) -> None:
    """Leave PortAudio as it is when the process ends, and keep it and the servers' libraries in memory until then.

    JACK's library waits for ever for a server that has dropped this process, as it does after a stop of some seconds,
    when PortAudio is ended; and a thread of its own may still run when the interpreter unloads it, and crashes. The
    system lets go of all there is. On other systems a driver may have to be told, so PortAudio is ended there.
    """
    if sys.platform == "linux" and hasattr(sounddevice, "_libname"):
        atexit.unregister(sounddevice._exit_handler)
        # A name that sounddevice resolved in a way of its own: it works as before, only its end is less safe.
        with suppress(OSError):
            ctypes.CDLL(sounddevice._libname, mode=os.RTLD_NOW | os.RTLD_NODELETE)


def mixer_library() -> Any:
    """Give the package rtmixer; any thread.

    Raises
    ------
    DeviceError
        If it is not installed or does not run here.
    """
    library()
    try:
        import rtmixer
    except (ImportError, OSError) as error:
        raise DeviceError(f"the package rtmixer is missing or does not run here ({error}): {_INSTALL}") from error
    return rtmixer


def refresh(timeout_s: float = _RESTART_S) -> None:
    """Let PortAudio look for devices anew; it lists what was there when it started. Any thread.

    Parameters
    ----------
    timeout_s : float
        PortAudio that is not back by then is left behind, and of no more use to this process.

    Raises
    ------
    LifecycleError
        If a stream is open, or another thread looks for devices.
    DeviceError
        If PortAudio cannot be started again; DeviceLostError if it never will in this process.
    """
    sounddevice = library()
    with _turn:
        _check_alive()
        if _use.is_stuck:
            raise DeviceLostError(
                "PortAudio cannot be started again in this process, since an audio server died under it: "
                "leave the program and start it again"
            )
        if _use.open_streams:
            raise LifecycleError(f"{_use.open_streams} audio stream(s) are open: close them before looking for devices")
        if _use.listings or _use.is_restarting:
            raise LifecycleError("another thread looks for devices: try again when it has")
        _use.is_restarting = True

    def restart() -> None:
        sounddevice._terminate()
        sounddevice._initialize()

    error, is_done = None, False
    try:
        is_done, error = _apart(restart, timeout_s)
    finally:
        with _turn:
            _use.is_restarting = False
            _use.is_gone = not is_done
            _turn.notify_all()
    if not is_done:
        atexit.unregister(sounddevice._exit_handler)
        with _turn:
            _check_alive()
    if isinstance(error, sounddevice.PortAudioError):
        raise DeviceError(f"PortAudio cannot be started again ({error}): leave the program and start it") from error
    if error is not None:
        raise error


def stream_opened() -> None:
    """Take note of a stream, before it is made; any thread. Waits while PortAudio is started again.

    Raises
    ------
    DeviceLostError
        If PortAudio is of no more use in this process.
    """
    with _turn:
        _turn.wait_for(lambda: not _use.is_restarting)
        _check_alive()
        _use.open_streams += 1


def stream_closed() -> None:
    """Take note that a stream is closed, or was not made; any thread."""
    with _turn:
        _use.open_streams -= 1


@contextmanager
def listing() -> Iterator[None]:
    """Keep PortAudio from being started again while its devices are looked at; any thread, raises as above."""
    with _turn:
        _turn.wait_for(lambda: not _use.is_restarting)
        _check_alive()
        _use.listings += 1
    try:
        yield
    finally:
        with _turn:
            _use.listings -= 1


def _check_alive() -> None:
    if _use.is_gone:
        raise DeviceLostError(
            "PortAudio hangs, since a sound server does not answer: leave the program and start it again"
        )


def close_apart(close: Callable[[], object], timeout_s: float) -> bool:
    """Close a stream in a thread of its own, which is left behind where it hangs.

    A JACK server that dies leaves its clients' streams in that state. PortAudio would then end the whole process when
    it is stopped, so from there on it is not.

    Parameters
    ----------
    close : callable
    timeout_s : float

    Returns
    -------
    bool
        Whether it returned in time; an error that it raised counts as closed.
    """
    is_done, _ = _apart(close, timeout_s)
    if not is_done:
        with _turn:
            _use.is_stuck = True
        atexit.unregister(library()._exit_handler)
    return is_done


def _apart(call: Callable[[], object], timeout_s: float) -> tuple[bool, Exception | None]:
    """Call in a thread of its own; gives whether it returned in time, and the error that it raised."""
    errors: list[Exception] = []

    def run() -> None:
        try:
            call()
        except Exception as error:  # the outermost place of this thread: given to the one that waits
            errors.append(error)

    thread = threading.Thread(target=run, name="stemstream-portaudio", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return not thread.is_alive(), errors[0] if errors else None
