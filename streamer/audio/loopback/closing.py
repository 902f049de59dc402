"""Letting go of a driver that may hang."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

__all__ = ["closed_in_time"]

_log = logging.getLogger("stemstream")


def closed_in_time(close: Callable[[], object], timeout_s: float) -> bool:
    """Call ``close`` in a thread of its own, which is left behind where it hangs; tells whether it returned in time.

    An error that it raises is logged and counts as closed.
    """

    def run() -> None:
        try:
            close()
        except Exception as error:  # the outermost place of this thread; the capture is of no use any more
            _log.warning("a loopback did not close in order: %s", error)

    thread = threading.Thread(target=run, name="stemstream-close", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return not thread.is_alive()
