"""The demo song: true stems, an exact mixture, another song for another seed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from engine.errors import ConfigurationError
from streamer.song import Song, compose_song

F32 = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def song() -> Song:
    return compose_song()


def rms_db(audio: F32) -> float:
    return float(10 * np.log10(np.mean(audio.astype(np.float64) ** 2) + 1e-30))


def share_between(audio: F32, rate: int, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(audio.mean(axis=0))) ** 2
    hz = np.fft.rfftfreq(audio.shape[1], 1 / rate)
    return float(power[(hz >= low_hz) & (hz < high_hz)].sum() / power.sum())


def test_twenty_seconds_of_four_stereo_stems(song: Song) -> None:
    assert song.sample_rate == 48_000
    assert list(song.stems) == ["vocals", "drums", "bass", "other"]
    assert all(stem.shape == (2, 960_000) and stem.dtype == np.float32 for stem in song.stems.values())


def test_the_mixture_is_exactly_the_sum(song: Song) -> None:
    vocals, drums, bass, other = song.stems.values()
    assert song.mixture.dtype == np.float32
    np.testing.assert_array_equal(song.mixture, vocals + drums + bass + other)


@pytest.mark.parametrize("seed", range(4))
def test_the_peak_is_one_decibel_below_full_scale(seed: int) -> None:
    peak = np.abs(compose_song(5.0, seed=seed).mixture).max()
    assert 20 * np.log10(peak) == pytest.approx(-1.0, abs=0.01)


def test_every_stem_is_heard_and_none_drowns_the_others(song: Song) -> None:
    levels = [rms_db(stem) for stem in song.stems.values()]
    assert min(levels) > -30
    assert max(levels) - min(levels) < 10


def test_bass_and_voice_are_centred_and_the_keys_are_wide(song: Song) -> None:
    sides = {name: rms_db(stem[0] - stem[1]) - rms_db(stem[0] + stem[1]) for name, stem in song.stems.items()}
    assert sides["bass"] < -100
    assert sides["vocals"] < -10
    assert sides["other"] > -10
    left, right = (rms_db(channel[None]) for channel in song.mixture)
    assert abs(left - right) < 1.5


def test_each_instrument_sounds_in_its_own_range(song: Song) -> None:
    rate = song.sample_rate
    assert share_between(song.stems["bass"], rate, 30, 500) > 0.95
    assert share_between(song.stems["vocals"], rate, 180, 4000) > 0.95
    assert share_between(song.stems["other"], rate, 150, 3000) > 0.95
    assert share_between(song.stems["drums"], rate, 30, 200) > 0.4
    assert share_between(song.stems["drums"], rate, 4000, 16000) > 0.02


def test_the_voice_breathes_between_phrases(song: Song) -> None:
    loudness = np.abs(song.stems["vocals"]).max(axis=0).reshape(-1, 4800).max(axis=1)
    silent = np.mean(loudness < 0.1 * loudness.max())
    assert 0.03 < silent < 0.5


def test_it_ends_in_silence_without_a_click(song: Song) -> None:
    assert np.abs(song.mixture[:, -1]).max() == 0
    assert np.abs(song.mixture[:, -48:]).max() < 0.01


def test_the_same_seed_gives_the_same_bits() -> None:
    first, second = compose_song(3.0, seed=5), compose_song(3.0, seed=5)
    np.testing.assert_array_equal(first.mixture, second.mixture)
    for name, stem in first.stems.items():
        np.testing.assert_array_equal(stem, second.stems[name])


def test_another_seed_gives_another_song() -> None:
    songs = [compose_song(3.0, seed=seed) for seed in range(4)]
    for name in ("vocals", "bass", "other"):
        tunes = [np.abs(np.fft.rfft(song.stems[name][0]))[:6000] for song in songs]
        likeness = np.corrcoef(tunes)[np.triu_indices(4, 1)]
        assert likeness.min() < 0.7


@pytest.mark.parametrize("sample_rate", [8_000, 44_100, 192_000])
@pytest.mark.parametrize("duration_s", [0.001, 0.5, 3.1])
def test_any_length_at_any_rate(duration_s: float, sample_rate: int) -> None:
    song = compose_song(duration_s, sample_rate=sample_rate)
    assert song.mixture.shape == (2, round(duration_s * sample_rate))
    assert np.isfinite(song.mixture).all()
    assert np.abs(song.mixture).max() < 1


def test_the_song_is_the_same_at_another_rate() -> None:
    low, high = (compose_song(6.0, sample_rate=rate).stems["bass"][0] for rate in (24_000, 48_000))
    assert np.corrcoef(low, high[::2])[0, 1] > 0.99


@pytest.mark.parametrize(
    ("duration_s", "sample_rate", "seed", "said"),
    [
        (0.0, 48_000, 0, "duration_s"),
        (601.0, 48_000, 0, "duration_s"),
        (float("nan"), 48_000, 0, "duration_s"),
        (1.0, 4_000, 0, "sample_rate"),
        (1.0, 400_000, 0, "sample_rate"),
        (1.0, 48_000, -1, "seed"),
    ],
)
def test_arguments_outside_their_range_are_refused(duration_s: float, sample_rate: int, seed: int, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        compose_song(duration_s, sample_rate=sample_rate, seed=seed)
