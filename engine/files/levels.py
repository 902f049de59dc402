"""What becomes of samples above full scale where files hold integers: counted, told, and never hidden."""

from __future__ import annotations

import math
import tempfile
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import IO

import numpy as np
import numpy.typing as npt

from engine.errors import OutputError
from engine.files.stem_writers import StemWriters

__all__ = ["Clip", "LevelledWriters"]

F32 = npt.NDArray[np.float32]
# The largest that an integer of each kind holds, where full scale is 1.
_TOPS = {"PCM_16": 1 - 2.0**-15, "PCM_24": 1 - 2.0**-23}
_COPIED_FRAMES = 1 << 15


class Clip(StrEnum):
    """What is done with samples above full scale in files of integers."""

    CLAMP = "clamp"
    """They become full scale, and are counted."""
    SCALE = "scale"
    """All stems of the track are lowered by one gain, so that none is left and the stems keep their balance."""


class LevelledWriters:
    """`StemWriters` that know the level of what they write.

    With ``Clip.SCALE`` the gain is known at the end only: until then the stems lie, as floats, in a file without a
    name beside the first of them, which is gone when the process is. No stem is ever raised; where nothing is above
    full scale, or the files hold floats, nothing is changed. A context manager, as `StemWriters` is; belongs to one
    thread.

    Parameters
    ----------
    writers : StemWriters
    subtype : {"FLOAT", "PCM_24", "PCM_16"}
        What the files hold.
    clip : Clip

    Attributes
    ----------
    gain_db : float
        What was done to all stems alike: 0, or less with ``Clip.SCALE``. Known after the ``with`` block.
    """

    def __init__(self, writers: StemWriters, subtype: str, clip: Clip) -> None:
        self._writers = writers
        self._top = _TOPS.get(subtype)
        count = len(writers.writers)
        self._clipped = np.zeros(count, np.int64)
        self._peaks = np.zeros(count)
        self._levels: F32 = np.zeros((0, 0, 0), np.float32)
        self._scratch: IO[bytes] | None = None
        self.gain_db = 0.0
        if clip is Clip.SCALE and self._top is not None:
            try:
                self._scratch = tempfile.TemporaryFile(  # noqa: SIM115 - closed where the context of this ends
                    dir=next(iter(writers.writers.values())).path.parent
                )
            except OSError as error:
                writers.abort()
                raise self._failure(error) from error

    @property
    def clipped_samples(self) -> dict[str, int]:
        """How many samples of each stem became full scale; stems without any are left out."""
        if self._scratch is not None:
            return {}
        return {stem: n for stem, n in zip(self._writers.writers, self._clipped.tolist(), strict=True) if n}

    @property
    def over_db(self) -> dict[str, float]:
        """How far the loudest sample of each stem was above full scale; stems that were not are left out."""
        if self._top is None:
            return {}
        return {
            stem: 20 * math.log10(peak)
            for stem, peak in zip(self._writers.writers, self._peaks.tolist(), strict=True)
            if peak > 1
        }

    def write(self, stems: F32) -> None:
        """Append one block to every file; see `StemWriters.write`."""
        if self._top is not None and stems.shape[-1]:
            levels = self._magnitudes(stems)
            self._peaks = np.maximum(self._peaks, levels.max(axis=(1, 2)))
            if self._peaks.max() > 1:
                self._clipped += np.count_nonzero(levels > 1, axis=(1, 2))
        if self._scratch is None:
            self._writers.write(stems)
            return
        rows = stems.reshape(-1, stems.shape[-1])
        try:
            self._scratch.write(np.ascontiguousarray(rows.T).tobytes())
        except OSError as error:
            raise self._failure(error) from error

    def _magnitudes(self, stems: F32) -> F32:
        if self._levels.shape[-1] < stems.shape[-1]:
            self._levels = np.zeros_like(stems)
        return np.abs(stems, out=self._levels[..., : stems.shape[-1]])

    def __enter__(self) -> LevelledWriters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            try:
                if kind is None and self._scratch is not None:
                    self._pour(self._scratch)
            finally:
                if self._scratch is not None:
                    # What a full disk did not take is tried again here, and nobody wants it any more.
                    with suppress(OSError):
                        self._scratch.close()
        except BaseException:
            self._writers.abort()
            raise
        self._writers.__exit__(kind, error, trace)

    def _pour(self, scratch: IO[bytes]) -> None:
        """Write all that was put aside, lowered by one gain."""
        peak = float(self._peaks.max())
        gain = np.float32(1.0)
        if self._top is not None and peak > 1:
            gain = np.float32(self._top / peak)
            self.gain_db = 20 * math.log10(gain)
        count = len(self._writers.writers)
        channels = next(iter(self._writers.writers.values())).channels
        row_bytes = 4 * count * channels
        try:
            scratch.seek(0)
            while data := scratch.read(_COPIED_FRAMES * row_bytes):
                rows = np.frombuffer(data, np.float32).reshape(-1, count, channels)
                self._writers.write(np.ascontiguousarray(rows.transpose(1, 2, 0) * gain))
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> OutputError:
        folder = next(iter(self._writers.writers.values())).path.parent
        return OutputError(
            f"what was separated cannot be put aside in {str(folder)!r} ({error.strerror}): free some space, or take "
            "--clip clamp, which needs none"
        )
