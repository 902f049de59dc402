"""What a stem file says about how it was made, so that it is not made again, and not taken for another."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import soundfile

from engine.files.reader import native_path

__all__ = ["Expected", "is_marked", "mark"]

_MARK = "stemstream: "


def mark(stem: str, made_by: str) -> str:
    """Give the comment for a stem's file: the stem, the model and all settings that the sound depends on."""
    # Names of files need not be text, and tags must be.
    return f"{_MARK}{stem} by {made_by}".encode(errors="backslashreplace").decode()


def is_marked(path: Path) -> bool:
    """Tell whether a file says that it is a stem made here."""
    try:
        with soundfile.SoundFile(native_path(path)) as file:
            return str(file.comment).startswith(_MARK)
    except (soundfile.SoundFileError, OSError):
        return False


@dataclass(frozen=True)
class Expected:
    """What a stem file is like if it was made of this input with these settings.

    Attributes
    ----------
    sample_rate, channels : int
    frames : int or None
        None where the input's length is not known.
    subtype : str
        As libsndfile calls it.
    comment : str
        See `mark`.
    not_before_ns : int
        When the input was last changed.
    """

    sample_rate: int
    channels: int
    frames: int | None
    subtype: str
    comment: str
    not_before_ns: int

    def difference(self, path: Path) -> str | None:
        """Say in what a file that exists is not as expected; None if it is."""
        try:
            with soundfile.SoundFile(native_path(path)) as file:
                facts = (int(file.samplerate), int(file.channels), str(file.subtype))
                frames, comment = int(file.frames), str(file.comment)
            changed_ns = os.stat(path).st_mtime_ns
        except (soundfile.SoundFileError, OSError):
            return "is not a whole stem file"
        if not comment.startswith(_MARK):
            return "was not made by this program"
        if comment != self.comment:
            return "was made by another model or with other settings"
        if facts != (self.sample_rate, self.channels, self.subtype) or self.frames not in (None, frames):
            return "has another length or format"
        if changed_ns < self.not_before_ns:
            return "is older than the input"
        return None
