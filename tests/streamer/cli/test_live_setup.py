"""From the words of the command line to a model, its operating point and a mixer's settings."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from engine.errors import ConfigurationError, DeviceError, LatencyError, ModelError, StemstreamError
from streamer.cli.live_setup import (
    OPERATING_POINTS,
    LiveChoice,
    LiveModels,
    apply_settings,
    choices_for,
    named_error,
    parse_gains,
    split_arguments,
    stations_of,
)
from streamer.mixer import Mixer


@pytest.mark.parametrize(
    ("latency", "model", "choices"),
    [
        (None, None, (LiveChoice("balanced", "spatial"),)),
        ("balanced", None, (LiveChoice("balanced", "spatial"),)),
        ("low", None, (LiveChoice("low", "spatial-low"),)),
        ("low", "mine.onnx", (LiveChoice("low", "mine.onnx"),)),
        (None, "mine.onnx", (LiveChoice("balanced", "mine.onnx"),)),
        (
            "quality",
            None,
            (LiveChoice("quality", "spatial", 0.15, "high"), LiveChoice("quality", "spatial", None, "high")),
        ),
        ("40", None, (LiveChoice("40 ms", "spatial", 0.04), LiveChoice("40 ms", "spatial-low", 0.04))),
        ("62.5", "mine.onnx", (LiveChoice("62.5 ms", "mine.onnx", 0.0625),)),
    ],
)
def test_a_latency_and_a_model_give_what_to_try(
    latency: str | None, model: str | None, choices: tuple[LiveChoice, ...]
) -> None:
    assert choices_for(latency, model) == choices


@pytest.mark.parametrize("latency", ["0", "-5", "nan", "inf", "60001", "fast", "", "Low"])
def test_what_is_no_latency_is_refused(latency: str) -> None:
    with pytest.raises(ConfigurationError, match=f"--latency-ms '{latency}' is no latency") as caught:
        choices_for(latency, None)
    assert str(caught.value).endswith("up to 60000, or low, balanced, quality")


@pytest.mark.parametrize("point", OPERATING_POINTS)
def test_every_operating_point_has_a_model_of_its_own_choice(point: str) -> None:
    with_one_given = choices_for(point, "mine.onnx")
    assert {choice.model for choice in with_one_given} == {"mine.onnx"}
    assert [choice.latency_s for choice in with_one_given] == [choice.latency_s for choice in choices_for(point, None)]


@pytest.mark.parametrize(
    ("arguments", "source", "outputs"),
    [
        ([], "mic", []),
        (["loopback"], "loopback", []),
        (["drums=3,4", "bass=5"], "mic", ["drums=3,4", "bass=5"]),
        (["mic:3", "drums=3,4"], "mic:3", ["drums=3,4"]),
        # An input may have such a name.
        (["mic:In=1"], "mic:In=1", []),
        # What is wrong with it, the map of outputs says.
        (["loopback", "drums=x"], "loopback", ["drums=x"]),
    ],
)
def test_outputs_of_stems_are_told_from_the_source(arguments: list[str], source: str, outputs: list[str]) -> None:
    assert split_arguments(arguments) == (source, outputs)


def test_two_sources_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="sources mic, loopback were given: give one"):
        split_arguments(["mic", "vocals=1", "loopback"])


@pytest.mark.parametrize("source", ["line", "3", "mic:", "Loopback", "loopback:", ""])
def test_what_is_no_source_is_refused(source: str) -> None:
    with pytest.raises(ConfigurationError, match=f"source '{source}' is not known: use mic, mic:NAME, mic:3"):
        split_arguments([source])


@pytest.mark.parametrize("model", [None, "mine.onnx"])
def test_the_round_of_operating_points_holds_the_latency_that_was_asked_for(model: str | None) -> None:
    points = tuple(choices_for(name, model) for name in OPERATING_POINTS)
    assert stations_of(points[1][0], model) == points
    (start, *_) = choices_for("40", model)
    assert stations_of(start, model) == ((start,), *points)


@pytest.mark.parametrize(
    ("error", "latency", "told"),
    [
        (ConfigurationError("ring_blocks=0 is not"), None, ConfigurationError("--ring-blocks 0 is not")),
        (ConfigurationError("max_block_frames=0 is not"), "40", ConfigurationError("--block-frames 0 is not")),
        (
            DeviceError("refused 1 Hz; use one as sample_rate"),
            None,
            DeviceError("refused 1 Hz; use one as --sample-rate"),
        ),
        (
            LatencyError("too little", smallest_s=0.05),
            "40",
            LatencyError("--latency-ms 40: too little", smallest_s=0.05),
        ),
        (LatencyError("too little"), None, LatencyError("too little")),
        (DeviceError("my_sample_rates is busy"), None, DeviceError("my_sample_rates is busy")),
    ],
)
def test_an_error_names_options_and_no_parameters(
    error: StemstreamError, latency: str | None, told: StemstreamError
) -> None:
    named = named_error(error, latency)
    assert type(named) is type(told)
    assert vars(named) == vars(told)
    assert str(named) == str(told)


def test_gains_are_read() -> None:
    assert parse_gains(["bass=-6", "vocals=+3.5", "drums=-inf"]) == {"bass": -6.0, "vocals": 3.5, "drums": -math.inf}
    assert parse_gains([]) == {}


@pytest.mark.parametrize("gain", ["bass", "=3", "bass=", "bass=loud", "bass=nan", ""])
def test_what_is_no_gain_is_refused(gain: str) -> None:
    with pytest.raises(ConfigurationError, match=f"--gain '{gain}' is not STEM=DB: write for instance bass=-6"):
        parse_gains([gain])


@pytest.fixture
def mixer() -> Mixer:
    return Mixer(("vocals", "drums", "other"), channels=2, sample_rate=48_000, max_block_frames=256)


def test_settings_reach_the_mixer(mixer: Mixer) -> None:
    apply_settings(mixer, mute=["Vocals"], solo=["drums", "other"], gains={"drums": -6.0})
    assert [mixer[stem].mute for stem in mixer] == [True, False, False]
    assert [mixer[stem].solo for stem in mixer] == [False, True, True]
    assert [mixer[stem].gain_db for stem in mixer] == [0.0, -6.0, 0.0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mute": ["piano"]}, "stem 'piano' is unknown: the stems are vocals, drums, other"),
        ({"solo": ["vocal"]}, "did you mean 'vocals'"),
        ({"gains": {"drums": 13.0}}, r"gain_db of drums is 13\.0"),
    ],
)
def test_settings_that_are_not_allowed_are_refused(mixer: Mixer, settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        apply_settings(mixer, **({"mute": [], "solo": [], "gains": {}} | settings))  # type: ignore[arg-type]


def test_a_model_is_loaded_once_and_makes_processors_that_never_wait(tiny: Path) -> None:
    models = LiveModels(None, None)
    first, second = (models.processor(LiveChoice("balanced", str(tiny))) for _ in range(2))
    assert first is not second
    assert first._separator is second._separator
    assert first.is_realtime
    models.release()


def test_a_time_between_windows_is_that_of_the_plan(tiny: Path) -> None:
    models = LiveModels(None, 10.0)
    with models.processor(LiveChoice("balanced", str(tiny))).prepare(
        sample_rate=44_100, channels=2, max_block_frames=256
    ) as processor:
        assert processor.plan.hop_frames == 441
    models.release()


@pytest.mark.parametrize("hop_ms", [0.0, -1.0, float("nan"), float("inf"), 60_001.0])
def test_what_is_no_time_between_windows_is_refused(hop_ms: float) -> None:
    with pytest.raises(ConfigurationError, match=f"--hop-ms {hop_ms:g} is no time between two windows"):
        LiveModels(None, hop_ms)


def test_a_model_with_one_hop_takes_no_other_one() -> None:
    models = LiveModels(None, 10.0)
    with pytest.raises(ConfigurationError, match="is stateful and has one plan"):
        models.processor(LiveChoice("balanced", "spatial"))
    models.release()


def test_a_model_that_is_not_there_is_an_error_of_the_model() -> None:
    with pytest.raises(ModelError):
        LiveModels(None, None).processor(LiveChoice("balanced", "no-such-model"))
