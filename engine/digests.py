"""Digests of files: the one that says whose bytes they are, and the one by which UVR picks a config."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["ByteProgress", "md5_of_end", "sha256_of"]

_BLOCK_BYTES = 1 << 20
_END_BYTES = 10_240_000

ByteProgress = Callable[[int, int | None], None]
"""Takes the bytes that are done and the bytes there will be, None where nobody knows; what it raises ends the work."""


def sha256_of(path: Path, progress: ByteProgress | None = None) -> str:
    """Give the SHA-256 of a file in lower case; reads all of it.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    digest, done = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        total = os.fstat(file.fileno()).st_size
        buffer = memoryview(bytearray(_BLOCK_BYTES))
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            done += count
            if progress is not None:
                progress(done, max(total, done))
    return digest.hexdigest()


def md5_of_end(path: Path) -> str:
    """Give the MD5 of the last 10,240,000 bytes of a file, or of all of a smaller one.

    Ultimate Vocal Remover knows its models by it. It leaves most of a large file out and can be forged, so it may
    choose settings that are checked afterwards, and never says that a file may be trusted.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _END_BYTES))
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
