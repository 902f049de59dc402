"""A player in virtual time: what is heard is the right place of the right song, to the frame, whatever is ordered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer.inline_player import InlinePlayer
from streamer.testing import IdentitySeparator
from tests.streamer.coded_songs import F32, RATE, decode, song_of, write_coded

FRAMES = (9000, 7001, 8192)
MARGIN = 160
"""Two fades, in which an order comes into force."""


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    return [write_coded(tmp_path / f"song-{n}.wav", frames, song=n) for n, frames in enumerate(FRAMES)]


def player_of(songs: list[Path], **options: object) -> InlinePlayer:
    separator = options.pop("separator", None) or IdentitySeparator(sample_rate=RATE)
    return InlinePlayer(songs, separator, **{"block_frames": 128, **options})  # type: ignore[arg-type]


class Storm:
    """Orders at random, and a listener who knows what may be heard next."""

    def __init__(self, player: InlinePlayer, seed: int, *, mutes: bool = False) -> None:
        self.player = player
        self.random, self.mutes = np.random.default_rng(seed), mutes
        self.last, self.silence = -1, 0
        self.target: set[int] = set()
        self.loop: tuple[int, int] | None = None
        self.wrong: list[tuple[int, int, int]] = []
        self.loudest = 0.0
        self.heard = 0

    def order(self) -> None:
        player = self.player
        what = self.random.choice(["seek"] * 6 + ["pause", "loop", "no loop", "next", "previous"])
        if what == "seek":
            seconds = float(self.random.uniform(0.0, 1.1))
            track = player.track
            player.seek(seconds)
            frame = round(seconds * RATE)
            # What lies behind the end is the beginning of the next song.
            self.target.add(track * (1 << 14) + frame if frame < FRAMES[track] else (track + 1) * (1 << 14))
        elif what == "pause":
            (player.play if player.is_paused else player.pause)()
        elif what == "loop":
            begin = float(self.random.uniform(0.0, 0.7))
            end = begin + float(self.random.uniform(0.03, 0.15))
            track = player.track
            player.loop(begin, end)
            self.loop = tuple(track * (1 << 14) + round(each * RATE) for each in (begin, end))  # type: ignore[assignment]
            self.target.add(self.loop[0])
        elif what == "no loop":
            player.loop(None)
        elif what == "next":
            following = (player.track + 1) * (1 << 14)
            self.target |= {following} if player.next() else set()
        else:
            track = player.track
            player.previous()
            self.target.add(max(0, track - 1) * (1 << 14))

    def listen(self, heard: F32) -> None:
        places, gains = decode(heard)
        self.loudest = max(self.loudest, float(gains.max()))
        for place in places:
            if place < 0:
                self.silence += 1
                continue
            self.heard += 1
            if not self._may_follow(int(place)):
                self.wrong.append((self.last, int(place), self.silence))
            self.last, self.silence = int(place), 0

    def _may_follow(self, place: int) -> bool:
        last = self.last
        if last < 0 or place in (last + 1, last + 1 + self.silence):
            return True
        # The first and the last frames of a fade can be too soft to be told.
        if any(0 <= place - target <= 1 + self.silence * self.mutes for target in self.target):
            return True
        song, frame = song_of(last)
        if frame >= FRAMES[song] - 2 and place - (song + 1) * (1 << 14) in (0, 1):
            return True
        return self.loop is not None and last >= self.loop[1] - 2 and 0 <= place - self.loop[0] <= 1

    def run(self, orders: int) -> None:
        for _ in range(orders):
            self.order()
            self.listen(self.player.read(int(self.random.integers(16, 400))))
            if self.player.is_over:
                self.player.previous()
                self.target.add(self.player.track * (1 << 14))


def storm(songs: list[Path], seed: int, orders: int) -> None:
    run_s = float(np.random.default_rng(seed).choice([0.0, 0.01, 0.05, 0.4]))
    with player_of(songs, run_s=lambda run: run_s) as player:
        player.mixer["vocals"].mute = seed % 2 == 1
        storm = Storm(player.play(), seed, mutes=bool(seed % 2))
        storm.run(orders)
        assert storm.wrong == []
        # A muted stem that is never separated in time leaves silence.
        assert storm.heard > 20 * orders or (seed % 2 and run_s > 0.01)
        assert storm.loudest <= (0.75 if seed % 2 else 1.0) + 1e-5
        assert len(player._shelf._tracks) <= 3


@pytest.mark.parametrize("seed", range(25))
def test_no_frame_of_a_wrong_place_and_no_muted_stem_is_heard(songs: list[Path], seed: int) -> None:
    storm(songs, seed, 40)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
def test_nor_after_a_thousand_orders(songs: list[Path], seed: int) -> None:
    storm(songs, seed, 1000)
