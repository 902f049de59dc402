"""How a recording is fed: in turn with taking what is separated, or beside it on a thread of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator
from types import TracebackType

from engine.recording import Recording
from engine.separator import F32

__all__ = ["fed_beside", "fed_in_turn"]


def fed_in_turn(
    pieces: Generator[F32, None, None], track: Recording, is_cancelled: Callable[[], bool]
) -> Generator[None, None, None]:
    """Feed a recording on the thread that drains it.

    Parameters
    ----------
    pieces : generator of ndarray of float32, each (channels, n)
        At the model's rate; run and closed here.
    track : Recording
        What it is to be fed to.
    is_cancelled : callable
        Whether to stop waiting, for the caller to see to it.

    Yields
    ------
    None
        Whenever there may be something to drain, or to tell, until all was drained.

    Raises
    ------
    ModelError
        If the model failed. Errors of the pieces pass through.
    """
    with contextlib.closing(pieces):
        for piece in pieces:
            done = 0
            while done < piece.shape[1] and not track.is_complete:
                taken = track.feed(piece[:, done:])
                done += taken
                if not taken:
                    track.await_ready(is_cancelled)
                yield
            if track.is_complete:
                return
    track.end()
    while not track.is_complete:
        track.await_ready(is_cancelled)
        yield


def fed_beside(
    pieces: Generator[F32, None, None], track: Recording, is_cancelled: Callable[[], bool]
) -> Generator[None, None, None]:
    """Feed a recording on a thread of its own, so that what brings it goes on while others work.

    Three threads have a part of the separation each: this one reads and converts, the worker runs the model and adds
    up, and the one that drains converts back, encodes and writes. Between them lie the recording's rings, which hold a
    bounded number of frames; whoever is ahead waits. When this generator ends or is closed, the thread is gone.

    Parameters, what it yields and what it raises are those of ``fed_in_turn``; the pieces are run and closed on that
    thread.
    """
    with _Feeder(pieces, track) as feeder:
        while not track.is_complete:
            track.await_ready(lambda: feeder.has_failed or is_cancelled())
            feeder.check()
            yield


class _Feeder:
    """The thread of ``fed_beside``, which runs within a ``with`` block."""

    def __init__(self, pieces: Generator[F32, None, None], track: Recording) -> None:
        self._pieces = pieces
        self._track = track
        self._is_stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._feed, name="stemstream-feeder", daemon=True)

    @property
    def has_failed(self) -> bool:
        return self._error is not None

    def check(self) -> None:
        if self._error is None:
            return
        # Its traceback leads to this object.
        error, self._error = self._error, None
        try:
            raise error
        finally:
            del error

    def __enter__(self) -> _Feeder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_stopped = True
        self._track.nudge()
        self._thread.join()

    def _feed(self) -> None:
        try:
            with contextlib.closing(self._pieces):
                for piece in self._pieces:
                    if not self._feed_piece(piece):
                        return
            self._track.end()
        except BaseException as error:
            self._error = error
            self._track.nudge()

    def _feed_piece(self, piece: F32) -> bool:
        """Feed all of a piece; False where nobody wants it any more."""
        done = 0
        while done < piece.shape[1]:
            if self._is_stopped or not self._track.await_room(lambda: self._is_stopped):
                return False
            done += self._track.feed(piece[:, done:])
        return True
