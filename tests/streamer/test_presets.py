"""Presets mute what their names say, whatever the model gives."""

from __future__ import annotations

import pytest

from engine.errors import ConfigurationError
from streamer.mixer import Mixer
from streamer.output_map import OutputMap
from streamer.presets import PRESETS, apply_preset, muted_by

FOUR = ("vocals", "drums", "bass", "other")


@pytest.mark.parametrize(
    ("preset", "muted"),
    [
        ("all", ()),
        ("karaoke", ("vocals",)),
        ("instrumental", ("vocals",)),
        ("acappella", ("drums", "bass", "other")),
        ("drumless", ("drums",)),
    ],
)
def test_a_preset_mutes_what_its_name_says(preset: str, muted: tuple[str, ...]) -> None:
    assert muted_by(preset, FOUR) == muted


def test_names_are_found_in_any_case() -> None:
    assert muted_by("karaoke", ("Vocals", "Instrumental")) == ("Vocals",)


@pytest.mark.parametrize("preset", [each for each in PRESETS if each != "all"])
def test_a_preset_about_a_stem_that_is_not_there_is_refused(preset: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"preset '{preset}' is about (vocals|drums), .* bass, other: mute"):
        muted_by(preset, ("bass", "other"))


def test_a_preset_that_is_unknown_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="preset 'loud' is not known: use one of all, karaoke"):
        muted_by("loud", FOUR)


def test_another_preset_undoes_the_one_before_and_leaves_gains() -> None:
    mixer = Mixer(FOUR, channels=2, sample_rate=8000, max_block_frames=64, outputs=OutputMap.of_mix(2))
    mixer["bass"].gain = 0.5
    mixer["bass"].solo = True
    for preset in ("acappella", "karaoke"):
        apply_preset(preset, mixer)
    assert [stem for stem in mixer if mixer[stem].mute] == ["vocals"]
    assert not any(mixer[stem].solo for stem in mixer)
    assert mixer["bass"].gain == 0.5
