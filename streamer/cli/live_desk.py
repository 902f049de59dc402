"""Sitting at a live session: keys, the status line, and what happens, until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.errors import DeviceError, StemstreamError
from streamer.cli.keyboard import Keyboard
from streamer.cli.live_keys import KEYS_HELP, MixerKeys
from streamer.cli.live_setup import OPERATING_POINTS, LiveChoice, LiveModels, choices_for
from streamer.cli.live_status import StatusLine, status_text, strips_text
from streamer.cli.terminal import print_note, print_warning

if TYPE_CHECKING:
    from streamer.events import Event
    from streamer.live import LiveSession

__all__ = ["Desk"]

_LOOK_S = 0.05
_STATUS_S = 0.25
_SILENCE = (
    "{text}: check that this program may use the microphone (the system's privacy settings), that the input is not "
    "muted, and that it is connected; choose another one with mic:NAME, or wait on with --allow-silence"
)


class Desk:
    """Runs a session from the keyboard.

    Parameters
    ----------
    session : LiveSession
        Started.
    choice : LiveChoice
        The operating point to begin with.
    models : LiveModels
        For other ones.

    Attributes
    ----------
    choice : LiveChoice
        The operating point in use.
    events : list of Event
        All there were.
    """

    def __init__(self, session: LiveSession, choice: LiveChoice, models: LiveModels) -> None:
        self.events: list[Event] = []
        self._session = session
        self.choice = choice
        self._models = models
        self._keys = MixerKeys()
        self._status = StatusLine()
        self._recording_error: str | None = None

    def run(self, check: Callable[[], None], duration_s: float | None, *, needs_sound: bool) -> None:
        """Wait for the end of the session, the time, or the key q.

        Parameters
        ----------
        check : callable
            Raises KeyboardInterrupt after Ctrl-C.
        duration_s : float, optional
        needs_sound : bool
            An input that gives nothing but zeros ends it.

        Raises
        ------
        DeviceError
            If the device was lost for good, or gives nothing but zeros.
        """
        ends = None if duration_s is None else time.monotonic() + duration_s
        shown_at = 0.0
        with Keyboard() as keyboard, self._status:
            if keyboard.is_there:
                print_note(KEYS_HELP)
            while not self._session.wait(self._time_left(ends)):
                check()
                self.tell_events(needs_sound=needs_sound)
                keys = keyboard.pressed()
                if any(self._press(key) for key in keys):
                    return
                now = time.monotonic()
                if ends is not None and now >= ends:
                    return
                if keys or now - shown_at >= _STATUS_S:
                    shown_at = now
                    self._show()

    def tell_events(self, *, needs_sound: bool = False) -> None:
        """Print what happened since the last call; raises as ``run`` does."""
        for event in self._session.events():
            self.events.append(event)
            self._status.clear()
            if event.kind == "silent" and needs_sound:
                raise DeviceError(_SILENCE.format(text=event.text))
            (print_note if event.kind == "latency" else print_warning)(event.text)
        recording = self._session.stats().recording
        if recording is not None and recording.error not in (None, self._recording_error):
            self._recording_error = recording.error
            self._status.clear()
            print_warning(f"the sound goes on, the recording does not: {recording.error}")

    def _time_left(self, ends: float | None) -> float:
        return _LOOK_S if ends is None else max(0.0, min(_LOOK_S, ends - time.monotonic()))

    def _press(self, key: str) -> bool:
        """Take a key; True if it asks to leave."""
        if key in ("q", "Q"):
            return True
        if key in ("m", "M"):
            self._change()
        else:
            self._keys.press(key, self._session.mixer)
        return False

    def _change(self) -> None:
        """Go to the next operating point; where that does not work, say so and stay."""
        place = OPERATING_POINTS.index(self.choice.name) + 1 if self.choice.name in OPERATING_POINTS else 0
        name = OPERATING_POINTS[place % len(OPERATING_POINTS)]
        self._status.show(f"going over to {name}")
        error: StemstreamError | None = None
        for choice in choices_for(name, None):
            try:
                self._session.change(self._models.processor(choice), latency_s=choice.latency_s, cause=name)
            except StemstreamError as refusal:
                error = refusal
            else:
                self.choice = choice
                if self._session.warning is not None:
                    self._status.clear()
                    print_warning(self._session.warning)
                return
        self._status.clear()
        print_warning(f"stays as it is: {error}")

    def _show(self) -> None:
        if self._status.is_shown:
            mixer = self._session.mixer
            text = status_text(self._session.stats())
            self._status.show(f"{text} | {strips_text(mixer, self._keys.chosen % len(mixer))}")
