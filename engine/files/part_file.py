"""A file in the making: a hidden part file of its own beside the target until it is whole."""

from __future__ import annotations

import io
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import OutputError

__all__ = ["PartFile", "whole_file", "write_whole"]

_RANDOM_BYTES = 4
_STALE_S = 7 * 24 * 3600.0


class PartFile:
    """Bytes for a file that must appear whole or not at all.

    They go to ``.NAME.RANDOM.part`` beside it, which is made anew and never shared: two processes with the same target
    do not disturb each other, and no link is followed. A target that is a link is replaced, not what it leads to. What
    a killed process left of this target is removed if nothing was written to it for a week.

    It has the file methods that libsndfile's virtual files call. Those calls come through C, where an exception
    would be lost: a write that fails is kept in ``error`` and every later one is refused. Belongs to one thread.

    Parameters
    ----------
    target : Path
        Its folder is made if it is missing.
    option : str
        The command's option that names it, for an error's remedy.

    Attributes
    ----------
    error : OSError or None
        The first failure of a write.
    path : Path
        The part file.
    is_placed : bool
        The target is there.

    Raises
    ------
    OutputError
        If the target is a folder, or its folder or the part file cannot be made.
    """

    def __init__(self, target: Path, *, option: str = "--out") -> None:
        self._target = target
        self.error: OSError | None = None
        self.is_placed = False
        if target.is_dir():
            raise OutputError(f"{str(target)!r} is a folder: choose another file name, or move the folder away")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"folder {str(target.parent)!r} cannot be made ({error.strerror}): choose another with {option}"
            ) from error
        self._existed = os.path.lexists(target)
        _remove_stale(target)
        try:
            self.path, self._raw = _open_part(target)
        except OSError as error:
            raise OutputError(
                f"{str(target)!r} cannot be written ({error.strerror}): choose another folder with {option}"
            ) from error

    def write(self, data: bytes) -> int:
        """Write all of ``data``, or keep the error and give 0."""
        if self.error is not None:
            return 0
        view = memoryview(data)
        try:
            while view:
                view = view[self._raw.write(view) or 0 :]
        except OSError as error:
            self.error = error
            return 0
        return len(data)

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes."""
        return self._raw.read(size) or b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, as files do."""
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        """Give the place, as files do."""
        return self._raw.tell()

    def sync(self) -> None:
        """Bring everything to the disk and close the part file; an OSError passes through."""
        os.fsync(self._raw.fileno())
        self._raw.close()

    def place(self) -> None:
        """Rename the part file to the target in one step; an OSError passes through."""
        os.replace(self.path, self._target)
        self.is_placed = True

    def withdraw(self) -> None:
        """Take a placed target away again, unless there was one before."""
        if self.is_placed and not self._existed:
            with suppress(OSError):
                self._target.unlink()

    def discard(self) -> None:
        """Close and remove the part file."""
        with suppress(OSError):
            self._raw.close()
        with suppress(OSError):
            self.path.unlink()


@contextmanager
def whole_file(path: Path, *, option: str = "--out") -> Iterator[PartFile]:
    """Give a file to write to: it appears at the end, and not at all after an exception or a failed write.

    That its place can be written to is found out at the beginning.

    Raises
    ------
    OutputError
        As `PartFile` does, and at the end if anything could not be written.
    """
    part = PartFile(path, option=option)
    try:
        yield part
        _finish(part, path)
    except BaseException:
        part.discard()
        raise


def write_whole(path: Path, text: str, *, option: str = "--out") -> None:
    """Write a text file that appears whole or not at all; raises as `whole_file` does."""
    with whole_file(path, option=option) as part:
        part.write(text.encode())


def _finish(part: PartFile, path: Path) -> None:
    try:
        if part.error is not None:
            raise part.error
        part.sync()
        part.place()
    except OSError as error:
        raise OutputError(
            f"{str(path)!r} cannot be written ({error.strerror}): check the folder and the disk"
        ) from error


def _open_part(target: Path) -> tuple[Path, io.FileIO]:
    while True:
        part = target.with_name(f".{target.name}.{secrets.token_hex(_RANDOM_BYTES)}.part")
        try:
            return part, _open_raw(part)
        except FileExistsError:
            continue


def _open_raw(path: Path) -> io.FileIO:
    # Only where there is nothing, not even a link. Unbuffered, so that a full disk is noticed at the write that fills
    # it and not at some later flush.
    return io.FileIO(path, "x+")


def _remove_stale(target: Path) -> None:
    """Remove what killed processes left, as far as that can be: it is in nobody's way."""
    begin, end = f".{target.name}.", ".part"
    length = len(begin) + 2 * _RANDOM_BYTES + len(end)
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if len(entry.name) == length and entry.name.startswith(begin) and entry.name.endswith(end):
                facts = entry.stat(follow_symlinks=False)
                if time.time() - facts.st_mtime > _STALE_S:
                    os.unlink(entry.path)
