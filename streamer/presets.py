"""Mixes that many want, by name: which stems are silent, whatever the model calls the others."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import ConfigurationError
from engine.spec import find_stem
from streamer.mixer import Mixer

__all__ = ["PRESETS", "apply_preset", "muted_by"]

_VOCALS, _DRUMS = "vocals", "drums"

PRESETS = ("all", "karaoke", "instrumental", "acappella", "drumless")
"""Everything; without the voice (twice, as both words are in use); the voice alone; without the drums."""


def muted_by(preset: str, stems: Sequence[str]) -> tuple[str, ...]:
    """Give the stems that a preset mutes.

    Raises
    ------
    ConfigurationError
        If there is no such preset, or the model does not give the stem that it is about.
    """
    if preset not in PRESETS:
        raise ConfigurationError(f"preset {preset!r} is not known: use one of {', '.join(PRESETS)}")
    if preset == "all":
        return ()
    name = _DRUMS if preset == "drumless" else _VOCALS
    stem = find_stem(name, stems)
    if stem is None:
        raise ConfigurationError(
            f"preset {preset!r} is about {name}, and the model's stems are {', '.join(stems)}: mute or solo one of them"
        )
    return tuple(each for each in stems if each != stem) if preset == "acappella" else (stem,)


def apply_preset(preset: str, mixer: Mixer) -> None:
    """Mute what a preset mutes, and nothing else; raises as `muted_by` does."""
    muted = muted_by(preset, mixer.stems)
    for stem in mixer:
        mixer[stem].mute = stem in muted
        mixer[stem].solo = False
