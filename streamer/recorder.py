"""Records the stems while they play: one file each, aligned to the frame, and never in the way of the sound."""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from engine.errors import BlockError, ConfigurationError, OutputError
from engine.files.stem_path import stem_path
from engine.files.writer import AudioWriter
from streamer.record_buffer import RecordBuffer

__all__ = ["MIXTURE", "Recorder", "RecorderStats"]

F32 = npt.NDArray[np.float32]
State = Literal["recording", "error", "closed"]

MIXTURE = "mixture"
"""Name of the file that holds the sum of the stems."""
BUFFER_S = 10.0
"""Longer than disks usually make one wait."""
_POLL_S = 0.1
_HEADER_S = 0.4
"""With the time between two looks at the buffer, and that of the writing, well below a second."""
_CHUNK_FRAMES = 8192
_TAKE = re.compile(r"take-([0-9]{1,9})")


@dataclass(frozen=True)
class RecorderStats:
    """What a recorder did so far.

    Attributes
    ----------
    state : {"recording", "error", "closed"}
        After an error nothing more is recorded; what was written before it is kept.
    frames_written : int
        Length of every file, the silence for what was lost included.
    frames_lost : int
        Given to ``write`` and not in the files: silence stands for them, or they came after an error.
    gaps : int
        Stretches of silence for what was lost because the disk was too slow.
    error : str or None
        What ended the recording, with the remedy.
    """

    state: State
    frames_written: int
    frames_lost: int
    gaps: int
    error: str | None


class Recorder:
    """Records blocks of stems to ``FOLDER/take-NNN/STEM.wav``, float32, all of one length and aligned to the frame.

    Every recorder makes a take of its own, numbered one above the highest that is there: nothing is ever
    overwritten. A take that gets no frame at all is removed at its close.

    Its files carry their names from the start and their headers are brought up to date more than once a second. A
    process that is killed leaves files that open, short by less than one second as long as the disk kept up. (If the
    machine itself goes down, what the system had not yet brought to the disk is lost.) They pass 4 GiB as RF64.

    ``write`` copies to memory; a thread of the recorder's own writes to the disk. What does not fit into that memory
    because the disk is slow is lost in all files alike, and silence of the same length stands for it. A full disk or
    any other error ends the recording, not the sound: all files keep the frames that all of them got.

    Parameters
    ----------
    folder : path-like
        Made if it is missing.
    stems : sequence of str
        In the order in which ``write`` gets them. Files have their names in lower case.
    sample_rate : int
        In Hz.
    channels : int
        Of each stem: 1 or 2.
    with_mixture : bool
        True: ``mixture.wav`` beside them, the sum of the stems at unity.
    buffer_s : float
        Seconds of audio kept for a slow disk, 1 to 600; 10 s of four stereo stems at 48 kHz take 16 MiB.

    Raises
    ------
    ConfigurationError
        If a value is not allowed, or two files would have one name.
    OutputError
        If the folder or a file cannot be made. No take is left behind.

    Notes
    -----
    One thread calls ``write``; ``stats`` and ``close`` may be called from any. The writing thread ends with
    ``close``, when the recorder is dropped, and when the program ends; the files are finished first.

    Examples
    --------
    >>> with Recorder("takes", ("vocals", "drums"), sample_rate=48_000, channels=2) as recorder:
    ...     recorder.write(np.zeros((2, 2, 512), np.float32))
    >>> recorder.stats().frames_written
    512
    """

    def __init__(
        self,
        folder: str | Path,
        stems: Sequence[str],
        *,
        sample_rate: int,
        channels: int,
        with_mixture: bool = False,
        buffer_s: float = BUFFER_S,
    ) -> None:
        if not 1.0 <= buffer_s <= 600.0:
            raise ConfigurationError(f"buffer_s is {buffer_s!r}: 1 to 600 seconds are allowed")
        names = _file_names(stems, with_mixture=with_mixture)
        self._lead = (len(stems), channels)
        self.folder = _new_take(Path(folder))
        """The take's own folder."""
        paths = [stem_path(self.folder, "{stem}.{ext}", track="", stem=name, ext="wav") for name in names]
        writers: list[AudioWriter] = []
        try:
            for path in paths:
                writers.append(AudioWriter(path, sample_rate, channels, in_place=True))
            self._buffer = RecordBuffer(self._lead, round(buffer_s * sample_rate))
            self._take = _Take(self._buffer, writers, self._lead)
            thread = threading.Thread(target=self._take.run, name="stemstream-recorder")
            thread.start()
        except BaseException:
            for writer in writers:
                writer.abort()
            _remove(paths)
            raise
        self._thread = thread
        self._is_open = True
        # The thread knows the take and not the recorder, so that one that is dropped ends it.
        self._stop = weakref.finalize(self, self._take.stop.set)
        self._stop.atexit = False

    def write(self, stems: F32) -> None:
        """Take a block. Never waits, allocates no array and says nothing about the disk; nothing after ``close``.

        Parameters
        ----------
        stems : ndarray of float32, shape (stems, channels, frames)
            Copied at once.

        Raises
        ------
        BlockError
            If the block does not fit.
        """
        if stems.ndim != 3 or stems.shape[:2] != self._lead or stems.dtype != np.float32:
            raise BlockError(
                f"stems are {stems.dtype} of shape {stems.shape}: they must be float32 of shape "
                f"({self._lead[0]}, {self._lead[1]}, frames)"
            )
        if not self._is_open:
            return
        if self._take.error is not None:
            self._buffer.refuse(stems.shape[-1])
        else:
            self._buffer.give(stems)

    def skip(self, frames: int) -> None:
        """Let silence stand for frames that were lost before they came here. On the thread of ``write``."""
        if self._is_open and self._take.error is None:
            self._buffer.skip(frames)

    def stats(self) -> RecorderStats:
        """Give a snapshot; any thread."""
        take, buffer = self._take, self._buffer
        error = take.error
        has_ended = not self._thread.is_alive()
        lost = buffer.lost if error is None else buffer.given - (take.frames_written - take.silent_frames)
        state: State = "error" if error is not None else "closed" if has_ended else "recording"
        return RecorderStats(state, take.frames_written, lost, buffer.gaps, error)

    def close(self) -> RecorderStats:
        """Finish the files and give the final stats; waits for the disk, raises nothing of it. May be called again."""
        self._is_open = False
        self._stop()
        self._thread.join()
        return self.stats()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Take:
    """The files and the thread that writes them."""

    def __init__(self, buffer: RecordBuffer, writers: list[AudioWriter], lead: tuple[int, int]) -> None:
        self._buffer = buffer
        self._writers = writers
        self._chunk = np.zeros((*lead, _CHUNK_FRAMES), np.float32)
        self._mixture = np.zeros((lead[1], _CHUNK_FRAMES), np.float32)
        self._header_due_s = 0.0
        self._frames_told = 0
        self.stop = threading.Event()
        self.error: str | None = None
        self.frames_written = 0
        self.silent_frames = 0

    def run(self) -> None:
        """Write what comes until told to stop, or until the program ends."""
        try:
            while not self.stop.wait(_POLL_S) and threading.main_thread().is_alive():
                self._drain()
            self._drain()
            self._finish()
        except Exception as error:  # whatever it is, it must end the recording alone, and be told
            self._end(error)

    def _drain(self) -> None:
        while frames := self._buffer.fetch(self._chunk):
            self._write(frames)
            self._update_headers()
        self._update_headers()

    def _write(self, frames: int) -> None:
        chunk = self._chunk[..., :frames]
        for writer, stem in zip(self._writers, chunk, strict=False):
            writer.write(stem)
        if len(self._writers) > len(chunk):
            mixture = self._mixture[:, :frames]
            np.copyto(mixture, chunk[0])
            for stem in chunk[1:]:
                np.add(mixture, stem, out=mixture)
            self._writers[-1].write(mixture)
        self.frames_written += frames
        self.silent_frames = self._buffer.silent

    def _update_headers(self) -> None:
        if self._frames_told == self.frames_written or time.monotonic() < self._header_due_s:
            return
        for writer in self._writers:
            writer.update_header()
        self._frames_told = self.frames_written
        self._header_due_s = time.monotonic() + _HEADER_S

    def _finish(self) -> None:
        """Let silence stand for what was lost last, and close the files."""
        while frames := self._buffer.fetch_end(self._chunk):
            self._write(frames)
        for writer in self._writers:
            writer.commit()
        if not self.frames_written:
            _remove([writer.path for writer in self._writers])

    def _end(self, error: Exception) -> None:
        """Keep, in all files, the frames that all of them got."""
        for writer in self._writers:
            writer.abort(keep_frames=self.frames_written)
        told = isinstance(error, OutputError)
        self.error = str(error) if told else f"the recording ended ({type(error).__name__}: {error}): start another"


def _file_names(stems: Sequence[str], *, with_mixture: bool) -> list[str]:
    names = [stem.lower() for stem in stems] + [MIXTURE] * with_mixture
    twice = {name for name in names if names.count(name) > 1}
    if isinstance(stems, str) or not stems or twice:
        which = f", and {', '.join(sorted(twice))} would be written twice" if twice else ""
        raise ConfigurationError(f"stems are {stems!r}{which}: give a sequence of one name or more, each once")
    return names


def _new_take(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = [_TAKE.fullmatch(each.name) for each in folder.iterdir()]
        number = max((int(match[1]) for match in found if match), default=0)
        while True:
            number += 1
            # Another recorder may be at it at the same time.
            with suppress(FileExistsError):
                take = folder / f"take-{number:03}"
                take.mkdir()
                return take
    except OSError as error:
        raise OutputError(
            f"folder {str(folder)!r} cannot take a recording ({error.strerror}): choose another"
        ) from error


def _remove(paths: Sequence[Path]) -> None:
    """Take the files of a take away, and its folder if that is then empty."""
    with suppress(OSError):
        for path in paths:
            path.unlink(missing_ok=True)
        paths[0].parent.rmdir()
