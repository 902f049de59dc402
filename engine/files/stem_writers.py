"""The files of all stems of one song, which appear together or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType, TracebackType

import numpy as np
import numpy.typing as npt

from engine.errors import BlockError, ConfigurationError
from engine.files.writer import AudioWriter

__all__ = ["StemWriters"]


class StemWriters:
    """One file per stem, which all appear or none.

    A context manager: on success every file is finished first and only then all are renamed; on any exception,
    Ctrl-C included, all are removed. Should a rename itself fail, files that were not there before are removed
    again; one that had replaced an older file by then stays, whole.

    An object may be used from any one thread at a time.

    Parameters
    ----------
    paths : mapping of str to path-like
        Stem name to file, in the order of the stems.
    sample_rate, channels, frames_hint, subtype
        As in `AudioWriter`; ``frames_hint`` is the length of each file.
    comments : mapping of str to str, optional
        What the tags of each stem's file say.

    Attributes
    ----------
    writers : mapping of str to AudioWriter
        In the order of ``paths``.

    Raises
    ------
    ConfigurationError
        If there are no paths, or two stems share one; and as `AudioWriter` does.
    OutputError
        As `AudioWriter` does; files opened before the one that fails are removed.
    """

    def __init__(
        self,
        paths: Mapping[str, str | os.PathLike[str]],
        sample_rate: int,
        channels: int,
        *,
        frames_hint: int | None = None,
        subtype: str = "FLOAT",
        comments: Mapping[str, str] | None = None,
    ) -> None:
        _check_distinct(paths)
        writers: dict[str, AudioWriter] = {}
        self.writers: Mapping[str, AudioWriter] = MappingProxyType(writers)
        try:
            for stem, path in paths.items():
                writers[stem] = AudioWriter(
                    path,
                    sample_rate,
                    channels,
                    frames_hint=frames_hint,
                    subtype=subtype,
                    comment=None if comments is None else comments[stem],
                )
        except BaseException:
            self.abort()
            raise

    def write(self, stems: npt.NDArray[np.float32]) -> None:
        """Append one block to every file.

        Parameters
        ----------
        stems : ndarray of float32, shape (stems, channels, frames)
            In the order of ``writers``.

        Raises
        ------
        BlockError, OutputError, LifecycleError
            As `AudioWriter.write` does.
        """
        if stems.ndim != 3 or stems.shape[0] != len(self.writers):
            raise BlockError(f"stems have shape {stems.shape}: it must be ({len(self.writers)}, channels, frames)")
        for writer, block in zip(self.writers.values(), stems, strict=True):
            writer.write(block)

    def commit(self) -> None:
        """Finish all files, then let all appear; calling it again does nothing.

        Raises
        ------
        OutputError
            If one cannot be finished or renamed: then none appears.
        LifecycleError
            After ``abort``.
        """
        placed: list[AudioWriter] = []
        try:
            for writer in self.writers.values():
                writer.seal()
            for writer in self.writers.values():
                writer.commit()
                placed.append(writer)
        except BaseException:
            for writer in placed:
                writer.withdraw()
            self.abort()
            raise

    def abort(self) -> None:
        """Remove all files that are not committed; calling it again does nothing."""
        for writer in self.writers.values():
            writer.abort()

    def __enter__(self) -> StemWriters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.abort()


def _check_distinct(paths: Mapping[str, str | os.PathLike[str]]) -> None:
    if not paths:
        raise ConfigurationError("no stems to write: name at least one")
    seen: dict[str, str] = {}
    for stem, path in paths.items():
        # Two names that differ in case alone are one file on Windows and macOS.
        key = os.path.abspath(path).casefold()
        if key in seen:
            raise ConfigurationError(
                f"stems {seen[key]!r} and {stem!r} would share {str(path)!r}: put {{stem}} into the file name template"
            )
        seen[key] = stem
