"""What every decoder of audio files gives: the facts of a file and its blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine.errors import AudioFileError

__all__ = ["AudioInfo", "AudioSource", "shortfall"]

_CHANNELS = (1, 2)


@dataclass(frozen=True)
class AudioInfo:
    """The facts of an audio file that are known before its audio is decoded.

    Attributes
    ----------
    sample_rate : int
        In Hz.
    channels : int
        1 or 2.
    frames : int or None
        Length; None where the format does not say (raw AAC, streamed FLAC).
    """

    sample_rate: int
    channels: int
    frames: int | None

    def check(self, name: str) -> None:
        """Refuse what the engine cannot take.

        Raises
        ------
        AudioFileError
            If there are more than two channels, or a rate that is not positive.
        """
        if self.channels not in _CHANNELS:
            raise AudioFileError(f"{name} has {self.channels} channels: 1 or 2 are supported, mix it down first")
        if self.sample_rate < 1:
            raise AudioFileError(f"{name} has sample rate {self.sample_rate}: it must be positive, convert it first")


class AudioSource(Protocol):
    """A way to decode one kind of file."""

    @property
    def info(self) -> AudioInfo:
        """The facts of the file."""
        ...

    def blocks(self, block_frames: int, start_frame: int = 0) -> Iterator[npt.NDArray[np.float32]]:
        """Decode from a frame on, in blocks ``(channels, block_frames)``; the last one may be shorter.

        A block is valid until the next is asked for.
        """
        ...


def shortfall(name: str, promised: int, there: int) -> AudioFileError:
    """Error for a file that ends before its header says."""
    return AudioFileError(
        f"{name} is truncated or damaged: header promises {promised} frames, {there} are there: "
        "copy or download it again"
    )
