"""Audio as libsndfile decodes it: its length looked through, and every cut told."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from engine.errors import AudioFileError
from engine.files.mp3_length import LengthHeader, PrefixedFile, missing_length_header
from engine.files.source import AudioInfo, shortfall

__all__ = ["READABLE", "SoundfileSource", "native_path"]

READABLE = "wav, flac, mp3, ogg, opus, aiff, m4a, aac or mp4"
"""Kinds of files that can be read, for errors."""

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


class SoundfileSource:
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
                f"{_name(path)} is not audio that can be read ({_reason(error)}): use {READABLE}"
            ) from error

    def blocks(self, block_frames: int, start_frame: int = 0) -> Iterator[npt.NDArray[np.float32]]:
        """Decode from a frame on; see `engine.files.source.AudioSource`."""
        promised = self.info.frames
        there = start_frame
        with self._opened() as file:
            _go_to(file, start_frame, block_frames)
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


def native_path(path: Path) -> bytes | Path:
    """Give the path as the system has it: soundfile would refuse names that are not valid UTF-8."""
    return path if sys.platform == "win32" else os.fsencode(path)


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


def _go_to(file: soundfile.SoundFile, frame: int, block_frames: int) -> None:
    """Let the next frame that is read be this one, by decoding up to it where it cannot be entered."""
    if not frame:
        return
    try:
        there = file.seek(frame)
    except soundfile.LibsndfileError:
        there = file.seek(0)
    skipped = np.empty((block_frames, file.channels), np.float32)
    while there < frame and (read := file.read(out=skipped[: frame - there]).shape[0]):
        there += read


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
