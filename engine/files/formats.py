"""Which kinds of audio files are written, and what samples they hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.errors import ConfigurationError

__all__ = ["checked_format", "stored_subtype"]

_SUBTYPES: Mapping[str, Mapping[str, tuple[str, int]]] = {
    ".wav": {"FLOAT": ("FLOAT", 4), "PCM_16": ("PCM_16", 2), "PCM_24": ("PCM_24", 3)},
    ".flac": {"FLOAT": ("PCM_24", 3), "PCM_16": ("PCM_16", 2), "PCM_24": ("PCM_24", 3)},
}
_CHANNELS = (1, 2)
# What a FLAC header can hold, and far above any audio.
_MAX_RATE = 655_350


def stored_subtype(ext: str, subtype: str) -> str:
    """Give the kind of samples that a file of this suffix has where ``subtype`` is asked for."""
    return _SUBTYPES[f".{ext.lstrip('.').lower()}"][subtype][0]


def checked_format(path: Path, sample_rate: int, channels: int, subtype: str) -> tuple[str, int]:
    """Give libsndfile's name for the samples of a file to be written, and their bytes.

    Raises
    ------
    ConfigurationError
        If the suffix, subtype, channels or rate is not among what is allowed.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUBTYPES:
        raise ConfigurationError(f"{str(path)!r} ends in {suffix!r}: allowed are {', '.join(_SUBTYPES)}")
    if subtype not in _SUBTYPES[suffix]:
        raise ConfigurationError(f"subtype is {subtype!r}: allowed are {', '.join(_SUBTYPES[suffix])}")
    if channels not in _CHANNELS:
        raise ConfigurationError(f"channels is {channels}: allowed are 1 and 2")
    if not 1 <= sample_rate <= _MAX_RATE:
        raise ConfigurationError(f"sample_rate is {sample_rate}: allowed are 1 to {_MAX_RATE} Hz")
    return _SUBTYPES[suffix][subtype]
