"""What the embedded separators do with sounds whose place among the stems is clear, measured in dB."""

from __future__ import annotations

import numpy as np
import pytest

from engine.models.spatial import load, load_low
from engine.offline import separate as separate_whole
from engine.separator import Separator
from tests.engine.models.sounds import (
    F32,
    RATE,
    bass,
    bursts,
    centred,
    clicks,
    music,
    rms_db,
    seconds,
    separate,
    tone_at_one_side,
    tone_out_of_phase,
    voice,
)

LEAST_SDR_DB = {"spatial": 0.0, "spatial-low": -1.5}
"""Of any stem where all four sound at once."""
LEAST_GAIN_DB = {"vocals": 18.0, "drums": 9.0, "bass": 6.0, "other": 18.0}
"""By how much the SDR of a stem has to be above the mixture's where all four sound at once."""


@pytest.fixture(scope="module", params=[load, load_low], ids=["spatial", "spatial-low"])
def separator(request: pytest.FixtureRequest) -> Separator:
    return request.param()


def settled_levels_db(separator: Separator, signal: F32) -> dict[str, float]:
    """Level of each stem against the mixture, without the first half second."""
    stems, _ = separate(separator, signal)
    settled = stems[0, :, :, RATE // 2 :]
    mixture = rms_db(settled.sum(axis=0))
    return {name: rms_db(part) - mixture for name, part in zip(separator.spec.stems, settled, strict=True)}


@pytest.mark.parametrize(
    ("signal", "stem", "least_db"),
    [
        pytest.param(voice(), "vocals", -1.0, id="centred voice"),
        pytest.param(clicks(), "drums", -0.5, id="clicks"),
        pytest.param(bursts(), "drums", -0.5, id="bursts of noise"),
        pytest.param(bass(), "bass", -0.5, id="60 Hz"),
        pytest.param(tone_at_one_side(), "other", -0.5, id="tone at one side"),
        pytest.param(tone_out_of_phase(), "other", -0.5, id="tone out of phase"),
    ],
)
def test_each_kind_of_sound_goes_to_its_stem(signal: F32, stem: str, least_db: float, separator: Separator) -> None:
    levels = settled_levels_db(separator, signal)
    own = levels.pop(stem)
    assert own > least_db
    assert max(levels.values()) < own - 10.0


@pytest.mark.parametrize("hz", [40.0, 50.0, 60.0, 80.0, 110.0, 160.0])
def test_a_held_low_tone_is_bass_at_every_pitch(hz: float, separator: Separator) -> None:
    levels = settled_levels_db(separator, centred(0.3 * np.sin(2 * np.pi * hz * seconds(2))))
    assert levels["bass"] > -3.0
    assert max(level for stem, level in levels.items() if stem != "bass") < levels["bass"] - 6.0


def test_the_low_end_of_a_struck_drum_is_heard_in_the_drums(separator: Separator) -> None:
    """A kick: a tone that falls from 110 to 50 Hz and dies away within a fifth of a second, twice a second."""
    time = np.arange(RATE // 5) / RATE
    struck = 0.6 * np.sin(2 * np.pi * (50.0 * time - 60.0 * 0.03 * np.expm1(-time / 0.03))) * np.exp(-time / 0.06)
    signal = np.zeros(3 * RATE)
    for start in range(RATE // 4, len(signal) - len(struck), RATE // 2):
        signal[start : start + len(struck)] += struck
    levels = settled_levels_db(separator, centred(signal))
    own = levels.pop("drums")
    assert own > -1.0
    assert max(levels.values()) < own - 14.0


def test_sounds_that_are_mixed_are_separated(separator: Separator) -> None:
    parts = {"vocals": voice(), "drums": bursts(), "bass": bass(), "other": tone_at_one_side()}
    mixture = np.sum(list(parts.values()), axis=0)
    stems, _ = separate(separator, mixture)
    late = separator.spec.lookahead_frames
    for index, name in enumerate(separator.spec.stems):
        truth = parts[name][0, :, : stems.shape[3] - late]
        error = stems[0, index, :, late:] - truth
        floor = rms_db(truth) - rms_db(mixture[0, :, : truth.shape[1]] - truth)
        sdr = rms_db(truth) - rms_db(error)
        assert sdr > floor + LEAST_GAIN_DB[name], name
        assert sdr > LEAST_SDR_DB[separator.spec.name], name


def test_a_mono_recording_gives_mono_stems_that_are_those_of_its_stereo_twin(separator: Separator) -> None:
    mono = music(1)[0].mean(axis=0, keepdims=True)
    stems = separate_whole(separator, mono, RATE)
    twin = separate_whole(separator, np.concatenate((mono, mono)), RATE)
    assert stems.shape == (4, 1, mono.shape[1])
    np.testing.assert_allclose(stems[:, 0], twin[:, 0], rtol=0.0, atol=1e-6)
    np.testing.assert_allclose(twin[:, 0], twin[:, 1], rtol=0.0, atol=1e-6)
    np.testing.assert_allclose(stems.sum(axis=0), mono, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("silent", [0, 1])
def test_a_channel_that_is_silent_stays_silent_in_every_stem(silent: int, separator: Separator) -> None:
    signal = music(1)
    signal[:, silent] = 0.0
    stems, _ = separate(separator, signal)
    assert rms_db(stems[:, :, silent]) < rms_db(stems[:, :, 1 - silent]) - 120.0


@pytest.mark.parametrize("gains", [(1.0, 0.5), (0.2, 1.0), (0.7, -0.7)])
def test_a_source_keeps_its_place_in_the_stereo_image_of_every_stem(
    gains: tuple[float, float], separator: Separator
) -> None:
    source = music(1)[0, 0]
    left, right = gains
    stems, _ = separate(separator, np.stack((left * source, right * source))[None].astype(np.float32))
    np.testing.assert_allclose(stems[0, :, 1], stems[0, :, 0] * (right / left), rtol=0.0, atol=1e-6)


def test_silence_gives_silence_and_so_does_the_stream_after_it(separator: Separator) -> None:
    stems = separate_whole(separator, np.zeros((2, RATE), np.float32), RATE)
    assert not stems.any()


def test_direct_current_is_no_voice_and_no_drum(separator: Separator) -> None:
    levels = settled_levels_db(separator, np.full((1, 2, 2 * RATE), 0.5, np.float32))
    assert levels["bass"] > -1.0
    assert levels["vocals"] < -40.0
    assert levels["drums"] < -15.0


def test_clipped_music_is_separated_as_music_and_no_stem_overshoots(separator: Separator) -> None:
    clean = voice() + bursts() + bass()
    clipped = np.clip(3.0 * clean, -1.0, 1.0)
    stems, _ = separate(separator, clipped)
    assert np.abs(stems).max() < 2.0
    levels = {name: rms_db(part) for name, part in zip(separator.spec.stems, stems[0], strict=True)}
    mixture = rms_db(clipped)
    assert all(level > mixture - 20.0 for name, level in levels.items() if name != "other")


def test_softer_music_gives_the_same_stems_softer(separator: Separator) -> None:
    """Down to 60 dB softer: levels are compared with each other, never with a threshold that music comes near to."""
    signal = music(3)
    loud, soft = (separate(separator, signal * np.float32(gain))[0][..., 3 * RATE // 2 :] for gain in (1.0, 1e-3))
    assert rms_db(1e3 * soft - loud) < rms_db(loud) - 40.0
