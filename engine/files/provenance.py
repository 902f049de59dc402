"""What a stem file says about how it was made, so that it is not made again, and not taken for another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import soundfile

from engine.files.sndfile_source import native_path

__all__ = ["Expected", "is_marked", "mark"]

_MARK = "stemstream: "
# A flac of no frames: the marker and the one block that there must be.
_BARE_FLAC_BYTES = 42
_MADE_OF = re.compile(re.escape(_MARK) + r"of ([0-9a-f]+), ")


def mark(stem: str, made_by: str, made_of: str) -> str:
    """Give the comment for a stem's file.

    Parameters
    ----------
    stem : str
    made_by : str
        The model and all settings that the sound depends on.
    made_of : str
        Hexadecimal digits that tell the input's bytes from all others.
    """
    # Names of files need not be text, and tags must be.
    return f"{_MARK}of {made_of}, {stem} by {made_by}".encode(errors="backslashreplace").decode()


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
    """

    sample_rate: int
    channels: int
    frames: int | None
    subtype: str
    comment: str

    def foreign(self, path: Path) -> str | None:
        """Say why a file that exists is not one of this input's stems; None if it is, however it was made."""
        try:
            with soundfile.SoundFile(native_path(path)) as file:
                comment, is_flac = str(file.comment), file.format == "FLAC"
            is_bare = is_flac and path.stat().st_size <= _BARE_FLAC_BYTES
        except (soundfile.SoundFileError, OSError):
            return "is not a stem file"
        if is_bare:
            # It holds no comment, and nobody loses anything in it.
            return None
        if not comment.startswith(_MARK):
            return "was not made by this program"
        if _made_of(comment) != _made_of(self.comment):
            return "was made of another file, or before this one was changed"
        return None

    def difference(self, path: Path) -> str | None:
        """Say in what one of this input's stems is not as expected; None if it is."""
        try:
            with soundfile.SoundFile(native_path(path)) as file:
                facts = (int(file.samplerate), int(file.channels), str(file.subtype))
                frames, comment = int(file.frames), str(file.comment)
        except (soundfile.SoundFileError, OSError):
            return "is not a whole stem file"
        if comment != self.comment:
            return "was made by another model or with other settings"
        if facts != (self.sample_rate, self.channels, self.subtype) or self.frames not in (None, frames):
            return "has another length or format"
        return None


def _made_of(comment: str) -> str | None:
    found = _MADE_OF.match(comment)
    return None if found is None else found[1]
