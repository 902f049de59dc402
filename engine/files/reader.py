"""Audio files as a stream of blocks, at constant memory."""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from engine.errors import AudioFileError, ConfigurationError, LifecycleError
from engine.files.sndfile_source import SoundfileSource
from engine.files.source import AudioSource, shortfall

__all__ = ["AudioReader"]

_AV_SUFFIXES = (".m4a", ".m4b", ".mp4", ".mov", ".aac")


class AudioReader:
    """One audio file, read in blocks of float32.

    wav, flac, mp3, ogg, opus, aiff and whatever else libsndfile reads; m4a, aac and mp4 need the extra
    ``formats``. The kind is told from the content first and from the suffix second. Integer samples are scaled
    to -1..1, floating-point samples are passed as they are, non-finite ones included. Encoder delay and padding
    are removed where the file tells them, so that frame 0 is the first frame that went into the encoder.

    A reader may be used from any one thread at a time. It keeps no file open between calls of ``blocks``.

    Parameters
    ----------
    path : path-like

    Attributes
    ----------
    path : Path
    sample_rate : int
        In Hz.
    channels : int
        1 or 2.
    frames : int or None
        Exactly what ``blocks`` will give in all; None where the format does not say before decoding.

    Raises
    ------
    AudioFileError
        If the file is missing, a folder, unreadable, empty, not audio, truncated, or has more than two
        channels; or if it needs the extra ``formats`` and that is not installed.

    Examples
    --------
    >>> with AudioReader("song.flac") as song:  # doctest: +SKIP
    ...     for block in song.blocks(65536):
    ...         print(block.shape)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        head = _read_head(self.path)
        self._source = _open_source(self.path, head)
        info = self._source.info
        self.sample_rate = info.sample_rate
        self.channels = info.channels
        self.frames = info.frames
        # What nobody holds any more has let go of the file by itself.
        self._open_blocks: weakref.WeakSet[Generator[npt.NDArray[np.float32], None, None]] = weakref.WeakSet()
        self._is_closed = False

    def blocks(
        self, block_frames: int, *, start_frame: int = 0, reused: bool = False
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Decode the file from its first frame, or from a later one.

        Parameters
        ----------
        block_frames : int
            Frames in each block, at least 1; the last block may be shorter.
        start_frame : int
            The first frame to give. What cannot be entered there is decoded from its beginning all the same.
        reused : bool
            A block is valid only until the next is asked for, so that none needs memory of its own.

        Yields
        ------
        ndarray of float32, shape (channels, frames)
            A fresh array each time, unless ``reused``. A file of 0 frames yields nothing.

        Raises
        ------
        AudioFileError
            While iterating, if the file is damaged or ends before its header says.
        ConfigurationError
            If ``block_frames`` is less than 1, or ``start_frame`` less than 0.
        LifecycleError
            If the reader is closed.
        """
        if self._is_closed:
            raise LifecycleError(f"{_name(self.path)} is closed: open a new AudioReader")
        if block_frames < 1:
            raise ConfigurationError(f"block_frames is {block_frames}: it must be at least 1")
        if start_frame < 0:
            raise ConfigurationError(f"start_frame is {start_frame}: it must be 0 or more")
        blocks = self._checked_blocks(block_frames, start_frame, reused)
        self._open_blocks.add(blocks)
        return blocks

    def close(self) -> None:
        """End what ``blocks`` has begun; calling it again does nothing."""
        self._is_closed = True
        for blocks in tuple(self._open_blocks):
            blocks.close()

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _checked_blocks(
        self, block_frames: int, start_frame: int, reused: bool
    ) -> Generator[npt.NDArray[np.float32], None, None]:
        if self.frames is not None and start_frame >= self.frames:
            return
        there = start_frame
        for block in self._source.blocks(block_frames, start_frame):
            there += block.shape[1]
            yield block if reused else block.copy()
        if self.frames is not None and there != self.frames:
            raise shortfall(_name(self.path), self.frames, there)


def _open_source(path: Path, head: bytes) -> AudioSource:
    is_mp4 = head[4:8] == b"ftyp"
    is_adts = len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0
    is_known_otherwise = head[:4] in (b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS")
    if is_mp4 or is_adts or (path.suffix.lower() in _AV_SUFFIXES and not is_known_otherwise):
        try:
            from engine.files.av_source import AvSource
        except ModuleNotFoundError as error:
            if error.name != "av":
                raise
            raise AudioFileError(
                f"{_name(path)} is an m4a, aac or mp4, which needs PyAV: run "
                'pip install "stemstream[formats]", or convert it to wav or flac'
            ) from error
        return AvSource(path)
    return SoundfileSource(path)


def _read_head(path: Path) -> bytes:
    name = _name(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise AudioFileError(f"{name} is a folder: name an audio file in it")
        if not stat.S_ISREG(mode):
            raise AudioFileError(f"{name} is not a regular file: copy the audio into a file first")
        with path.open("rb") as file:
            head = file.read(16)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AudioFileError(f"{name} does not exist: check the spelling and the folder") from error
    except PermissionError as error:
        raise AudioFileError(f"{name} may not be read: change its permissions") from error
    except (OSError, ValueError) as error:
        raise AudioFileError(f"{name} cannot be opened ({error}): check the path and the disk") from error
    if not head:
        raise AudioFileError(f"{name} is empty (0 bytes): copy or download it again")
    return head


def _name(path: Path) -> str:
    return repr(str(path))
