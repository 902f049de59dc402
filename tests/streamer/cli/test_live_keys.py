"""What each key does to the mixer."""

from __future__ import annotations

import math

import pytest

from streamer.cli.live_keys import MixerKeys
from streamer.mixer import MAX_GAIN_DB, Mixer

STEMS = ("vocals", "drums", "bass", "other")


@pytest.fixture
def mixer() -> Mixer:
    return Mixer(STEMS, channels=2, sample_rate=48_000, max_block_frames=256)


@pytest.fixture
def keys() -> MixerKeys:
    return MixerKeys()


def muted(mixer: Mixer) -> set[str]:
    return {stem for stem in mixer if mixer[stem].mute}


def soloed(mixer: Mixer) -> set[str]:
    return {stem for stem in mixer if mixer[stem].solo}


def test_digits_mute_and_mute_no_more(keys: MixerKeys, mixer: Mixer) -> None:
    assert keys.press("1", mixer)
    assert keys.press("4", mixer)
    assert muted(mixer) == {"vocals", "other"}
    assert keys.press("1", mixer)
    assert muted(mixer) == {"other"}
    assert not soloed(mixer)


@pytest.mark.parametrize("presses", [("@",), ("s", "2"), ("S", "2")])
def test_shifted_digits_and_s_before_a_digit_solo(keys: MixerKeys, mixer: Mixer, presses: tuple[str, ...]) -> None:
    for wanted in ({"drums"}, set()):
        for key in presses:
            assert keys.press(key, mixer)
        assert soloed(mixer) == wanted
    assert not muted(mixer)


def test_s_holds_for_the_next_key_alone(keys: MixerKeys, mixer: Mixer) -> None:
    for key in ("s", "up", "1"):
        keys.press(key, mixer)
    assert (muted(mixer), soloed(mixer)) == ({"vocals"}, set())


@pytest.mark.parametrize("key", ["5", "9", "%", "(", "0", "x", "", "12", "\x1b"])
def test_other_keys_do_nothing(keys: MixerKeys, mixer: Mixer, key: str) -> None:
    assert not keys.press(key, mixer)
    assert not muted(mixer)
    assert not soloed(mixer)
    assert [mixer[stem].gain_db for stem in mixer] == [0.0] * 4
    assert not mixer.bypass


def test_arrows_choose_a_stem_and_turn_it(keys: MixerKeys, mixer: Mixer) -> None:
    for key in ("right", "right", "down", "down", "left", "up"):
        assert keys.press(key, mixer)
    assert keys.chosen == 1
    assert [mixer[stem].gain_db for stem in mixer] == [0.0, 1.0, -2.0, 0.0]


def test_the_choice_goes_round(keys: MixerKeys, mixer: Mixer) -> None:
    keys.press("left", mixer)
    assert keys.chosen == 3
    keys.press("right", mixer)
    assert keys.chosen == 0


def test_a_gain_stops_at_the_most_and_goes_off_below_the_least(keys: MixerKeys, mixer: Mixer) -> None:
    for _ in range(20):
        keys.press("up", mixer)
    assert mixer["vocals"].gain_db == MAX_GAIN_DB
    for _ in range(round(MAX_GAIN_DB) + 60):
        keys.press("down", mixer)
    assert mixer["vocals"].gain_db == -60.0
    keys.press("down", mixer)
    assert mixer["vocals"].gain_db == -math.inf
    keys.press("down", mixer)
    assert mixer["vocals"].gain_db == -math.inf
    keys.press("up", mixer)
    assert mixer["vocals"].gain_db == -60.0


def test_space_bypasses_and_comes_back(keys: MixerKeys, mixer: Mixer) -> None:
    keys.press("space", mixer)
    assert mixer.bypass
    keys.press("space", mixer)
    assert not mixer.bypass


def test_a_choice_beyond_the_stems_of_another_model_is_one_of_them(keys: MixerKeys, mixer: Mixer) -> None:
    keys.press("left", mixer)
    other = Mixer(("vocals", "other"), channels=2, sample_rate=48_000, max_block_frames=256)
    keys.press("up", other)
    assert other["other"].gain_db == 1.0
