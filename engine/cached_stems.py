"""The files of stems that are kept: FLAC of 24 bits with room above full scale."""

from __future__ import annotations

import shutil
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from engine.errors import AudioFileError, OutputError
from engine.files.sndfile_source import native_path
from engine.files.writer import AudioWriter

__all__ = ["HEADROOM", "CacheWriter", "CachedStems", "crc32_of"]

F32 = npt.NDArray[np.float32]

HEADROOM = 4.0
"""Stems may be louder than their song; FLAC holds nothing above full scale. 22 bits are left below that."""
_BLOCK_BYTES = 1 << 20


class CachedStems:
    """Stems of a whole track in files; all frames are final. Any thread may read.

    Parameters
    ----------
    paths : sequence of Path
        One a stem.
    sample_rate, channels, frames : int
        What each must have.

    Raises
    ------
    AudioFileError
        If a file is not as it must be.
    FileNotFoundError
        If one is not there.
    """

    def __init__(self, paths: Sequence[Path], *, sample_rate: int, channels: int, frames: int) -> None:
        self._files: list[soundfile.SoundFile] = []
        self._lock = threading.Lock()
        self._stems, self._channels, self._frames = len(paths), channels, frames
        try:
            for path in paths:
                if not path.exists():
                    raise FileNotFoundError(str(path))
                # Opened once, so that another process may clear up meanwhile.
                file = soundfile.SoundFile(native_path(path))
                self._files.append(file)
                if (file.samplerate, file.channels, file.frames) != (sample_rate, channels, frames):
                    raise AudioFileError(f"{str(path)!r} is another file than was kept")
        except soundfile.LibsndfileError as error:
            self.close()
            raise AudioFileError(f"{str(path)!r} cannot be read ({error.error_string})") from error
        except BaseException:
            self.close()
            raise

    @property
    def frontier(self) -> int:
        """Every frame before this one has its final stems: all."""
        return self._frames

    def known_to(self, frame: int) -> int:
        """Give the end of the run of known frames that holds a frame."""
        return max(frame, self._frames)

    def next_known(self, frame: int) -> int | None:
        """Give the first known frame from this one on."""
        return frame if frame < self._frames else None

    def final_to(self, frame: int) -> int:
        """Give the end of the run of final frames that holds a frame."""
        return max(frame, self._frames)

    def provisional_to(self, frame: int) -> int:
        """Give the frame: nothing is provisional."""
        return frame

    def read(self, begin: int, end: int, *, final: bool = True) -> F32:
        """Give frames, shape (stems, channels, end - begin).

        Raises
        ------
        AudioFileError
            If a file is damaged.
        """
        out = np.zeros((self._stems, self._channels, end - begin), np.float32)
        with self._lock:
            if not self._files:
                raise AudioFileError("the stems that were kept are closed")
            for stem, file in zip(out, self._files, strict=True):
                try:
                    file.seek(begin)
                    frames = file.read(end - begin, dtype="float32", always_2d=True)
                except (soundfile.SoundFileError, RuntimeError) as error:
                    raise AudioFileError(f"{file.name!r} is damaged ({error})") from error
                if len(frames) != end - begin:
                    raise AudioFileError(f"{file.name!r} is cut off")
                np.multiply(frames.T, np.float32(HEADROOM), out=stem)
        return out

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for file in self._files:
                file.close()
            self._files.clear()


class CacheWriter:
    """Writes an entry, which appears with ``commit``. Used by one thread.

    Parameters
    ----------
    folder : Path
        Of the entry in the making.
    paths : sequence of Path
        In it, one a stem.
    sample_rate, channels, frames : int
    place : callable
        Lets the entry appear; gets the checksum of each file.
    """

    def __init__(
        self,
        folder: Path,
        paths: Sequence[Path],
        sample_rate: int,
        channels: int,
        frames: int,
        place: Callable[[Sequence[int]], None],
    ) -> None:
        self._folder, self._paths, self._place = folder, paths, place
        self._writers: list[AudioWriter] = []
        try:
            for path in paths:
                self._writers.append(AudioWriter(path, sample_rate, channels, frames_hint=frames, subtype="PCM_24"))
        except BaseException:
            self.abort()
            raise

    def write(self, part: F32) -> None:
        """Append a part, shape (stems, channels, n).

        Raises
        ------
        OutputError
            If the disk is full or fails, or a stem is louder than can be kept.
        """
        scaled = part * np.float32(1.0 / HEADROOM)
        if not np.abs(scaled).max(initial=0.0) < 1.0:
            raise OutputError("a stem is more than 12 dB above full scale: stems of this song are not kept")
        for writer, stem in zip(self._writers, scaled, strict=True):
            writer.write(stem)

    def commit(self) -> None:
        """Finish the files and let the entry appear; raises OutputError if that cannot be."""
        for writer in self._writers:
            writer.commit()
        try:
            self._place([crc32_of(path) for path in self._paths])
        except OSError as error:
            raise OutputError(f"stems cannot be kept in {str(self._folder)!r} ({error.strerror})") from error

    def abort(self) -> None:
        """Remove what was written."""
        for writer in self._writers:
            writer.abort()
        shutil.rmtree(self._folder, ignore_errors=True)


def crc32_of(path: Path) -> int:
    """Give the CRC-32 of a file; raises OSError."""
    crc = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            crc = zlib.crc32(block, crc)
    return crc
