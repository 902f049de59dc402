"""Probes are found at their frame whatever the gain, the polarity and what else can be heard, and nothing else is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from engine.errors import ConfigurationError
from streamer.audio.probe import MIN_PROBES, ProbeSignal, find_probes

F32 = npt.NDArray[np.float32]
RATES = (8_000, 44_100, 48_000, 96_000)


def looped(signal: ProbeSignal, delay: int, *, gain: float = 1.0, after: int = 4_000) -> F32:
    """What is heard through a cable."""
    heard = np.zeros((1, signal.frames + delay + after), np.float32)
    heard[0, delay : delay + signal.frames] = gain * signal.render()
    return heard


def delays(signal: ProbeSignal, heard: F32, *, earliest: int = 0, span: int = 4_000) -> list[int | None]:
    return [each.delay_frames for each in find_probes(heard, signal, earliest_frames=earliest, span_frames=span)]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("delay", [0, 1, 777, 3_999])
def test_every_probe_is_found_at_its_frame(rate: int, delay: int) -> None:
    signal = ProbeSignal(sample_rate=rate)
    assert delays(signal, looped(signal, delay)) == [delay] * MIN_PROBES


@pytest.mark.parametrize("gain", [4.0, -1.0, -0.001])
def test_gain_and_polarity_do_not_matter(gain: float) -> None:
    signal = ProbeSignal(sample_rate=48_000)
    assert delays(signal, looped(signal, 512, gain=gain)) == [512] * MIN_PROBES


def test_noise_as_loud_as_the_probes_moves_none_of_them() -> None:
    signal = ProbeSignal(sample_rate=48_000, level_db=-18.0)
    heard = looped(signal, 512)
    loudness = np.sqrt(np.mean(signal.chirp(0) ** 2))
    heard += (loudness * np.random.default_rng(2).standard_normal(heard.shape)).astype(np.float32)
    assert delays(signal, heard) == [512] * MIN_PROBES


def test_a_stretch_that_is_lost_costs_the_probes_in_it_and_no_others() -> None:
    signal = ProbeSignal(sample_rate=48_000)
    heard = looped(signal, 512)
    lost = range(4, 7)
    heard[:, signal.begins[4] + 512 : signal.begins[6] + 512 + signal.chirp_frames] = 0.0
    assert delays(signal, heard, span=2_000) == [None if n in lost else 512 for n in range(MIN_PROBES)]


@pytest.mark.parametrize(("share", "found"), [(0.15, 512), (0.5, None)])
@pytest.mark.parametrize("gain", [1.0, -1.0])
def test_a_probe_that_is_cut_is_found_exactly_or_not_at_all(share: float, found: int | None, gain: float) -> None:
    signal = ProbeSignal(sample_rate=48_000)
    heard = looped(signal, 512, gain=gain)
    for begin in signal.begins:
        heard[:, begin + 512 : begin + 512 + round(share * signal.chirp_frames)] = 0.0
    assert delays(signal, heard) == [found] * MIN_PROBES


@pytest.mark.parametrize("rate", RATES)
def test_nothing_is_found_in_noise_or_in_silence(rate: int) -> None:
    signal = ProbeSignal(sample_rate=rate)
    noise = np.random.default_rng(3).standard_normal((2, signal.frames + signal.reach_frames)).astype(np.float32)
    for heard in (noise, 0 * noise):
        found = find_probes(heard, signal)
        assert [each.delay_frames for each in found] == [None] * MIN_PROBES
        assert max(each.strength for each in found) < 0.45


def test_a_probe_is_not_taken_for_its_neighbours_within_the_reach() -> None:
    signal = ProbeSignal(40, sample_rate=48_000)
    for index in (0, 13, 39):
        heard = looped(signal, 0, after=signal.reach_frames)
        begin = signal.begins[index]
        heard[:, begin : begin + signal.chirp_frames] = 0.0
        found = find_probes(heard, signal)
        assert [n for n, each in enumerate(found) if each.delay_frames is None] == [index]


def test_a_delay_beyond_the_span_is_not_found_rather_than_wrong() -> None:
    signal = ProbeSignal(sample_rate=48_000)
    heard = looped(signal, 2_000)
    assert delays(signal, heard, span=2_000) == [None] * MIN_PROBES
    assert delays(signal, heard, span=2_001) == [2_000] * MIN_PROBES
    assert delays(signal, heard, earliest=2_000, span=1) == [2_000] * MIN_PROBES
    assert delays(signal, heard, earliest=2_001) == [None] * MIN_PROBES


def test_a_span_longer_than_the_reach_is_refused() -> None:
    signal = ProbeSignal(sample_rate=48_000)
    with pytest.raises(ConfigurationError, match=f"1 to {signal.reach_frames} frames"):
        find_probes(looped(signal, 0), signal, span_frames=signal.reach_frames + 1)


def test_probes_in_one_channel_of_two_are_found() -> None:
    signal = ProbeSignal(sample_rate=48_000)
    heard = np.concatenate([np.zeros_like(looped(signal, 300)), looped(signal, 300)])
    assert delays(signal, heard) == [300] * MIN_PROBES
    assert delays(signal, np.concatenate([heard[1:], -heard[1:]])) == [300] * MIN_PROBES


def test_samples_that_are_no_numbers_do_no_harm() -> None:
    signal = ProbeSignal(sample_rate=48_000)
    heard = looped(signal, 512)
    heard[:, signal.begins[0] + 100] = np.nan
    assert delays(signal, heard) == [512] * MIN_PROBES


def test_a_recording_that_ends_early_holds_the_probes_before_its_end() -> None:
    signal = ProbeSignal(sample_rate=48_000)
    heard = looped(signal, 512)[:, : signal.begins[10] + 512]
    assert delays(signal, heard) == [512] * 10 + [None] * 10


def test_distances_are_irregular_and_codes_differ_from_neighbour_to_neighbour() -> None:
    signal = ProbeSignal(30, sample_rate=48_000)
    assert len(set(np.diff(signal.begins))) > 20
    assert all(len(set(signal.codes[n : n + 12])) == 12 for n in range(18))


def test_the_signal_is_the_same_each_time_and_as_loud_as_asked() -> None:
    signal = ProbeSignal(sample_rate=48_000, level_db=-20.0)
    np.testing.assert_array_equal(signal.render(), ProbeSignal(sample_rate=48_000, level_db=-20.0).render())
    assert np.abs(signal.render()).max() == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize(
    ("count", "rate", "level_db", "told"),
    [(19, 48_000, -18.0, "20 to"), (20, 4_000, -18.0, "8000 to"), (20, 48_000, 1.0, "-60 to 0 dB")],
)
def test_what_is_not_supported_is_refused(count: int, rate: int, level_db: float, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        ProbeSignal(count, sample_rate=rate, level_db=level_db)
