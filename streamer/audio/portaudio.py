"""PortAudio in this process: loading it, listing anew what is there, and letting go of streams that hang."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.errors import DeviceError, DeviceLostError, LifecycleError

__all__ = ["close_apart", "library", "mixer_library", "refresh", "stream_closed", "stream_opened"]

_INSTALL = "run pip install 'stemstream[live]'"


@dataclass
class _Use:
    """What this process does with PortAudio; guarded by ``_lock``."""

    open_streams: int = 0
    is_stuck: bool = False


_use = _Use()
_lock = threading.Lock()


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
    return sounddevice


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


def refresh() -> None:
    """Let PortAudio look for devices anew; it lists what was there when it started. Any thread.

    Raises
    ------
    LifecycleError
        If a stream is open.
    DeviceError
        If PortAudio cannot be started again; DeviceLostError if it never will in this process.
    """
    sounddevice = library()
    with _lock:
        if _use.is_stuck:
            raise DeviceLostError(
                "PortAudio cannot be started again in this process, since an audio server died under it: "
                "leave the program and start it again"
            )
        if _use.open_streams:
            raise LifecycleError(f"{_use.open_streams} audio stream(s) are open: close them before looking for devices")
        try:
            sounddevice._terminate()
            sounddevice._initialize()
        except sounddevice.PortAudioError as error:
            raise DeviceError(f"PortAudio cannot be started again ({error}): leave the program and start it") from error


def stream_opened() -> None:
    """Take note of a stream; any thread."""
    with _lock:
        _use.open_streams += 1


def stream_closed() -> None:
    """Take note that a stream is closed; any thread."""
    with _lock:
        _use.open_streams -= 1


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
    errors: list[Exception] = []

    def run() -> None:
        try:
            close()
        except Exception as error:  # the outermost place of this thread; the stream is of no use any more
            errors.append(error)

    thread = threading.Thread(target=run, name="stemstream-close", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        with _lock:
            _use.is_stuck = True
        atexit.unregister(library()._exit_handler)
        return False
    return True
