"""What a key does to the mixer of a live session."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.mixer import Mixer

__all__ = ["KEYS_HELP", "MixerKeys"]

KEYS_HELP = (
    "keys: 1-9 mute, shift or s and then 1-9 solo, left/right choose a stem, up/down its gain, space bypass, "
    "m next operating point, q leave"
)

_SHIFTED = "!@#$%^&*("
"""The digits 1 to 9 with shift on an American keyboard; on others ``s`` and then the digit does the same."""
_STEP_DB = 1.0
_LEAST_DB = -60.0


class MixerKeys:
    """Turns keys into changes of a mixer.

    Attributes
    ----------
    chosen : int
        The stem that up and down change, counted from 0.
    """

    def __init__(self) -> None:
        self.chosen = 0
        self._is_solo_next = False

    def press(self, key: str, mixer: Mixer) -> bool:
        """Take a key; False if it means nothing here."""
        solos, self._is_solo_next = self._is_solo_next, False
        place = _SHIFTED.find(key) if len(key) == 1 else -1
        if key in "123456789" and len(key) == 1:
            return self._switch(int(key) - 1, mixer, solos=solos)
        if place >= 0:
            return self._switch(place, mixer, solos=True)
        if key in ("s", "S"):
            self._is_solo_next = True
        elif key in ("left", "right"):
            self.chosen = (self.chosen + (1 if key == "right" else -1)) % len(mixer)
        elif key in ("up", "down"):
            self._turn(_STEP_DB if key == "up" else -_STEP_DB, mixer)
        elif key == "space":
            mixer.bypass = not mixer.bypass
        else:
            return False
        return True

    def _switch(self, stem: int, mixer: Mixer, *, solos: bool) -> bool:
        if stem >= len(mixer):
            return False
        strip = mixer[mixer.stems[stem]]
        if solos:
            strip.solo = not strip.solo
        else:
            strip.mute = not strip.mute
        return True

    def _turn(self, change_db: float, mixer: Mixer) -> None:
        from streamer.strip import MAX_GAIN_DB

        strip = mixer[mixer.stems[self.chosen % len(mixer)]]
        wanted = max(_LEAST_DB - _STEP_DB, strip.gain_db) + change_db
        strip.gain_db = float("-inf") if wanted < _LEAST_DB else min(MAX_GAIN_DB, wanted)
