"""A player in virtual time: what is heard is the right place of the right song, to the frame, whatever is ordered."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import AudioFileError, ConfigurationError
from streamer.inline_player import InlinePlayer
from streamer.testing import DelaySeparator, IdentitySeparator
from tests.streamer.coded_songs import RATE, decode, write_coded
from tests.streamer.seek_storms import FRAMES, MARGIN, player_of


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
