"""A player in virtual time: what is heard is the right place of the right song, to the frame, whatever is ordered."""

from __future__ import annotations

import os
import threading
import tracemalloc
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import AudioFileError, ConfigurationError
from streamer.inline_player import InlinePlayer
from streamer.testing import DelaySeparator, IdentitySeparator
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


def storm(songs: list[Path], seed: int, orders: int) -> None:
    run_s = float(np.random.default_rng(seed).choice([0.0, 0.01, 0.05, 0.4]))
    with ExitStack() as stack:
        player, other = (stack.enter_context(player_of(songs, run_s=lambda run: run_s)).play() for _ in range(2))
        storm = Storm(player, seed, other if seed % 2 else None)
        storm.run(orders)
        assert storm.wrong == []
        assert storm.heard > 20 * orders
        # A muted stem that is never separated in time leaves silence.
        assert storm.heard_muted > 20 * orders or seed % 2 == 0 or run_s > 0.01
        assert storm.loudest[True] <= 0.75 + 1e-5
        assert storm.loudest[False] <= 1.0 + 1e-5
        assert len(player._shelf._tracks) <= 3


@pytest.mark.parametrize("seed", range(25))
def test_no_frame_of_a_wrong_place_and_no_muted_stem_is_heard(songs: list[Path], seed: int) -> None:
    storm(songs, seed, 40)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
def test_nor_after_a_thousand_orders(songs: list[Path], seed: int) -> None:
    storm(songs, seed, 1000)


def heard_of(player: InlinePlayer, frames: int) -> tuple[np.ndarray, np.ndarray]:
    return decode(player.read(frames))


def test_the_end_and_the_joint_of_two_files_are_exact_to_the_frame(songs: list[Path]) -> None:
    with player_of(songs) as player:
        places, gains = heard_of(player.play(), sum(FRAMES) + 1000)
        expected = [song * (1 << 14) + frame for song, frames in enumerate(FRAMES) for frame in range(frames)]
        assert places[: sum(FRAMES)].tolist() == expected
        assert (places[sum(FRAMES) :] == -1).all()
        np.testing.assert_allclose(gains[: sum(FRAMES)], 1.0, atol=1e-6)
        stats = player.stats()
        assert player.is_over
        assert (stats.frames, stats.coverage, stats.waited_frames) == (sum(FRAMES), 1.0, 0)
        assert [event.kind for event in player.events()] == ["track", "track", "track", "ended"]


def test_unity_gains_give_the_song_back(tmp_path: Path) -> None:
    song = (0.2 * np.random.default_rng(0).standard_normal((2, 12_000))).astype(np.float32)
    import soundfile

    soundfile.write(tmp_path / "song.wav", song.T, RATE, subtype="FLOAT")
    separators = (IdentitySeparator({"vocals": 0.3, "other": 0.1}, sample_rate=RATE), DelaySeparator(sample_rate=RATE))
    for separator in separators:
        with player_of([tmp_path / "song.wav"], separator=separator, run_s=lambda run: 0.05) as player:
            np.testing.assert_allclose(player.play().read(12_000), song, atol=1e-6)


def test_a_loop_has_its_length_to_the_frame(songs: list[Path]) -> None:
    with player_of(songs) as player:
        player.loop(0.25, 0.5)
        places, _ = heard_of(player.play(), 10_000)
        assert places.min() >= 2000
        assert places.max() < 4000
        begins = np.flatnonzero(places == 2001)
        assert len(begins) >= 4
        assert set(np.diff(begins)) == {2000}
        player.loop(None)
        places, _ = heard_of(player, 4000)
        assert 4000 in places


@pytest.mark.parametrize("block_s", [0.3, 0.6])
def test_long_blocks_are_separated_too(songs: list[Path], block_s: float) -> None:
    with player_of(songs, block_frames=round(block_s * RATE)) as player:
        player.play().read(sum(FRAMES))
        assert player.stats().coverage > 0.99


def test_a_pause_goes_on_at_the_very_next_frame(songs: list[Path]) -> None:
    with player_of(songs) as player:
        before, _ = heard_of(player.play(), 3000)
        player.pause()
        silence, _ = heard_of(player, 2000)
        assert player.position_s == pytest.approx(3128 / RATE)
        assert set(silence[MARGIN:]) == {-1}
        after, _ = heard_of(player.play(), 1000)
        assert after[0] - max(silence.max(), before[-1]) in (1, 2)


@pytest.mark.parametrize("run_s", [0.0, 10.0])
def test_what_is_muted_in_a_pause_is_not_heard_when_it_goes_on(songs: list[Path], run_s: float) -> None:
    with player_of(songs, run_s=lambda run: run_s) as player:
        player.play().read(3000)
        player.pause()
        player.read(1000)
        player.mixer["vocals"].mute = True
        _, gains = heard_of(player.play(), 1000)
        assert gains.max() <= (0.75 + 1e-5 if run_s == 0.0 else 0.0)


def test_a_song_in_place_of_its_stems_is_gone_one_fade_after_one_of_them_was_muted(songs: list[Path]) -> None:
    with player_of(songs, run_s=lambda run: 10.0) as player:
        player.play().read(1000)
        player.mixer["vocals"].mute = True
        _, gains = heard_of(player, 256)
        assert gains[0] > 0.9
        assert gains[64:].max() == 0.0
        player.mixer["vocals"].mute = False
        _, gains = heard_of(player, 256)
        assert gains[0] < 0.1
        np.testing.assert_allclose(gains[128:], 1.0, atol=1e-6)


def test_a_seek_is_heard_within_a_fade(songs: list[Path]) -> None:
    with player_of(songs) as player:
        player.play().read(1000)
        player.seek(0.5)
        places, _ = heard_of(player, 400)
        jump = int(np.flatnonzero(places >= 4000)[0])
        assert jump <= MARGIN
        assert places[jump] <= 4001


def test_a_start_and_what_lies_behind_the_end(songs: list[Path]) -> None:
    with player_of(songs, start_s=0.5) as player:
        assert player.position_s == 0.5
        places, _ = heard_of(player.play(), 100)
        assert places[1] == 4001
        player.seek(99.0)
        places, _ = heard_of(player, 2000)
        assert 1 << 14 in places or (1 << 14) + 1 in places


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (lambda player: player.seek(-1.0), "-1.0 is no place in a track"),
        (lambda player: player.seek("soon"), "'soon' is no place in a track"),
        (lambda player: player.loop(0.5, 0.501), "too short"),
        (lambda player: player.mixer["tuba"], "stem 'tuba' is unknown"),
    ],
)
def test_an_order_that_makes_no_sense_changes_nothing(songs: list[Path], order: object, said: str) -> None:
    with player_of(songs) as player:
        player.play().read(1000)
        with pytest.raises(ConfigurationError, match=said):
            order(player)  # type: ignore[operator]
        places, _ = heard_of(player, 1000)
        assert places.tolist() == list(range(1000, 2000))


def test_files_that_cannot_be_played_are_named_and_passed_over(songs: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.flac"
    broken.write_bytes(b"fLaC nothing of it is true")
    with player_of([broken, songs[0], tmp_path / "gone.wav", broken, songs[1]]) as player:
        places, _ = heard_of(player.play(), FRAMES[0] + FRAMES[1])
        assert places[FRAMES[0] - 1 : FRAMES[0] + 1].tolist() == [FRAMES[0] - 1, 1 << 14]
        skipped = [event.text for event in player.events() if event.kind == "skipped"]
        assert len(skipped) == 3
        assert "broken.flac" in skipped[0]
        assert "gone.wav" in skipped[1]


def test_a_queue_of_nothing_but_broken_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"none of 2 files can be played; the first: .*gone\.wav"):
        player_of([tmp_path / "gone.wav", tmp_path / "lost.wav"])


def test_a_file_that_shrinks_while_it_plays_is_told_and_the_rest_is_played(songs: list[Path]) -> None:
    with player_of(songs) as player:
        player.play().read(100)
        data = songs[0].read_bytes()
        songs[0].write_bytes(data[: len(data) // 8])
        player.seek(0.9)
        places, _ = heard_of(player, 20_000)
        assert (1 << 14) + 1 in places
        assert any(event.kind == "skipped" and "song-0.wav" in event.text for event in player.events())


def test_neither_memory_nor_files_nor_threads_grow(songs: list[Path]) -> None:
    with player_of(songs, run_s=lambda run: 0.02) as player:
        storm = Storm(player.play(), 3)
        storm.run(40)
        threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
        tracemalloc.start()
        # What is open at one moment differs, the most that ever was does not.
        storm.run(120)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        storm.run(120)
        _, most_later = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most_later < 1.2 * most
        assert threading.active_count() == threads
        assert len(os.listdir("/proc/self/fd")) <= files + 8


def test_passes_that_seeks_end_let_go_of_the_file(tmp_path: Path) -> None:
    song = tmp_path / "long.wav"
    soundfile.write(song, np.full((60 * RATE, 2), 0.1), RATE)
    # The pass through the whole song does not come to its end, so that every seek begins one of its own.
    with player_of([song], run_s=lambda run: 0.05) as player:
        player.play().read(RATE // 10)
        files = len(os.listdir("/proc/self/fd"))
        for n in range(40):
            player.seek(1.0 + (7 * n) % 40)
            player.read(RATE // 10)
        assert player.stats().separated < 1.0
        assert len(os.listdir("/proc/self/fd")) <= files + 4


WINDOW = 4096


def test_a_model_three_times_too_slow_separates_what_arithmetic_says_and_all_of_it_the_second_time(
    tmp_path: Path,
) -> None:
    from engine.stem_cache import StemCache
    from streamer.priming import priming_plan

    song = write_coded(tmp_path / "song.wav", 400_000)
    separator = IdentitySeparator(sample_rate=RATE, window_frames=WINDOW)
    plan = priming_plan(separator.spec)
    given = plan.hop_frames - plan.fade_frames
    run_s = 3.0 * plan.hop_frames / RATE
    cache = StemCache(tmp_path / "cache")
    with player_of([song], separator=separator, run_s=lambda run: run_s, cache=cache, finish="exit") as player:
        places, _ = heard_of(player.play(), 400_000)
        assert places.tolist() == list(range(400_000))
        stats = player.stats()
        # One window at a time, each for what it gives, less the fades to it and from it; the first is always too late.
        runs = 400_000 // (3 * plan.hop_frames)
        assert stats.coverage == pytest.approx((runs - 1) * (given - 128) / 400_000, abs=0.01)
        (behind,) = [event for event in player.events() if event.kind == "behind"]
        assert "1296.0 ms for every 432.0 ms of sound" in behind.text
    with player_of([song], separator=separator, run_s=lambda run: run_s, cache=cache) as player:
        player.play().read(400_000)
        assert player.stats().coverage == 1.0
        assert player.stats().processor.windows == 0


def test_silence_stands_for_stems_that_are_late_only_where_a_stem_is_muted(songs: list[Path]) -> None:
    loudest = {}
    for gaps in ("auto", "mixture", "silence"):
        for mutes in (False, True):
            with player_of(songs, run_s=lambda run: 0.2, gaps=gaps) as player:
                player.mixer["drums"].mute = mutes
                heard = player.play().read(800)
                loudest[gaps, mutes] = float(np.abs(heard).max())
                assert (player.stats().withheld_frames > 0) == (loudest[gaps, mutes] == 0)
    assert {key for key, level in loudest.items() if level == 0} == {
        ("auto", True),
        ("silence", False),
        ("silence", True),
    }
