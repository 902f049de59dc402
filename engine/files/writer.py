"""Audio files that appear whole or not at all."""

from __future__ import annotations

import errno
import io
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import soundfile

from engine.errors import BlockError, ConfigurationError, LifecycleError, OutputError
from engine.files.formats import checked_format
from engine.files.part_file import PartFile
from engine.files.sndfile_commands import allow_plain_wav, leave_out_peak_chunk, update_header

__all__ = ["AudioWriter", "needs_rf64"]

F32 = npt.NDArray[np.float32]

# A WAV counts its bytes in 32 bits, header and chunks included.
_MAX_WAV_BYTES = (1 << 32) - 4096
# What is written at once: soundfile makes a copy of it.
_PIECE_FRAMES = 1 << 13


def needs_rf64(frames_hint: int | None, channels: int, sample_bytes: int) -> bool:
    """Tell whether a WAV must begin as RF64: it could pass 4 GiB, or nobody knows how long it will be."""
    return frames_hint is None or frames_hint * channels * sample_bytes > _MAX_WAV_BYTES


class AudioWriter:
    """One wav or flac file, written in blocks.

    The audio goes to a part file beside the target, see `engine.files.part_file.PartFile`, and is renamed to it by
    ``commit``, after everything has reached the disk; ``abort`` removes it. As a context manager it commits on success
    and aborts on any exception, Ctrl-C included. A file that exists is replaced in one step; folders are made as
    needed.

    A recording is worth keeping whatever happens, and is written ``in_place``: under its own name from the start,
    readable up to the last ``update_header`` also after the process was killed, and kept by ``abort``.

    A WAV that could pass 4 GiB, or whose length nobody knows, begins as RF64; one that stays below ends as a
    plain WAV all the same. Floats are written as they are; integer samples are clipped at full scale.

    An object may be used from any one thread at a time.

    Parameters
    ----------
    path : path-like
        Its suffix, ``.wav`` or ``.flac``, says the format.
    sample_rate : int
        In Hz.
    channels : int
        1 or 2.
    frames_hint : int, optional
        How many frames will come, at least roughly: decides about RF64 and tells a user with a full disk how
        much is needed. More frames than this may be written as long as the file stays below 4 GiB.
    subtype : {"FLOAT", "PCM_24", "PCM_16"}
        FLAC holds no floats: there ``FLOAT`` means ``PCM_24``.
    in_place : bool
        For wav alone. A file that exists is then refused.
    comment : str, optional
        Kept in the file's tags. A flac of no frames has none.

    Attributes
    ----------
    path : Path
    channels : int
    frames_written : int

    Raises
    ------
    ConfigurationError
        If the suffix, subtype, channels or rate is not among what is allowed.
    OutputError
        If the target is a folder, or its folder or file cannot be made.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        channels: int,
        *,
        frames_hint: int | None = None,
        subtype: str = "FLOAT",
        in_place: bool = False,
        comment: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.frames_written = 0
        self.channels = channels
        self._sample_rate = sample_rate
        self._is_flac = self.path.suffix.lower() == ".flac"
        self._subtype, sample_bytes = checked_format(self.path, sample_rate, channels, subtype)
        if in_place and self._is_flac:
            raise ConfigurationError(f"{self._name} would be written in place: only .wav can be, choose that")
        self._frames: F32 = np.zeros((_PIECE_FRAMES, channels), np.float32)
        self._frame_bytes = channels * sample_bytes
        self._needed_bytes = None if frames_hint is None else frames_hint * channels * sample_bytes
        is_rf64 = not self._is_flac and needs_rf64(frames_hint, channels, sample_bytes)
        self._is_sealed = False
        self._is_over = False
        self._growing = _GrowingFile(self.path) if in_place else None
        self._part = self._growing or PartFile(self.path)
        try:
            self._file = soundfile.SoundFile(
                self._part,
                "w",
                sample_rate,
                channels,
                self._subtype,
                format="FLAC" if self._is_flac else "RF64" if is_rf64 else "WAV",
            )
            if not in_place:
                leave_out_peak_chunk(self._file)
            if is_rf64:
                allow_plain_wav(self._file)
            if comment is not None:
                self._file.comment = comment
            if in_place:
                update_header(self._file)
                self._header_bytes = self._part.seek(0, os.SEEK_END)
            if in_place and self._part.error is not None:
                raise self._aborted(self._part.error)
        except BaseException as error:
            self._part.discard()
            if isinstance(error, soundfile.LibsndfileError):
                raise self._failure(error) from error
            raise

    def write(self, block: F32) -> None:
        """Append one block.

        Parameters
        ----------
        block : ndarray of float32, shape (channels, frames)

        Raises
        ------
        BlockError
            If the block is not float32 ``(channels, frames)``; nothing of it is written.
        OutputError
            If the disk is full or fails. The file is aborted.
        LifecycleError
            After ``commit`` or ``abort``.
        """
        if self._is_sealed or self._is_over:
            raise LifecycleError(f"{self._name} is finished: open a new AudioWriter")
        if block.ndim != 2 or block.shape[0] != self.channels or block.dtype != np.float32:
            raise BlockError(
                f"block is {block.dtype} of shape {block.shape}: it must be float32 of shape ({self.channels}, frames)"
            )
        if not block.shape[1]:
            return
        try:
            for start in range(0, block.shape[1], _PIECE_FRAMES):
                self._file.write(self._interleaved(block[:, start : start + _PIECE_FRAMES]))
        except (soundfile.SoundFileError, AssertionError) as error:
            raise self._aborted(error) from error
        if self._part.error is not None:
            raise self._aborted(self._part.error)
        self.frames_written += block.shape[1]

    def _interleaved(self, block: F32) -> F32:
        frames = self._frames[: block.shape[1]]
        np.copyto(frames, block.T)
        return frames

    def update_header(self) -> None:
        """Let a file written ``in_place`` say how long it is, so that what is there can be read, whatever comes.

        Raises
        ------
        OutputError
            If the disk fails. The file is aborted.
        LifecycleError
            After ``commit`` or ``abort``.
        """
        if self._is_sealed or self._is_over:
            raise LifecycleError(f"{self._name} is finished: open a new AudioWriter")
        if self._growing is not None:
            update_header(self._file)
        if self._part.error is not None:
            raise self._aborted(self._part.error)

    def seal(self) -> None:
        """Bring all to the disk and take no more, yet under the part file's name; calling it again does nothing.

        Raises
        ------
        OutputError
            If the rest cannot be written. The file is aborted.
        LifecycleError
            After ``abort``.
        """
        if self._is_over and not self._part.is_placed:
            raise LifecycleError(f"{self._name} was aborted: open a new AudioWriter")
        if self._is_sealed:
            return
        try:
            self._file.close()
            if self._is_flac and not self.frames_written:
                self._part.write(_empty_flac(self._sample_rate, self.channels, self._subtype))
            if self._part.error is not None:
                raise self._part.error
            self._part.sync()
        except (soundfile.SoundFileError, OSError) as error:
            raise self._aborted(error) from error
        self._is_sealed = True

    def commit(self) -> None:
        """Finish the file and let it appear under its name; calling it again does nothing.

        Raises
        ------
        OutputError
            If the rest cannot be written or the file cannot be renamed. The file is aborted.
        LifecycleError
            After ``abort``.
        """
        self.seal()
        if self._is_over:
            return
        try:
            self._part.place()
        except OSError as error:
            raise self._aborted(error) from error
        self._is_over = True

    def withdraw(self) -> None:
        """Take a committed file away again, unless it replaced an older one; for groups that fail half-way."""
        self._part.withdraw()

    def abort(self, *, keep_frames: int | None = None) -> None:
        """Remove what was written, unless it is committed or ``in_place``; calling it again does nothing.

        Parameters
        ----------
        keep_frames : int, optional
            How much a file written ``in_place`` keeps, so that several end together; left out: all of it.
        """
        if self._is_over:
            return
        self._is_over = True
        if not self._is_sealed:
            if self._growing is not None:
                frames = self.frames_written if keep_frames is None else min(keep_frames, self.frames_written)
                self._growing.cut(self._header_bytes + frames * self._frame_bytes)
                update_header(self._file)
            with suppress(soundfile.SoundFileError, OSError):
                self._file.close()
        self._part.discard()

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or (self._is_over and not self._part.is_placed):
            self.abort()
            return
        try:
            self.commit()
        except BaseException:
            self.abort()
            raise

    @property
    def _name(self) -> str:
        return repr(str(self.path))

    def _aborted(self, error: BaseException) -> OutputError:
        failure = self._failure(self._part.error or error)
        self.abort()
        return failure

    def _failure(self, error: BaseException) -> OutputError:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            needed = "" if self._needed_bytes is None else f", {self._needed_bytes / 1e6:.1f} MB are needed"
            return OutputError(
                f"{self._name} cannot be written: no space left{needed}: free some or choose a folder on another disk"
            )
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).strip(" .")
        return OutputError(f"{self._name} cannot be written ({reason}): check the folder and the disk")


class _GrowingFile(PartFile):
    """A file that has its own name from the start and stays, whatever happens."""

    def __init__(self, target: Path) -> None:
        self._target = self._part = target
        self._existed = True
        self.error, self.is_placed = None, False
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._raw = _open_new(target)
        except FileExistsError as error:
            raise OutputError(f"{str(target)!r} exists: move it away or choose another folder") from error
        except OSError as error:
            raise OutputError(
                f"{str(target)!r} cannot be written ({error.strerror}): choose another folder with --out"
            ) from error

    def cut(self, size: int) -> None:
        """Drop what lies beyond ``size`` bytes, and take writes again: those of the header need no room."""
        with suppress(OSError):
            self._raw.truncate(size)
            self.error = None

    def place(self) -> None:
        self.is_placed = True

    def discard(self) -> None:
        with suppress(OSError):
            self._raw.close()


def _open_new(path: Path) -> io.FileIO:
    return io.FileIO(path, "x+")


def _empty_flac(sample_rate: int, channels: int, subtype: str) -> bytes:
    # libsndfile writes nothing at all for 0 frames. This is the smallest FLAC: the marker and one STREAMINFO
    # block with unknown frame sizes, length and checksum.
    bits = 16 if subtype == "PCM_16" else 24
    facts = (sample_rate << 44) | ((channels - 1) << 41) | ((bits - 1) << 36)
    return b"fLaC" + b"\x80\x00\x00\x22" + b"\x10\x00\x10\x00" + bytes(6) + facts.to_bytes(8, "big") + bytes(16)
