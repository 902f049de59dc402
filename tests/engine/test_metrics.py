"""SDR and SI-SDR: their definitions, their extremes, and that blocks and whole recordings give the same."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.errors import ConfigurationError
from engine.metrics import StemScore, sdr_db, si_sdr_db

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(0.0, 0.1, (2, 4410)).astype(np.float32)
NOISE = RNG.normal(0.0, 0.01, (2, 4410)).astype(np.float32)


def test_sdr_is_the_energy_of_the_truth_over_that_of_the_error():
    expected = 10 * np.log10(np.sum(TRUTH.astype(float) ** 2) / np.sum((TRUTH.astype(float) * 0.25 - NOISE) ** 2))
    assert sdr_db(TRUTH, TRUTH * np.float32(0.75) + NOISE) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("gain", "expected_db"), [(0.5, 6.0206), (0.9, 20.0), (2.0, 0.0), (1.1, 20.0)])
def test_sdr_counts_a_wrong_level_as_error(gain: float, expected_db: float):
    assert sdr_db(TRUTH, gain * TRUTH.astype(np.float64)) == pytest.approx(expected_db, abs=1e-3)


@pytest.mark.parametrize("gain", [1e-3, 0.5, 1.0, 7.0])
def test_si_sdr_does_not_hear_the_level(gain: float):
    assert si_sdr_db(TRUTH, gain * (TRUTH + NOISE)) == pytest.approx(si_sdr_db(TRUTH, TRUTH + NOISE), abs=1e-6)


def test_si_sdr_is_what_is_left_beside_the_projection():
    true, given = (a.astype(float).ravel() for a in (TRUTH, TRUTH * np.float32(0.5) + NOISE))
    target = true * (true @ given) / (true @ true)
    expected = 10 * np.log10(target @ target / ((given - target) @ (given - target)))
    assert si_sdr_db(TRUTH, TRUTH * np.float32(0.5) + NOISE) == pytest.approx(expected, abs=1e-6)


def test_the_truth_itself_has_no_error():
    assert sdr_db(TRUTH, TRUTH) == math.inf
    assert si_sdr_db(TRUTH, TRUTH) > 120.0


def test_silence_as_the_estimate_is_worth_nothing():
    assert sdr_db(TRUTH, np.zeros_like(TRUTH)) == 0.0
    assert si_sdr_db(TRUTH, np.zeros_like(TRUTH)) == -math.inf


def test_a_silent_truth_has_no_score():
    score = StemScore()
    score.add(np.zeros_like(TRUTH), TRUTH)
    assert not score.has_truth
    assert math.isnan(score.sdr_db)
    assert math.isnan(score.si_sdr_db)


def test_blocks_of_any_length_give_the_score_of_the_whole():
    score, estimate = StemScore(), TRUTH + NOISE
    start = 0
    for length in (1, 700, 9, 3000, 700):
        score.add(TRUTH[:, start : start + length], estimate[:, start : start + length])
        start += length
    assert start == TRUTH.shape[1]
    assert score.sdr_db == pytest.approx(sdr_db(TRUTH, estimate), abs=1e-9)
    assert score.si_sdr_db == pytest.approx(si_sdr_db(TRUTH, estimate), abs=1e-9)


def test_shapes_that_differ_are_refused_with_both_shapes():
    with pytest.raises(ConfigurationError, match=r"\(2, 4410\) and the estimate \(2, 4409\)"):
        sdr_db(TRUTH, TRUTH[:, 1:])
