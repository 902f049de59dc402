"""Sitting at a live session: keys, the status line, and what happens, until it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Literal

from engine.errors import DeviceError, LatencyError, StemstreamError
from streamer.cli.keyboard import Keyboard
from streamer.cli.live_keys import KEYS_HELP, MixerKeys
from streamer.cli.live_setup import LiveChoice, LiveModels, stations_of
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
    model : str, optional
        Name or path of the one that was asked for, at every operating point.
    device_latency : {"low", "high"} or float
        What was asked of the driver when the device was opened; it stays that.

    Attributes
    ----------
    choice : LiveChoice
        The operating point in use.
    events : list of Event
        All there were.
    device_latency : {"low", "high"} or float
        As given: an operating point that would ask for another one goes without.
    """

    def __init__(
        self,
        session: LiveSession,
        choice: LiveChoice,
        models: LiveModels,
        *,
        model: str | None = None,
        device_latency: Literal["low", "high"] | float = "low",
    ) -> None:
        self.events: list[Event] = []
        self._session = session
        self.choice = choice
        self._models = models
        self._stations = stations_of(choice, model)
        self.device_latency = device_latency
        self._has_left = False
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

            def look() -> Sequence[str]:
                check()
                self.tell_events(needs_sound=needs_sound)
                return keyboard.pressed()

            while not self._session.wait(self._time_left(ends)):
                keys = look()
                for key in keys:
                    self._press(key, look)
                    if self._has_left:
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
        recording = self._session.recording
        if recording is not None and recording.error not in (None, self._recording_error):
            self._recording_error = recording.error
            self._status.clear()
            print_warning(f"the sound goes on, the recording does not: {recording.error}")

    def _time_left(self, ends: float | None) -> float:
        return _LOOK_S if ends is None else max(0.0, min(_LOOK_S, ends - time.monotonic()))

    def _press(self, key: str, look: Callable[[], Sequence[str]]) -> None:
        """Take a key; ``look`` gives those that come while it is seen to."""
        if key in ("q", "Q"):
            self._has_left = True
        elif key in ("m", "M"):
            self._change(look)
        else:
            self._keys.press(key, self._session.mixer)

    def _change(self, look: Callable[[], Sequence[str]]) -> None:
        """Go to the next operating point, and stay where that does not work; meanwhile keys and Ctrl-C are heard."""
        places = [station[0].name for station in self._stations]
        station = self._stations[(places.index(self.choice.name) + 1) % len(places)]
        self._status.show(f"going over to {station[0].name}")
        change: Future[LiveChoice] = Future()
        thread = threading.Thread(target=self._go_over, args=(station, change), name="stemstream-change")
        thread.start()
        try:
            while not (self._has_left or self._session.wait(0.0)):
                thread.join(_LOOK_S)
                if not thread.is_alive():
                    break
                for key in look():
                    if key not in ("m", "M"):
                        self._press(key, look)
        finally:
            if thread.is_alive():
                # It ends with the sound; what it prepares is let go of before the models are.
                self._session.stop()
                thread.join()
        if self._has_left:
            return
        self._status.clear()
        try:
            self.choice = change.result()
        except StemstreamError as refusal:
            print_warning(f"stays as it is: {refusal}")
        else:
            if self._session.warning is not None:
                print_warning(self._session.warning)

    def _go_over(self, station: Sequence[LiveChoice], change: Future[LiveChoice]) -> None:
        """Change to the first choice of a station that works; on a thread of its own."""
        error: Exception = LatencyError("there is nothing to go over to")
        for choice in station:
            cause = choice.name
            if choice.device_latency != self.device_latency:
                cause += ", the device's buffers as they were opened"
            try:
                self._session.change(self._models.processor(choice), latency_s=choice.latency_s, cause=cause)
            except StemstreamError as refusal:
                error = refusal
            except Exception as fault:  # the outermost place of this thread: told where the change was asked for
                error = fault
                break
            else:
                change.set_result(choice)
                return
        change.set_exception(error)

    def _show(self) -> None:
        if self._status.is_shown:
            mixer = self._session.mixer
            text = status_text(self._session.stats())
            self._status.show(f"{text} | {strips_text(mixer, self._keys.chosen % len(mixer))}")
