"""The music that rows are measured with: a folder of the user's, or a composed song."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.errors import ConfigurationError
from engine.files.rate_converter import RateConverter
from engine.files.reader import AudioReader
from engine.separator import F32

__all__ = ["composed", "music_in"]

_SUFFIXES = (".flac", ".wav", ".mp3", ".ogg", ".opus")
_MIXTURE = "mixture"
_MOST_S = 120.0


def composed(seconds: float, sample_rate: int, channels: int) -> tuple[F32, dict[str, F32]]:
    """Compose a song; give it and its stems, (channels, frames) each."""
    from streamer.song import compose_song

    song = compose_song(seconds, sample_rate=sample_rate)
    return _fit(song.mixture, channels), {name: _fit(stem, channels) for name, stem in song.stems.items()}


def music_in(place: Path, sample_rate: int, channels: int) -> tuple[F32, dict[str, F32]]:
    """Read a song, or a folder's mixture and those of its true stems that lie beside it; two minutes at most.

    Raises
    ------
    ConfigurationError
        If there is nothing there, or no mixture in the folder.
    AudioFileError
        If a file cannot be read.
    """
    if place.is_file():
        return _fit(_read(place, sample_rate), channels), {}
    if not place.is_dir():
        raise ConfigurationError(
            f"--audio {str(place)!r} is not there: name a song, or a folder with mixture.flac and its stems"
        )
    found: Mapping[str, Path] = {
        path.stem.lower(): path for path in sorted(place.iterdir()) if path.suffix.lower() in _SUFFIXES
    }
    if _MIXTURE not in found:
        raise ConfigurationError(f"--audio {str(place)!r} has no mixture.flac or mixture.wav: put one there")
    sounds = {name: _fit(_read(path, sample_rate), channels) for name, path in found.items()}
    return sounds.pop(_MIXTURE), sounds


def _read(path: Path, sample_rate: int) -> F32:
    with AudioReader(path) as reader:
        converter = RateConverter(reader.sample_rate, sample_rate, reader.channels)
        blocks, left = [], round(_MOST_S * reader.sample_rate)
        for block in reader.blocks(1 << 16):
            blocks.append(np.array(converter.process(block[:, :left])))
            left -= block.shape[1]
            if left <= 0:
                break
        blocks.append(np.array(converter.flush()))
    return np.concatenate(blocks, axis=1)


def _fit(audio: F32, channels: int) -> F32:
    if len(audio) == channels:
        return audio
    return np.repeat(audio, channels, axis=0) if len(audio) == 1 else audio.mean(axis=0, keepdims=True)
