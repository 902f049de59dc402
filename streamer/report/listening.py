"""The beginning of every signal, as MP3 that a browser can play."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Self

import numpy as np
import numpy.typing as npt
import soundfile

from engine.errors import OutputError
from engine.files.rate_converter import RateConverter

__all__ = ["Tape", "encoded", "listening_rate"]

F32 = npt.NDArray[np.float32]

_MP3_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_CHUNK_FRAMES = 1 << 16
_QUALITY = 0.4
"""libsndfile's scale from 0, best, to 1. Some 160 kbit/s for a dense mixture, far less for a sparse stem."""
_LIMIT = 100.0
"""The encoder ends the whole process at samples some 100 dB above full scale; this is 40 dB."""


class Tape:
    """Keeps the first frames of several signals in temporary files, as they are.

    Writing costs a copy, so it can be done while music plays; encoding waits until it is over. Closing removes the
    files; so does the end of the process, however it comes. One thread.

    Parameters
    ----------
    signals, channels, sample_rate : int
    max_frames : int
        What comes after these is left out.

    Attributes
    ----------
    frames : int
        Kept so far.
    error : OutputError or None
        Why no more is kept than that: a full disk costs the rest of what could be heard, and nothing else.

    Raises
    ------
    OutputError
        If there is no place for temporary files.
    """

    def __init__(self, signals: int, channels: int, sample_rate: int, *, max_frames: int) -> None:
        self.sample_rate = sample_rate
        self.channels = channels
        self.frames = 0
        self.error: OutputError | None = None
        self._max_frames = max_frames
        with ExitStack() as stack:
            try:
                self._files = [stack.enter_context(tempfile.TemporaryFile(buffering=0)) for _ in range(signals)]
            except OSError as error:
                raise _no_room(error) from error
            self._closing = stack.pop_all()

    def add(self, audio: F32) -> None:
        """Take in the next frames.

        Parameters
        ----------
        audio : ndarray of float32, shape (signals, channels, frames)
        """
        part = audio[..., : self._max_frames - self.frames]
        if not part.shape[-1] or self.error is not None:
            return
        try:
            for file, signal in zip(self._files, part, strict=True):
                data = np.ascontiguousarray(signal.T, np.float32).data
                if file.write(data) < data.nbytes:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self.error = _no_room(error)
        else:
            self.frames += part.shape[-1]

    def rewound(self) -> list[IO[bytes]]:
        """Give the files, each at its beginning: ``frames`` of float32, channels interleaved, and maybe some more."""
        try:
            for file in self._files:
                file.seek(0)
        except OSError as error:
            raise _no_room(error) from error
        return list(self._files)

    def close(self) -> None:
        """Remove the files; calling it again does nothing."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def listening_rate(sample_rate: int) -> int:
    """Give the rate of the MP3 for a rate: itself where every browser plays it, else the nearest that loses least."""
    if sample_rate > _MP3_RATES[-1]:
        return 44_100 if sample_rate % 44_100 == 0 else 48_000
    return next(rate for rate in _MP3_RATES if rate >= sample_rate)


def encoded(*tapes: Tape) -> list[bytes]:
    """Give every signal of every tape as an MP3, in order; nothing for one without frames.

    All have the same encoder's delay, which the files name, so they stay together. Several are encoded at a time.
    """
    jobs = [(tape, file) for tape in tapes for file in tape.rewound()]
    with ThreadPoolExecutor(max_workers=min(len(jobs), os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda job: _encode(*job), jobs))


def _encode(tape: Tape, file: IO[bytes]) -> bytes:
    if not tape.frames:
        return b""
    rate = listening_rate(tape.sample_rate)
    converter = RateConverter(tape.sample_rate, rate, tape.channels)
    frame_bytes = 4 * tape.channels
    left = tape.frames
    made = io.BytesIO()
    with soundfile.SoundFile(
        made,
        "w",
        rate,
        tape.channels,
        "MPEG_LAYER_III",
        format="MP3",
        compression_level=_QUALITY,
        bitrate_mode="VARIABLE",
    ) as mp3:
        while data := file.read(min(left, _CHUNK_FRAMES) * frame_bytes):
            left -= len(data) // frame_bytes
            audio = np.frombuffer(data, np.float32).reshape(-1, tape.channels)
            audio = np.clip(audio, -_LIMIT, _LIMIT)
            mp3.write(np.ascontiguousarray(converter.process(np.ascontiguousarray(audio.T)).T))
        mp3.write(np.ascontiguousarray(converter.flush().T))
    return made.getvalue()


def _no_room(error: OSError) -> OutputError:
    return OutputError(
        f"temporary files in {tempfile.gettempdir()!r} cannot be written ({error.strerror}): free some space, "
        "or name another folder in TMPDIR"
    )
