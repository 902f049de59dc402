"""What is kept of a session for its report."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.metrics import sdr_db, si_sdr_db
from streamer.report import ReportRecorder
from tests.streamer.report.reports import RATE, recorded, sines

NAMES = ("one", "two")


def test_blocks_are_handed_on_as_they_are() -> None:
    blocks = [np.ones((2, 10), np.float32), np.ones((2, 3), np.float32)]
    with ReportRecorder(NAMES, RATE, 2) as recorder:
        for given, got in zip(blocks, recorder.hear(blocks), strict=True):
            assert got is given


def test_scores_compare_the_same_frames_though_stems_come_later() -> None:
    stems = sines(2, 0.5)
    truth = {"one": 0.8 * stems[0], "two": stems[1], "three": stems[1]}
    scores = recorded(stems, NAMES, truth=truth).scores
    assert list(scores) == ["one", "two"]
    assert scores["one"].sdr_db == pytest.approx(sdr_db(truth["one"], stems[0]), abs=1e-6)
    assert scores["one"].mixture_sdr_db == pytest.approx(sdr_db(truth["one"], stems.sum(axis=0)), abs=1e-6)
    assert scores["one"].mixture_si_sdr_db == pytest.approx(si_sdr_db(truth["one"], stems.sum(axis=0)), abs=1e-6)
    assert scores["two"].sdr_db == math.inf


def test_without_truth_there_is_no_score() -> None:
    assert recorded(sines(2, 0.2), NAMES).scores == {}


def test_a_stems_picture_is_on_the_mixtures_scale() -> None:
    stems = sines(2, 0.5)
    stems[1] *= 0.01
    made = recorded(stems, NAMES)
    assert made.mixture.levels.max() == 255
    assert made.stems[0].levels.max() > 250
    assert 0 < made.stems[1].levels.max() < 150
    assert {signal.levels.shape for signal in (made.mixture, *made.stems)} == {(len(made.band_hz), 30)}


def test_what_can_be_heard_is_bounded_and_what_can_be_seen_is_not() -> None:
    made = recorded(sines(2, 1.0), NAMES, listening_s=0.25)
    assert made.listening_s == 0.25
    assert made.mixture.levels.shape[1] * made.column_s == pytest.approx(1.0, abs=made.column_s)


@pytest.mark.parametrize("frames", [0, 1, 100])
def test_a_recording_shorter_than_a_window_has_a_report_too(frames: int) -> None:
    made = recorded(sines(2, 1.0)[..., :frames], NAMES)
    assert made.mixture.levels.shape[1] == (frames > 0)
    assert bool(made.mixture.mp3) == (frames > 0)


def test_samples_that_are_no_numbers_are_silence_in_the_report_and_handed_on_as_they_are() -> None:
    stems = sines(2, 0.5)
    broken = stems.copy()
    broken[0, :, 1000:1010] = np.nan
    broken[1, 0, 3000], broken[1, 1, 3001] = np.inf, -np.inf
    stems[~np.isfinite(broken)] = 0.0
    handed_on = []
    recordings = []
    for audio in (broken, stems):
        with ReportRecorder(NAMES, RATE, 2) as recorder:
            handed_on.append(next(iter(recorder.hear([audio[0]]))))
            recorder.take(audio)
            recordings.append(recorder.finish())
    assert np.isnan(handed_on[0][:, 1000:1010]).all()
    for made, wanted in zip(*((each.mixture, *each.stems) for each in recordings), strict=True):
        np.testing.assert_array_equal(made.levels, wanted.levels)
        assert made.mp3 == wanted.mp3


@pytest.mark.parametrize("level", [3e2, 1e6, 1e25])
def test_sound_of_any_level_has_a_picture_and_can_be_heard(level: float) -> None:
    made = recorded(np.float32(level) * sines(2, 0.5), NAMES)
    assert made.mixture.levels.max() == 255
    assert made.mixture.levels.min() < 200
    assert made.mixture.mp3
