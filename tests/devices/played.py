"""A program: a player on a device that loops back is given orders, and tells what was heard of each.

Every order is given several times, for a shared machine drops sound now and then. Delays are in frames from the order
on, of what the recorder had heard by then. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.listener import LEVEL, RATE, Listener, crossing, place_of, tell_tale
from streamer import Player
from streamer.testing import IdentitySeparator

STEMS = {"vocals": 0.25, "drums": 0.5, "other": 0.25}
FADER_DB, LOUD, SOFT = -20.0, LEVEL, LEVEL * (0.5 + 0.5 * 0.1)
"""What a fader at the drums does to all of the sound."""
SONG_S = 40.0


class Played:
    """A player and what is heard of it."""

    def __init__(self, player: Player, listener: Listener, song: np.ndarray[Any, Any]) -> None:
        self.player, self.listener, self.song = player, listener, song
        self._random = np.random.default_rng(0)

    def after(self, order: Callable[[], object], seconds: float) -> np.ndarray[Any, Any]:
        """Give what was heard in the time after an order."""
        moment = self.listener.frames
        order()
        # Not in step with anything.
        time.sleep(seconds * self._random.uniform(1.0, 1.2))
        return self.listener.heard[moment:]

    def fader(self) -> int | None:
        """Move the fader of the drums the other way."""
        drums = self.player.mixer["drums"]
        rises = drums.gain_db < 0
        heard = self.after(lambda: setattr(drums, "gain_db", 0.0 if rises else FADER_DB), 0.25)
        return crossing(heard, (LOUD + SOFT) / 2, rises=rises)

    def mute(self) -> dict[str, float]:
        """Mute the drums for a while: what is left of the sound, and of it after that."""
        drums = self.player.mixer["drums"]
        muted = self.after(lambda: setattr(drums, "mute", True), 0.25)
        back = self.after(lambda: setattr(drums, "mute", False), 0.25)
        return {"muted": level(muted[-RATE // 10 :]), "back": level(back[-RATE // 10 :])}

    def pause(self) -> dict[str, Any]:
        """Pause and go on: when it was silent, whether it stayed so, and how far the song went on meanwhile."""
        before = self.listener.heard[-RATE // 10 :].copy()
        silent = self.after(self.player.pause, 0.3)
        going = self.after(self.player.play, 0.3)
        everything = np.concatenate([before, silent, going])
        still = np.flatnonzero(everything == 0.0)
        first, last = (place_of(part, self.song) for part in (before, going[-RATE // 10 :]))
        passed = len(everything) - RATE // 10 - len(still)
        return {
            "delay": crossing(silent, 1e-9, rises=False),
            "peak": float(np.abs(silent[-RATE // 10 :]).max()),
            "skipped": None if first is None or last is None else last - first - passed,
        }

    def seek(self, seconds: float) -> int | None:
        """Seek; gives how long after the order the frame of that place came, found by the sound a while later."""
        heard = self.after(lambda: self.player.seek(seconds), 0.3)
        late = len(heard) - RATE // 10
        place = place_of(heard[late:], self.song)
        return None if place is None else late - (place - round(seconds * RATE))


def level(heard: np.ndarray[Any, Any]) -> float:
    """Give the level of most of it."""
    return float(np.median(heard))


def main() -> int:
    """Play and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", required=True)
    arguments = parser.parse_args()
    sound = tell_tale(SONG_S)
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "song.wav"
        soundfile.write(song, sound, RATE, subtype="FLOAT")
        with Player(song, IdentitySeparator(STEMS, sample_rate=RATE), output=arguments.device) as player:
            player.play()
            listener = Listener(arguments.device, SONG_S)
            played = Played(player, listener, sound[:, 0])
            time.sleep(0.5)
            result = {
                "faders": [played.fader() for _ in range(8)],
                "mutes": [played.mute() for _ in range(3)],
                "pauses": [played.pause() for _ in range(3)],
                "seeks": [played.seek(seconds) for seconds in (30.0, 4.0, 21.5, 12.25, 33.0)],
            }
            listener.close()
            assert player._device is not None
            result["between"] = player._device.delay_frames
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
