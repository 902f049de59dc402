"""Sitting at a player: keys, the status line, and what happens, until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.errors import StemstreamError
from streamer.cli.keyboard import Keyboard
from streamer.cli.live_status import StatusLine, strips_text
from streamer.cli.play_keys import KEYS_HELP, PlayerKeys
from streamer.cli.play_status import status_text
from streamer.cli.terminal import print_note, print_warning

if TYPE_CHECKING:
    from streamer.events import Event
    from streamer.player import Player

__all__ = ["PlayDesk"]

_LOOK_S = 0.05
_STATUS_S = 0.25
_NOTES = ("track", "caught up", "saved", "returned", "ended")


class PlayDesk:
    """Runs a player from the keyboard.

    Parameters
    ----------
    player : Player

    Attributes
    ----------
    events : list of Event
        All there were.
    has_skipped : bool
        A song could not be played, or not to its end.
    """

    def __init__(self, player: Player) -> None:
        self.events: list[Event] = []
        self.has_skipped = False
        self._player = player
        self._keys = PlayerKeys()
        self._status = StatusLine()

    def run(self, check: Callable[[], None]) -> None:
        """Wait until nothing is left to play, or for the key q; ``check`` raises KeyboardInterrupt after Ctrl-C."""
        shown_at = 0.0
        with Keyboard() as keyboard, self._status:
            if keyboard.is_there:
                print_note(KEYS_HELP)
            while not self._player.wait(_LOOK_S):
                check()
                self.tell_events()
                keys = keyboard.pressed()
                for key in keys:
                    if key in ("q", "Q"):
                        return
                    self._press(key)
                now = time.monotonic()
                if keys or now - shown_at >= _STATUS_S:
                    shown_at = now
                    self._show()

    def tell_events(self) -> None:
        """Print what happened since the last call."""
        for event in self._player.events():
            self.events.append(event)
            self.has_skipped = self.has_skipped or event.kind == "skipped"
            self._status.clear()
            (print_note if event.kind in _NOTES else print_warning)(event.text)

    def _press(self, key: str) -> None:
        if key in ("h", "H", "?"):
            self._status.clear()
            print_note(KEYS_HELP)
            return
        try:
            self._keys.press(key, self._player)
        except StemstreamError as refusal:
            self._status.clear()
            print_warning(str(refusal))

    def _show(self) -> None:
        if self._status.is_shown:
            mixer = self._player.mixer
            chosen = self._keys.mixer.chosen % len(mixer)
            self._status.show(f"{status_text(self._player.stats())} | {strips_text(mixer, chosen)}")
