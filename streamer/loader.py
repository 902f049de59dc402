"""Opens what is heard next and reads ahead of the play head, so that whoever plays never waits for a file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from engine.errors import AudioFileError
from streamer.events import Event, EventLog
from streamer.orders import Order, Orders
from streamer.play_head import Cue, Run
from streamer.playlist import Playlist
from streamer.shelf import Shelf
from streamer.slot import Slot
from streamer.track import Track
from streamer.voice import Voice

__all__ = ["Loader", "next_cue"]

_AHEAD_S = 15.0
"""How long before it is heard the next track is opened."""


class Loader:
    """Gives the voices that are heard next. One thread calls ``load``, another one takes the voices.

    Parameters
    ----------
    playlist : Playlist
    shelf : Shelf
    orders : Orders
    make : callable
        Makes the voice of a track from a place on.
    events : EventLog

    Attributes
    ----------
    ordered : Slot of tuple of int and Voice
        What was ordered and the number of the order.
    following : Slot of Voice
        What comes behind what is heard by itself.
    has_nothing : bool
        What was ordered cannot be played, nor anything else.
    """

    def __init__(
        self,
        playlist: Playlist,
        shelf: Shelf,
        orders: Orders,
        make: Callable[[Track, Cue], Voice],
        events: EventLog,
    ) -> None:
        self._playlist, self._shelf, self._orders, self._make, self._events = playlist, shelf, orders, make, events
        self.ordered: Slot[tuple[int, Voice]] = Slot()
        self.following: Slot[Voice] = Slot()
        self.has_nothing = False
        self._retired: deque[Voice] = deque()

    def retire(self, voice: Voice) -> None:
        """Close a voice that is no longer heard, in time; any thread."""
        self._retired.append(voice)

    def load(self, voice: Voice | None, run: Run, *, waits: bool = False) -> bool:
        """Open what was ordered and what comes next, and read ahead; False if nothing was due.

        Parameters
        ----------
        voice : Voice or None
            What is heard.
        run : Run
            How far it goes.
        waits : bool
            As for `Voice.load`.
        """
        has_done = False
        while self._retired:
            self._close(self._retired.popleft())
        order, ordered = self._orders.newest, self.ordered.peek()
        if order is not None and (ordered is None or ordered[0] != order.number):
            if (old := self.ordered.take()) is not None:
                self._close(old[1])
            self._open_ordered(order, voice)
            has_done = True
        if voice is not None and order is None:
            has_done = self._open_following(voice, run) or has_done
        ordered = self.ordered.peek()
        for each in (ordered[1] if ordered is not None else None, voice, self.following.peek()):
            if each is not None:
                has_done = self._load(each, waits) or has_done
        return has_done

    def close(self) -> None:
        """Close every voice; nobody takes one any more."""
        ordered = self.ordered.take()
        for voice in (*self._retired, self.following.take(), None if ordered is None else ordered[1]):
            if voice is not None:
                self._close(voice)

    def _close(self, voice: Voice) -> None:
        voice.close()
        self._shelf.release(voice.track)

    def _open_ordered(self, order: Order, heard: Voice | None) -> None:
        voice = self._opened(order.cue)
        if voice is not None:
            self.ordered.put((order.number, voice))
            return
        track = order.cue.track
        other = self._playlist.before(track) if order.step < 0 else None
        other = self._playlist.after(track) if other is None else other
        if other is not None:
            self._orders.redirect(order, Cue(other, 0))
        else:
            self._orders.done(order.number)
            self.has_nothing = heard is None

    def _open_following(self, voice: Voice, run: Run) -> bool:
        cue, following = next_cue(voice, run, self._orders, self._playlist), self.following.peek()
        if following is not None and following.cue != cue:
            # Whoever reads may have taken it meanwhile.
            following = self.following.take()
            if following is not None:
                self._retired.append(following)
            following = None
        if cue is None or following is not None or run.end - voice.place > _AHEAD_S * voice.track.sample_rate:
            return False
        opened = self._opened(cue)
        if opened is not None:
            self.following.put(opened)
        return True

    def _opened(self, cue: Cue) -> Voice | None:
        try:
            track = self._shelf.open(cue.track)
        except AudioFileError as error:
            self._leave_out(cue.track, error)
            return None
        voice = self._make(track, Cue(cue.track, min(cue.frame, track.frames)))
        self._load(voice)
        return voice

    def _load(self, voice: Voice, waits: bool = False) -> bool:
        try:
            return voice.load(waits=waits)
        except AudioFileError as error:
            if not voice.is_broken:
                voice.is_broken = True
                self._leave_out(voice.cue.track, error)
            return False

    def _leave_out(self, track: int, error: Exception) -> None:
        self._playlist.leave_out(track)
        self._events.add(Event("skipped", 0, f"skipped: {error}"))


def next_cue(voice: Voice, run: Run, orders: Orders, playlist: Playlist) -> Cue | None:
    """Give the place that follows what is heard by itself; None behind the last track."""
    track = voice.cue.track
    loop = orders.loop_of(track)
    if loop is not None and run.loops and run.natural_end == loop.end and not voice.is_broken:
        return Cue(track, loop.begin)
    following = playlist.after(track)
    return None if following is None else Cue(following, 0)
