"""Frames of one track on the disk while it is played: a file without a name, that goes with the process."""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

__all__ = ["Scratch"]

F32 = npt.NDArray[np.float32]
_MEMORY_BYTES = 48 << 20
"""Half a minute of four stereo stems: more than is ever prefetched."""


class Scratch:
    """Rows of frames at their places. The file has no name, so that a killed process leaves nothing behind.

    Where the disk is full, the newest frames are kept in memory, as many as the sound needs.

    Parameters
    ----------
    rows : int
        Values a frame.
    folders : sequence of Path
        Where the file may lie, the best first; made if need be. The system's own folder is tried last.
    memory_bytes : int
        Most that is kept in memory.

    Attributes
    ----------
    error : OSError or None
        Why nothing more goes to the disk.

    Notes
    -----
    One thread writes and any may read.
    """

    def __init__(self, rows: int, folders: Sequence[Path] = (), *, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._rows = rows
        self._frame_bytes = 4 * rows
        self._most_frames = max(1, memory_bytes // self._frame_bytes)
        self._lock = threading.Lock()
        self._kept: deque[tuple[int, F32]] = deque()
        self._kept_frames = 0
        self.error: OSError | None = None
        self._file = self._opened(folders)

    def _opened(self, folders: Sequence[Path]) -> IO[bytes] | None:
        for folder in (*folders, None):
            try:
                if folder is not None:
                    folder.mkdir(parents=True, exist_ok=True)
                file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed with the track
            except OSError as error:
                self.error = error
            else:
                self.error = None
                return file
        return None

    def write(self, begin: int, frames: F32) -> tuple[tuple[int, int], ...]:
        """Keep frames, shape (n, rows).

        Returns
        -------
        tuple of (int, int)
            Runs of frames that had to make place for them in memory, and are gone; none as a rule.
        """
        with self._lock:
            if self._file is not None and self.error is None:
                try:
                    self._write(self._file, begin, frames)
                except OSError as error:
                    self.error = error
                else:
                    return ()
            self._kept.append((begin, frames.copy()))
            self._kept_frames += len(frames)
            gone = []
            while self._kept_frames > self._most_frames and len(self._kept) > 1:
                first, old = self._kept.popleft()
                self._kept_frames -= len(old)
                gone.append((first, first + len(old)))
            return tuple(gone)

    def read(self, begin: int, end: int) -> F32:
        """Give the frames ``[begin, end)``, shape (end - begin, rows); each must have been written, and not be gone."""
        out = np.zeros((end - begin, self._rows), np.float32)
        with self._lock:
            if self._file is not None:
                self._file.seek(begin * self._frame_bytes)
                data = out.reshape(-1).view(np.uint8).data
                done = 0
                while done < len(data) and (count := _read_into(self._file, data[done:])):
                    done += count
            for first, kept in self._kept:
                low, high = max(begin, first), min(end, first + len(kept))
                if low < high:
                    out[low - begin : high - begin] = kept[low - first : high - first]
        return out

    def close(self) -> None:
        """Let go of file and memory."""
        with self._lock:
            self._kept.clear()
            if self._file is not None:
                self._file.close()
                self._file = None

    def _write(self, file: IO[bytes], begin: int, frames: F32) -> None:
        file.seek(begin * self._frame_bytes)
        data = np.ascontiguousarray(frames).reshape(-1).view(np.uint8).data
        while data:
            data = data[file.write(data) :]


def _read_into(file: Any, data: memoryview) -> int:
    count: int | None = file.readinto(data)
    return count or 0
