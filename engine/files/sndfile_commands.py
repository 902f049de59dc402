"""Commands of libsndfile for which soundfile has no public face."""

from __future__ import annotations

from contextlib import suppress

import soundfile

__all__ = ["allow_plain_wav", "leave_out_peak_chunk", "update_header"]

_SFC_RF64_AUTO_DOWNGRADE = 0x1210
_SFC_SET_ADD_PEAK_CHUNK = 0x1050
_SFC_UPDATE_HEADER_NOW = 0x1060


def leave_out_peak_chunk(file: soundfile.SoundFile) -> None:
    """Write no chunk with the time of day in it, which would make equal sounds unequal files."""
    # With the chunk the file is as valid.
    with suppress(AttributeError, TypeError):
        soundfile._snd.sf_command(file._file, _SFC_SET_ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0)


def allow_plain_wav(file: soundfile.SoundFile) -> None:
    """Let an RF64 file be a plain WAV as long as it is small enough."""
    # Without the command the file stays RF64, which is valid too.
    with suppress(AttributeError, TypeError):
        soundfile._snd.sf_command(file._file, _SFC_RF64_AUTO_DOWNGRADE, soundfile._ffi.NULL, 1)


def update_header(file: soundfile.SoundFile) -> None:
    """Bring the lengths in the header up to date."""
    # It takes the length from the file's own, so it is right also after the file was cut.
    soundfile._snd.sf_command(file._file, _SFC_UPDATE_HEADER_NOW, soundfile._ffi.NULL, 0)
