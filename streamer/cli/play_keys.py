"""What a key does to a player."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.cli.live_keys import MixerKeys

if TYPE_CHECKING:
    from streamer.player import Player

__all__ = ["KEYS_HELP", "PlayerKeys"]

KEYS_HELP = (
    "keys: space pause, left/right 5 s back and on, < and > 30 s, n next, p previous, a loop from here, b to here, "
    "c no loop, 1-9 mute, shift or s and then 1-9 solo, tab choose a stem, up/down its gain, o original, h keys, "
    "q leave"
)

_STEP_S, _LONG_STEP_S = 5.0, 30.0


class PlayerKeys:
    """Turns keys into orders to a player.

    Attributes
    ----------
    mixer : MixerKeys
        For all that concerns stems.
    """

    def __init__(self) -> None:
        self.mixer = MixerKeys()
        self._loop_begin_s: float | None = None

    def press(self, key: str, player: Player) -> bool:
        """Take a key; False if it means nothing here."""
        steps = {"left": -_STEP_S, "right": _STEP_S, "<": -_LONG_STEP_S, ">": _LONG_STEP_S}
        if key in steps:
            player.seek(max(0.0, player.position_s + steps[key]))
        elif key == "space":
            if player.is_paused:
                player.play()
            else:
                player.pause()
        elif key in ("n", "N"):
            player.next()
        elif key in ("p", "P"):
            player.previous()
        elif key in ("a", "A"):
            self._loop_begin_s = player.position_s
        elif key in ("b", "B"):
            if self._loop_begin_s is None:
                return False
            player.loop(self._loop_begin_s, player.position_s)
        elif key in ("c", "C"):
            player.loop(None)
        elif key == "\t":
            return self.mixer.press("right", player.mixer)
        elif key in ("o", "O"):
            return self.mixer.press("space", player.mixer)
        else:
            return self.mixer.press(key, player.mixer)
        return True
