"""One track of a playlist: its file, and its stems as far as they are known."""

from __future__ import annotations

from pathlib import Path

from engine.errors import AudioFileError
from engine.files.reader import AudioReader
from streamer.stem_store import StemSource

__all__ = ["Track", "open_track"]

_COUNT_FRAMES = 1 << 16


class Track:
    """What is known of a track, and shared by those who read, separate and play it.

    Attributes
    ----------
    number : int
        In the playlist.
    path : Path
    reader : AudioReader
    sample_rate, channels, frames : int
        Of the file.
    stems : StemSource
        Another object once it turned out that they are kept from before.
    has_damaged_stems : bool
        Those that were kept cannot be read.
    users : int
        Voices that play it; kept by the shelf.
    """

    def __init__(self, number: int, reader: AudioReader, frames: int, stems: StemSource) -> None:
        self.number = number
        self.path = reader.path
        self.reader = reader
        self.sample_rate = reader.sample_rate
        self.channels = reader.channels
        self.frames = frames
        self.stems = stems
        self.has_damaged_stems = False
        self.users = 0

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate

    def close(self) -> None:
        """Let go of file and stems."""
        self.reader.close()
        self.stems.close()


def open_track(path: Path, model_channels: int) -> tuple[AudioReader, int]:
    """Open a file and give its length, which is counted where the format does not say.

    Raises
    ------
    AudioFileError
        If it cannot be read, is empty, or has more channels than the model takes.
    """
    reader = AudioReader(path)
    if reader.channels > model_channels:
        raise AudioFileError(
            f"{str(path)!r} has {reader.channels} channels, and the model takes {model_channels}: mix it down first"
        )
    frames = reader.frames
    if frames is None:
        frames = sum(block.shape[1] for block in reader.blocks(_COUNT_FRAMES))
    if not frames:
        raise AudioFileError(f"{str(path)!r} holds no sound: leave it out")
    return reader, frames
