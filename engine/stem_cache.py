"""Separated stems that are kept for the next time: by song, model and settings, as many as there is room for."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.cache import cache_folder
from engine.cached_stems import CachedStems, CacheWriter, crc32_of
from engine.errors import AudioFileError, ConfigurationError, OutputError
from engine.file_lock import locked

__all__ = ["DEFAULT_LIMIT_BYTES", "CacheEntry", "CacheKey", "StemCache"]

DEFAULT_LIMIT_BYTES = 8 << 30
"""Some eighty songs of four stems."""

_VERSION = 1
_FACTS = "entry.json"
_RANDOM_BYTES = 4
_STALE_S = 24 * 3600.0
_DIGITS = 32


@dataclass(frozen=True)
class CacheKey:
    """All that stems depend on.

    Attributes
    ----------
    song : str
        SHA-256 of the file.
    model : str
        As `engine.model_identity.model_identity` tells it from all others.
    settings : str
        How it was cut into windows.
    """

    song: str
    model: str
    settings: str

    @property
    def name(self) -> str:
        """Name of the folder."""
        return hashlib.sha256("\n".join((self.song, self.model, self.settings)).encode()).hexdigest()[:_DIGITS]


@dataclass(frozen=True)
class CacheEntry:
    """What is kept of one song.

    Attributes
    ----------
    name : str
        Of its folder.
    title : str
        Of the song's file when it was separated.
    song, model, settings : str
        As in `CacheKey`.
    stems : tuple of str
    sample_rate, channels, frames : int
    crc32 : tuple of int
        Of each stem's file.
    size_bytes : int
    used_s : float
        When it was used last, in seconds since 1970.
    """

    name: str
    title: str
    song: str
    model: str
    settings: str
    stems: tuple[str, ...]
    sample_rate: int
    channels: int
    frames: int
    crc32: tuple[int, ...] = ()
    size_bytes: int = 0
    used_s: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        return asdict(self)


class StemCache:
    """A folder of stems, shared by any number of processes. Entries appear whole or not at all.

    Parameters
    ----------
    folder : Path, optional
        Left out: ``stems`` in the project's cache folder.
    limit_bytes : int
        What was not used for the longest time goes when there is more than this.

    Raises
    ------
    ConfigurationError
        If the limit is below 0.
    """

    def __init__(self, folder: Path | None = None, *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        if limit_bytes < 0:
            raise ConfigurationError(f"limit_bytes={limit_bytes} is no size: give 0 or more")
        self.folder = cache_folder() / "stems" if folder is None else folder
        self.limit_bytes = limit_bytes

    def find(self, key: CacheKey) -> tuple[CachedStems | None, str | None]:
        """Look for stems.

        Returns
        -------
        stems : CachedStems or None
        problem : str or None
            What was wrong with an entry that was there, and is removed, in one line.
        """
        place = self.folder / key.name
        try:
            entry = _read_entry(place)
            if (entry.song, entry.model, entry.settings) != (key.song, key.model, key.settings):
                raise ValueError("it is of another song")
            for stem, crc in enumerate(entry.crc32):
                if crc32_of(place / _file_name(stem)) != crc:
                    raise ValueError(f"the file of {entry.stems[stem]} was changed")
            found = CachedStems(
                [place / _file_name(stem) for stem in range(len(entry.stems))],
                sample_rate=entry.sample_rate,
                channels=entry.channels,
                frames=entry.frames,
            )
        except (FileNotFoundError, NotADirectoryError):
            # Another process may be clearing up at this moment; half an entry is none.
            if place.is_dir():
                self._remove(place)
            return None, None
        except PermissionError as error:
            return None, f"the stems kept in {str(place)!r} cannot be read ({error.strerror}): change its permissions"
        except (OSError, ValueError, KeyError, TypeError, AudioFileError) as error:
            self._remove(place)
            return None, f"the stems kept in {str(place)!r} are damaged ({_reason(error)}): they are separated again"
        with suppress(OSError):
            os.utime(place / _FACTS)
        return found, None

    def remove(self, key: CacheKey) -> None:
        """Take an entry away, as far as that can be."""
        self._remove(self.folder / key.name)

    def writer(
        self, key: CacheKey, *, title: str, stems: Sequence[str], sample_rate: int, channels: int, frames: int
    ) -> CacheWriter:
        """Begin an entry, which appears once it is committed.

        Raises
        ------
        OutputError
            If the folder cannot be written to.
        """
        part = self.folder / f".{key.name}.{secrets.token_hex(_RANDOM_BYTES)}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_stale()
            part.mkdir()
        except OSError as error:
            raise OutputError(
                f"the cache folder {str(self.folder)!r} cannot be written to ({error.strerror}): stems are not kept; "
                "name another one in STEMSTREAM_CACHE"
            ) from error
        entry = CacheEntry(
            key.name,
            # Names of files need not be text, and JSON must be.
            title.encode(errors="backslashreplace").decode(),
            *(key.song, key.model, key.settings, tuple(stems), sample_rate, channels, frames),
        )
        paths = [part / _file_name(stem) for stem in range(len(stems))]

        def place(crcs: Sequence[int]) -> None:
            self._place(part, replace(entry, crc32=tuple(crcs)))

        return CacheWriter(part, paths, sample_rate, channels, frames, place)

    def entries(self) -> tuple[CacheEntry, ...]:
        """Give what is kept, the newest in use first. What cannot be read is left out."""
        found = []
        with suppress(OSError):
            for place in self.folder.iterdir():
                if not place.name.startswith("."):
                    with suppress(OSError, ValueError, KeyError, TypeError):
                        found.append(_read_entry(place))
        return tuple(sorted(found, key=lambda entry: -entry.used_s))

    def clear(self) -> tuple[int, int]:
        """Remove everything, also what killed processes left.

        Returns
        -------
        entries, size_bytes : int
            What was removed.

        Raises
        ------
        OutputError
            If some of it cannot be removed.
        """
        kept = self.entries()
        if self.folder.is_dir():
            for place in list(self.folder.iterdir()):
                self._remove(place)
        left = self.entries()
        if left:
            raise OutputError(f"the cache folder {str(self.folder)!r} cannot be emptied: change its permissions")
        return len(kept), sum(entry.size_bytes for entry in kept)

    def prune(self) -> None:
        """Remove what was not used for the longest time until the rest has room."""
        with suppress(OSError), locked(self.folder / ".lock"):
            left = sum(entry.size_bytes for entry in self.entries())
            for entry in reversed(self.entries()):
                if left <= self.limit_bytes:
                    return
                self._remove(self.folder / entry.name)
                left -= entry.size_bytes

    def _place(self, part: Path, entry: CacheEntry) -> None:
        """Let an entry appear; one that another process placed meanwhile is as good."""
        facts = {**asdict(entry), "version": _VERSION}
        size = sum(file.stat().st_size for file in part.iterdir())
        text = json.dumps({**facts, "size_bytes": size}, indent=1)
        with (part / _FACTS).open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        target = self.folder / entry.name
        try:
            os.rename(part, target)
        except OSError:
            if not target.is_dir():
                raise
            shutil.rmtree(part, ignore_errors=True)
        self.prune()

    def _remove(self, place: Path) -> None:
        """Take a folder away in one step, then what is in it."""
        gone = self.folder / f".{place.name.lstrip('.')}.{secrets.token_hex(_RANDOM_BYTES)}.gone"
        with suppress(OSError):
            os.rename(place, gone)
        if gone.is_dir():
            shutil.rmtree(gone, ignore_errors=True)
        else:
            with suppress(OSError):
                gone.unlink()

    def _remove_stale(self) -> None:
        """Remove what killed processes left a day ago: a longer song is not played."""
        with suppress(OSError):
            for place in self.folder.iterdir():
                if place.name.endswith((".part", ".gone")) and time.time() - place.stat().st_mtime > _STALE_S:
                    shutil.rmtree(place, ignore_errors=True)


def _read_entry(place: Path) -> CacheEntry:
    path = place / _FACTS
    facts = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(facts, dict) or facts.pop("version", None) != _VERSION:
        raise ValueError("it was written by another version")
    facts = {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
    entry = CacheEntry(**{**facts, "used_s": path.stat().st_mtime})
    if entry.name != place.name or len(entry.crc32) != len(entry.stems):
        raise ValueError("its facts contradict each other")
    return entry


def _file_name(stem: int) -> str:
    return f"stem-{stem}.flac"


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
