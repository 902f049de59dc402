"""Mixtures with their true stems, as folders of audio files.

An excerpt is a folder that holds ``mixture.wav`` (or flac, mp3, ...) and beside it one file a stem, named after the
stem. A folder of excerpts holds such folders. A stem without a file, or with a silent one, does not play there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import ConfigurationError
from engine.files.reader import AudioReader

__all__ = ["Excerpt", "ExcerptFiles", "find_excerpts", "folders_without_mixture", "level_db", "read_excerpt"]

F32 = npt.NDArray[np.float32]
_MIXTURE = "mixture"
_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif", ".m4a", ".aac", ".mp4")
_BLOCK_FRAMES = 1 << 16


@dataclass(frozen=True)
class ExcerptFiles:
    """Where an excerpt lies: its name, its mixture and the files of its stems."""

    name: str
    mixture: Path
    stems: Mapping[str, Path]


@dataclass(frozen=True)
class Excerpt:
    """A mixture and what it is made of.

    Attributes
    ----------
    name : str
    sample_rate : int
        In Hz.
    mixture : ndarray of float32, shape (channels, frames)
    truths : mapping of str to ndarray of float32, shape (channels, frames)
        The true stems; those that are silent all along are left out.
    """

    name: str
    sample_rate: int
    mixture: F32
    truths: Mapping[str, F32]

    @property
    def remainder(self) -> npt.NDArray[np.float64]:
        """What the mixture holds beside the true stems, shape (channels, frames)."""
        return self.mixture - np.sum([truth.astype(np.float64) for truth in self.truths.values()], axis=0)

    @property
    def remainder_db(self) -> float:
        """Its level against the mixture in dB; minus infinity where the stems add up to the mixture exactly."""
        return level_db(self.remainder, self.mixture)


def level_db(audio: npt.NDArray[np.floating], against: npt.NDArray[np.floating]) -> float:
    """Give the energy of one recording over that of another in dB; minus infinity for silence."""
    energies = [float(np.sum(np.square(each, dtype=np.float64))) for each in (audio, against)]
    return 10.0 * math.log10(energies[0] / energies[1]) if energies[0] > 0.0 else -math.inf


def find_excerpts(folder: Path) -> tuple[ExcerptFiles, ...]:
    """Find the excerpts of a folder: itself, if it holds a mixture, or else the folders in it that do.

    Raises
    ------
    ConfigurationError
        If there is no folder, no mixture, no stem beside a mixture, or a stem twice; the message names the remedy.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{str(folder)!r} is not a folder: give one that holds a mixture and its stems")
    found = [(path, files) for path in (folder, *_folders_in(folder)) if _MIXTURE in (files := _audio_files(path))]
    if not found:
        raise ConfigurationError(
            f"{str(folder)!r} holds no mixture: put {_MIXTURE}.wav and the stems, as in drums.wav, into it or into "
            "folders in it"
        )
    if found[0][0] == folder:
        found = found[:1]
    return tuple(_excerpt_files(path, files) for path, files in found)


def folders_without_mixture(folder: Path) -> tuple[str, ...]:
    """Give the names of the folders in a folder of excerpts that hold audio and are no excerpts."""
    if _MIXTURE in _audio_files(folder):
        return ()
    return tuple(path.name for path in _folders_in(folder) if (files := _audio_files(path)) and _MIXTURE not in files)


def read_excerpt(files: ExcerptFiles) -> Excerpt:
    """Read an excerpt into memory.

    Raises
    ------
    ConfigurationError
        If a stem does not fit its mixture, or the mixture is silent.
    AudioFileError
        If a file cannot be read.
    """
    mixture, sample_rate = _read(files.mixture)
    if not mixture.any():
        raise ConfigurationError(f"{str(files.mixture)!r} is silent: there is nothing to separate, leave it out")
    truths = {}
    for stem, path in files.stems.items():
        truth, rate = _read(path)
        named = (("Hz", rate, sample_rate), ("channels", len(truth), len(mixture)))
        for unit, given, wanted in (*named, ("frames", truth.shape[1], mixture.shape[1])):
            if given != wanted:
                raise ConfigurationError(
                    f"{str(path)!r} has {given} {unit} and {files.mixture.name!r} has {wanted}: make them equal"
                )
        if truth.any():
            truths[stem] = truth
    if not truths:
        raise ConfigurationError(f"every stem beside {str(files.mixture)!r} is silent: leave this excerpt out")
    return Excerpt(files.name, sample_rate, mixture, truths)


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _audio_files(folder: Path) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in _SUFFIXES:
            files.setdefault(path.stem.lower(), []).append(path)
    return files


def _excerpt_files(folder: Path, files: dict[str, list[Path]]) -> ExcerptFiles:
    for paths in files.values():
        if len(paths) > 1:
            names = " and ".join(repr(path.name) for path in paths)
            raise ConfigurationError(f"{str(folder)!r} holds {names}: keep one of them")
    stems = {stem: paths[0] for stem, paths in files.items() if stem != _MIXTURE}
    if not stems:
        raise ConfigurationError(
            f"{str(folder)!r} holds a mixture without stems: put them beside it, as in drums.wav, or leave it out"
        )
    return ExcerptFiles(folder.resolve().name, files[_MIXTURE][0], stems)


def _read(path: Path) -> tuple[F32, int]:
    with AudioReader(path) as reader:
        blocks = list(reader.blocks(_BLOCK_FRAMES))
        audio = np.concatenate(blocks, axis=1) if blocks else np.zeros((reader.channels, 0), np.float32)
        if not np.isfinite(audio).all():
            raise ConfigurationError(f"{str(path)!r} holds samples that are not finite: render it again")
        return audio, reader.sample_rate
