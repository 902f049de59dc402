"""Which files of a folder are songs, in what order, and where in the folder they lie."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import AudioFileError
from engine.files.provenance import is_marked

__all__ = ["AUDIO_SUFFIXES", "AudioInput", "FailedFolder", "find_audio", "natural_key"]

AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc"),
    *(".au", ".caf", ".w64", ".rf64", ".m4a", ".m4b", ".aac"),
)
"""What is taken from a folder, in any case of letters. A file that is named is tried whatever it is called."""


@dataclass(frozen=True)
class AudioInput:
    """A file to separate.

    Attributes
    ----------
    path : Path
    subfolders : tuple of str
        The folders between the one that was named and the file; empty for a file that was named.
    """

    path: Path
    subfolders: tuple[str, ...] = ()


@dataclass(frozen=True)
class FailedFolder:
    """A folder that was named and has no song in it, or one that cannot be read.

    Attributes
    ----------
    path : Path
    error : AudioFileError
    """

    path: Path
    error: AudioFileError


def find_audio(
    paths: Sequence[Path], *, recursive: bool, out: Path
) -> tuple[tuple[AudioInput, ...], tuple[FailedFolder, ...]]:
    """Give every file to separate once, and the folders that gave none or cannot be read.

    Files that are named come as they are. Of a folder come those with one of the suffixes, in the order in
    which people count (2 before 10), without hidden ones. Links to folders are not followed. Where the output folder
    lies in the folder, or is the folder, no stem is taken for a song: neither what is in it nor what says that it was
    made here.

    Parameters
    ----------
    paths : sequence of Path
        Files and folders.
    recursive : bool
        Look into the folders of folders too.
    out : Path
        The output folder.

    Returns
    -------
    inputs : tuple of AudioInput
    failed : tuple of FailedFolder
    """
    found: dict[str, AudioInput] = {}
    failed: list[FailedFolder] = []
    for path in paths:
        if not path.is_dir():
            found.setdefault(os.path.realpath(path), AudioInput(path))
            continue
        unread: list[FailedFolder] = []
        songs = list(_songs(path, unread, recursive=recursive, out=out))
        if not songs and not unread:
            unread.append(FailedFolder(path, _nothing_in(path, recursive=recursive)))
        failed += unread
        for song in songs:
            found.setdefault(os.path.realpath(song.path), song)
    return tuple(found.values()), tuple(failed)


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Give what a name is sorted by: numbers by their value, letters in any case."""
    pieces = re.split(r"(\d+)", name.casefold())
    return tuple((0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces if piece)


def _songs(folder: Path, unread: list[FailedFolder], *, recursive: bool, out: Path) -> Iterator[AudioInput]:
    home, target = os.path.realpath(folder), os.path.realpath(out)
    holds_stems = target == home or target.startswith(os.path.join(home, ""))
    for place, names, files in os.walk(folder, onerror=lambda error: unread.append(_unreadable(error))):
        subfolders = Path(place).relative_to(folder).parts
        names[:] = sorted(
            (
                name
                for name in names
                if recursive
                and not name.startswith(".")
                and os.path.realpath(os.path.join(place, name)) != target
                and not os.path.islink(os.path.join(place, name))
            ),
            key=natural_key,
        )
        for name in sorted(files, key=natural_key):
            path = Path(place, name)
            if name.startswith(".") or path.suffix.lower() not in AUDIO_SUFFIXES:
                continue
            if holds_stems and is_marked(path):
                continue
            yield AudioInput(path, subfolders)


def _unreadable(error: OSError) -> FailedFolder:
    path = Path(error.filename)
    reason = f"folder {str(path)!r} cannot be read ({error.strerror}): change its permissions, or leave it out"
    return FailedFolder(path, AudioFileError(reason))


def _nothing_in(folder: Path, *, recursive: bool) -> AudioFileError:
    deeper = "" if recursive else "; --recursive looks into its folders too"
    return AudioFileError(
        f"{str(folder)!r} is a folder without songs: looked for files that end in {', '.join(AUDIO_SUFFIXES)}{deeper}"
    )
