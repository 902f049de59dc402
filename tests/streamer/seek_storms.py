"""Players of songs that tell their frames, and storms of orders for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from streamer.inline_player import InlinePlayer
from streamer.testing import IdentitySeparator
from tests.streamer.coded_songs import F32, RATE, decode, song_of

FRAMES = (9000, 7001, 8192)
"""Of the songs of the fixture ``songs``."""
MARGIN = 160
"""Two fades, in which an order comes into force."""


def player_of(songs: list[Path], **options: object) -> InlinePlayer:
    separator = options.pop("separator", None) or IdentitySeparator(sample_rate=RATE)
    return InlinePlayer(songs, separator, **{"block_frames": 128, **options})  # type: ignore[arg-type]


class Storm:
    """Orders at random, and a listener who knows what may be heard next.

    The head goes the same way whatever is muted and however late stems are: where a second player is given, whose
    stems are muted now and then, it gets the same orders and has to be at the same place.
    """

    def __init__(self, player: InlinePlayer, seed: int, muted: InlinePlayer | None = None) -> None:
        self.player, self.muted = player, muted
        self.random = np.random.default_rng(seed)
        self.last, self.silence = -1, 0
        self.target: int | None = None
        self.loop: tuple[int, int] | None = None
        self.wrong: list[tuple[int, int, int]] = []
        self.loudest = {False: 0.0, True: 0.0}
        self.heard = self.heard_muted = 0
        self.settles = 0

    def _tell(self, order: str, *values: float | None) -> object:
        if self.muted is not None:
            getattr(self.muted, order)(*values)
        return getattr(self.player, order)(*values)

    def order(self) -> None:
        player, track = self.player, self.player.track
        what = self.random.choice(["seek"] * 6 + ["pause", "loop", "no loop", "next", "previous", "mute"])
        if what == "seek":
            seconds = float(self.random.uniform(0.0, 1.1))
            self._tell("seek", seconds)
            frame = round(seconds * RATE)
            # What lies behind the end is the beginning of the next song.
            self.target = track * (1 << 14) + frame if frame < FRAMES[track] else (track + 1) * (1 << 14)
        elif what == "pause":
            self._tell("play" if player.is_paused else "pause")
        elif what == "loop":
            begin = float(self.random.uniform(0.0, 0.7))
            end = begin + float(self.random.uniform(0.03, 0.15))
            jumps = not round(begin * RATE) <= round(player.position_s * RATE) < round(end * RATE)
            self._tell("loop", begin, end)
            self.loop = tuple(track * (1 << 14) + round(each * RATE) for each in (begin, end))  # type: ignore[assignment]
            self.target = self.loop[0] if jumps else self.target
        elif what == "no loop":
            self._tell("loop", None)
            self.loop = None
        elif what == "next":
            self.target = (track + 1) * (1 << 14) if self._tell("next") else self.target
        elif what == "previous":
            self._tell("previous")
            self.target = max(0, track - 1) * (1 << 14)
        elif self.muted is not None:
            self.muted.mixer["vocals"].mute = not self.muted.mixer["vocals"].mute
            self.settles = MARGIN

    def listen(self, frames: int) -> None:
        places, _ = decode(self.player.read(frames))
        if self.muted is not None:
            self._compare(places, self.muted.read(frames))
        for place in places:
            if place < 0:
                self.silence += 1
                continue
            self.heard += 1
            if not self._may_follow(int(place)):
                self.wrong.append((self.last, int(place), self.silence))
            self.last, self.silence = int(place), 0

    def _compare(self, places: np.ndarray, heard: F32) -> None:
        assert self.muted is not None
        own, gains = decode(heard)
        is_muted = self.muted.mixer["vocals"].mute
        self.loudest[is_muted] = max(self.loudest[is_muted], float(gains[self.settles :].max(initial=0.0)))
        self.settles = max(0, self.settles - len(own))
        is_heard = (own >= 0) & (places >= 0)
        self.heard_muted += int(is_heard.sum())
        self.wrong += [
            (int(place), int(other), -1)
            for place, other in zip(places[is_heard], own[is_heard], strict=True)
            if place != other
        ]

    def _may_follow(self, place: int) -> bool:
        last = self.last
        if last < 0 or place in (last + 1, last + 1 + self.silence):
            return True
        # The first and the last frames of a fade can be too soft to be told. Only the newest order counts, and once.
        if self.target is not None and 0 <= place - self.target <= 1:
            self.target = None
            return True
        song, frame = song_of(last)
        if frame >= FRAMES[song] - 2 and place - (song + 1) * (1 << 14) in (0, 1):
            return True
        return self.loop is not None and last >= self.loop[1] - 2 and 0 <= place - self.loop[0] <= 1

    def run(self, orders: int) -> None:
        for _ in range(orders):
            self.order()
            self.listen(int(self.random.integers(16, 400)))
            if self.player.is_over:
                self._tell("previous")
                self.target = self.player.track * (1 << 14)
