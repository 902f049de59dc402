"""The length of an MP3 that does not tell it.

libsndfile guesses the length of an untagged MP3 from its size and its first frame's bit rate, and reads no further than
that: with a variable bit rate most of the song can be lost. Here the frames are counted, and a Xing header that says so
is put in front of what libsndfile reads.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

__all__ = ["LengthHeader", "PrefixedFile", "missing_length_header"]

# Layer III, by the two version bits: 0 is MPEG 2.5, 2 is MPEG 2, 3 is MPEG 1; 1 is reserved.
_RATES_HZ = {0: (11025, 12000, 8000), 2: (22050, 24000, 16000), 3: (44100, 48000, 32000)}
_KBPS_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_LENGTH_TAGS = (b"Xing", b"Info", b"VBRI")
_TAG_SEARCH_BYTES = 64
_XING_HAS_FRAMES_AND_BYTES = 3
# 128 kbit/s in MPEG 1, 80 in the others: at every rate a frame long enough for the header.
_HEADER_KBPS_INDEX = 9


class LengthHeader(NamedTuple):
    """One MPEG frame with a Xing header, and where in the file the frames begin that it must stand before."""

    frame: bytes
    place: int


class _Frame(NamedTuple):
    place: int
    size: int


def missing_length_header(path: Path) -> LengthHeader | None:
    """Make the header that an untagged MP3 lacks.

    Returns
    -------
    LengthHeader or None
        None where the file has a header of its own or is not an MP3.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        frames = _frames(data, _after_id3(data))
        first = next(frames, None)
        if first is None:
            return None
        head = data[first.place : first.place + _TAG_SEARCH_BYTES]
        if any(tag in head for tag in _LENGTH_TAGS):
            return None
        count, size_bytes = 1, first.size
        for frame in frames:
            count += 1
            size_bytes += frame.size
        return LengthHeader(_xing_frame(head[:4], count, size_bytes), first.place)


class PrefixedFile:
    """A file with other bytes in place of its first ``skip_bytes``; for reading by libsndfile, from one thread."""

    def __init__(self, prefix: bytes, file: BinaryIO, skip_bytes: int = 0) -> None:
        self._prefix = prefix
        self._file = file
        self._skip_bytes = skip_bytes
        self._length = len(prefix) + os.fstat(file.fileno()).st_size - skip_bytes
        self._place = 0

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes."""
        data = self._prefix[self._place : self._place + size]
        if len(data) < size:
            self._file.seek(self._skip_bytes + max(0, self._place - len(self._prefix)))
            data += self._file.read(size - len(data))
        self._place += len(data)
        return data

    def write(self, data: bytes) -> int:
        """Refuse: the file is for reading."""
        return 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, as files do."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._length}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        """Give the place, as files do."""
        return self._place


def _frames(data: mmap.mmap, start: int) -> Iterator[_Frame]:
    place = start
    signature: tuple[int, int] | None = None
    while 0 <= place <= len(data) - 4:
        frame = _frame_at(data, place)
        same = (data[place + 1] & 0xFE, data[place + 2] & 0x0C)
        # A later frame must be of the same version and rate; a first one must be followed by another.
        if frame is not None and (same == signature if signature else _frame_at(data, place + frame.size) is not None):
            signature = same
            yield frame
            place += frame.size
        else:
            place = data.find(b"\xff", place + 1)


def _frame_at(data: mmap.mmap, place: int) -> _Frame | None:
    if place > len(data) - 4 or data[place] != 0xFF or data[place + 1] & 0xE6 != 0xE2:
        return None
    version, third = data[place + 1] >> 3 & 3, data[place + 2]
    kbps_index, rate_index = third >> 4, third >> 2 & 3
    if version not in _RATES_HZ or kbps_index in (0, 15) or rate_index == 3:
        return None
    size = _frame_size(version, kbps_index, rate_index) + (third >> 1 & 1)
    return _Frame(place, size)


def _kbps(version: int, index: int) -> int:
    return (_KBPS_MPEG1 if version == 3 else _KBPS_MPEG2)[index]


def _frame_size(version: int, kbps_index: int, rate_index: int) -> int:
    slots = 144_000 if version == 3 else 72_000
    return slots * _kbps(version, kbps_index) // _RATES_HZ[version][rate_index]


def _after_id3(data: mmap.mmap) -> int:
    place = 0
    while data[place : place + 3] == b"ID3" and len(data) >= place + 10:
        size = 0
        for byte in data[place + 6 : place + 10]:
            size = size << 7 | byte & 0x7F
        place += 10 + size
    return place


def _xing_frame(head: bytes, count: int, size_bytes: int) -> bytes:
    version, rate_index = head[1] >> 3 & 3, head[2] >> 2 & 3
    is_mono = head[3] >> 6 == 3
    # The header stands where the side information would, whose length depends on version and channels.
    side_bytes = (17 if is_mono else 32) if version == 3 else (9 if is_mono else 17)
    size = _frame_size(version, _HEADER_KBPS_INDEX, rate_index)
    start = bytes((0xFF, head[1] | 1, _HEADER_KBPS_INDEX << 4 | rate_index << 2, head[3]))
    xing = b"Xing" + struct.pack(">III", _XING_HAS_FRAMES_AND_BYTES, count, size_bytes + size)
    return (start + bytes(side_bytes) + xing).ljust(size, b"\0")
