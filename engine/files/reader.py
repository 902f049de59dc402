"""Audio files as a stream of blocks, at constant memory."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import soundfile

from engine.errors import AudioFileError, ConfigurationError, LifecycleError
from engine.files.mp3_length import LengthHeader, PrefixedFile, missing_length_header
from engine.files.source import AudioInfo, AudioSource, shortfall

__all__ = ["AudioReader", "native_path"]

_AV_SUFFIXES = (".m4a", ".m4b", ".mp4", ".mov", ".aac")
_READABLE = "wav, flac, mp3, ogg, opus, aiff, m4a, aac or mp4"

_BYTES_PER_SAMPLE = {
    "PCM_S8": 1,
    "PCM_U8": 1,
    "PCM_16": 2,
    "PCM_24": 3,
    "PCM_32": 4,
    "FLOAT": 4,
    "DOUBLE": 8,
    "ULAW": 1,
    "ALAW": 1,
}
# libsndfile shortens a truncated file of these kinds in silence; only its log names the size in the header.
# The number is what that size counts besides the audio itself.
_LOGGED_SIZE = re.compile(r"^\s*(?:data|SSND|Data size)\s*:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
_SIZE_OVERHEAD_BYTES = {"WAV": 0, "WAVEX": 0, "RF64": 0, "AU": 0, "AIFF": 8, "W64": 24}
# Programs that write into a pipe leave a size near 2 or 4 GiB in the header: it promises nothing.
_PLACEHOLDER_SIZES = (1 << 31, 1 << 32)
_PLACEHOLDER_SPREAD_BYTES = 4096

# Formats whose headers promise a length that only decoding can confirm.
_PROBED_FORMATS = ("FLAC", "MP3")
# Taggers and splitters are known to be off by a frame or two of 1152 in the length they put into an MP3.
_SLACK_FRAMES = {"MP3": 2 * 1152}
_UNKNOWN_FRAMES = 1 << 62
_COUNT_BLOCK_FRAMES = 1 << 16
# A recorder that was killed leaves 0 as the length. No metadata is as large as this.
_MAX_EMPTY_BYTES = 1 << 20
# libsndfile's "format not recognised" and what its MP3 decoder makes of it, which names another cause.
_VAGUE_CODES = (1, 7)


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
        self._open_blocks: list[Generator[npt.NDArray[np.float32], None, None]] = []
        self._is_closed = False

    def blocks(self, block_frames: int, *, reused: bool = False) -> Iterator[npt.NDArray[np.float32]]:
        """Decode the file from its first frame.

        Parameters
        ----------
        block_frames : int
            Frames in each block, at least 1; the last block may be shorter.
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
            If ``block_frames`` is less than 1.
        LifecycleError
            If the reader is closed.
        """
        if self._is_closed:
            raise LifecycleError(f"{_name(self.path)} is closed: open a new AudioReader")
        if block_frames < 1:
            raise ConfigurationError(f"block_frames is {block_frames}: it must be at least 1")
        blocks = self._checked_blocks(block_frames, reused)
        self._open_blocks.append(blocks)
        return blocks

    def close(self) -> None:
        """End what ``blocks`` has begun; calling it again does nothing."""
        self._is_closed = True
        while self._open_blocks:
            self._open_blocks.pop().close()

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _checked_blocks(self, block_frames: int, reused: bool) -> Generator[npt.NDArray[np.float32], None, None]:
        there = 0
        for block in self._source.blocks(block_frames):
            there += block.shape[1]
            yield block if reused else block.copy()
        if self.frames is not None and there != self.frames:
            raise shortfall(_name(self.path), self.frames, there)


class _SoundfileSource:
    """Whatever libsndfile reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mp3_header: LengthHeader | None = None
        try:
            with soundfile.SoundFile(native_path(path)) as file:
                is_mp3 = file.format == "MP3"
            self._mp3_header = missing_length_header(path) if is_mp3 else None
            with self._opened() as file:
                self._format: str = file.format
                frames = None if file.frames >= _UNKNOWN_FRAMES else int(file.frames)
                self.info = AudioInfo(int(file.samplerate), int(file.channels), frames)
                self.info.check(_name(path))
                if frames is not None:
                    self._check_length(file, frames)
        except soundfile.LibsndfileError as error:
            raise AudioFileError(
                f"{_name(path)} is not audio that can be read ({_reason(error)}): use {_READABLE}"
            ) from error

    def blocks(self, block_frames: int) -> Iterator[npt.NDArray[np.float32]]:
        promised = self.info.frames
        there = 0
        with self._opened() as file:
            frames = _BlockReader(file, block_frames)
            while promised is None or there < promised:
                block, error = frames.read()
                there += block.shape[1]
                # libsndfile ends a FLAC of unknown length with an error: a cut cannot be told from its end.
                if error is not None and promised is not None:
                    raise AudioFileError(
                        f"{_name(self._path)} is damaged after frame {there} of {promised} ({_reason(error)}): "
                        "copy or download it again"
                    ) from error
                if block.shape[1]:
                    yield block
                if error is not None or not block.shape[1]:
                    break
        if promised is not None and 0 < promised - there <= _SLACK_FRAMES.get(self._format, 0):
            yield np.zeros((self.info.channels, promised - there), np.float32)

    @contextmanager
    def _opened(self) -> Iterator[soundfile.SoundFile]:
        header = self._mp3_header
        if header is None:
            with soundfile.SoundFile(native_path(self._path)) as file:
                yield file
        else:
            with (
                self._path.open("rb") as raw,
                soundfile.SoundFile(PrefixedFile(header.frame, raw, header.place)) as file,
            ):
                yield file

    def _check_length(self, file: soundfile.SoundFile, frames: int) -> None:
        name = _name(self._path)
        promised = _promised_frames(file)
        if promised is not None and promised > frames:
            raise shortfall(name, promised, frames)
        size = self._path.stat().st_size
        if frames == 0 and self._format in _SIZE_OVERHEAD_BYTES and size > _MAX_EMPTY_BYTES:
            raise AudioFileError(
                f"{name} is an unfinished recording: header promises 0 frames, the file has {size} bytes: "
                "repair its header with an audio editor"
            )
        if self._format in _PROBED_FORMATS:
            last = frames - 1 - _SLACK_FRAMES.get(self._format, 0)
            if last >= 0 and not _has_frame(file, last):
                with self._opened() as again:
                    raise shortfall(name, frames, _count_frames(again))


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
    return _SoundfileSource(path)


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


class _BlockReader:
    """Reads blocks of a file into memory that is used again for each."""

    def __init__(self, file: soundfile.SoundFile, block_frames: int) -> None:
        self._file = file
        self._marked = np.zeros((block_frames, file.channels), np.float32)
        self._block = np.zeros((file.channels, block_frames), np.float32)

    def read(self) -> tuple[npt.NDArray[np.float32], soundfile.LibsndfileError | None]:
        """Give the next block, valid until the next call, and the error that ended it."""
        # A failing read does not say how much came before the failure; compressed audio is never NaN, so NaN marks it.
        self._marked.fill(np.nan)
        failure: soundfile.LibsndfileError | None = None
        try:
            read = self._file.read(out=self._marked).shape[0]
        except soundfile.LibsndfileError as error:
            read, failure = int(np.count_nonzero(~np.isnan(self._marked).any(axis=1))), error
        block = self._block[:, :read]
        np.copyto(block, self._marked[:read].T)
        return block, failure


def native_path(path: Path) -> bytes | Path:
    """Give the path as the system has it: soundfile would refuse names that are not valid UTF-8."""
    return path if sys.platform == "win32" else os.fsencode(path)


def _promised_frames(file: soundfile.SoundFile) -> int | None:
    logged = _LOGGED_SIZE.search(file.extra_info)
    sample_bytes = _BYTES_PER_SAMPLE.get(file.subtype)
    overhead = _SIZE_OVERHEAD_BYTES.get(file.format)
    if logged is None or sample_bytes is None or overhead is None:
        return None
    size = int(logged.group(1))
    if any(abs(size - limit) <= _PLACEHOLDER_SPREAD_BYTES for limit in _PLACEHOLDER_SIZES):
        return None
    return (size - overhead) // (sample_bytes * int(file.channels))


def _has_frame(file: soundfile.SoundFile, frame: int) -> bool:
    try:
        file.seek(frame)
        return bool(file.read(1, always_2d=True).shape[0])
    except soundfile.LibsndfileError:
        return False


def _count_frames(file: soundfile.SoundFile) -> int:
    there = 0
    frames = _BlockReader(file, _COUNT_BLOCK_FRAMES)
    while True:
        block, error = frames.read()
        there += int(block.shape[1])
        if error is not None or not block.shape[1]:
            return there


def _name(path: Path) -> str:
    return repr(str(path))


def _reason(error: soundfile.LibsndfileError) -> str:
    if error.code in _VAGUE_CODES:
        return "no audio found in it"
    return str(error.error_string).removeprefix("Error : ").strip().rstrip(".") or "unknown format"
