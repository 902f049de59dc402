"""AAC and its containers through PyAV; importing this module needs the extra ``formats``."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from engine.errors import AudioFileError
from engine.files.source import AudioInfo

__all__ = ["AvSource"]

# The coarsest time scale in use for edit lists is a 600th of a second: an edit that ends closer than that to the
# end of the media was rounded, not made.
_EDIT_TICKS_PER_S = 600
# A decoder may hold back its last frames of 1024 or 2048; more than two missing is a truncated file.
_SLACK_FRAMES = 2 * 2048
_PLAIN_EDITS = {"advanced_editlist": "0"}


class AvSource:
    """The first audio stream of an m4a, mp4, mov or aac file.

    An encoder puts priming before the audio and padding after it. FFmpeg drops the priming that an edit list or
    iTunes tag names; the padding is cut here, at the length that the container gives. FFmpeg's own muxer rounds
    the edit list to a thousandth of a second, which may cost the last packet, so an edit list that does nothing
    but remove the priming is set aside in favour of the media's own, exact length. Raw AAC tells neither priming
    nor length: it is given as decoded, with its 1024 or so frames of priming.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            edited, _ = self._probe({})
            self._options: dict[str, str] = {}
            self.info = edited
            if edited.frames is not None:
                plain, priming = self._probe(_PLAIN_EDITS)
                if plain.frames is not None:
                    exact = plain.frames - priming
                    if abs(exact - edited.frames) <= edited.sample_rate // _EDIT_TICKS_PER_S + 1:
                        self._options = _PLAIN_EDITS
                        self.info = AudioInfo(edited.sample_rate, edited.channels, exact)
        except (av.FFmpegError, OSError) as error:
            raise AudioFileError(
                f"{self._name} is not audio that can be read ({_reason(error)}): "
                "use wav, flac, mp3, ogg, opus, aiff, m4a, aac or mp4, or download it again"
            ) from error
        self.info.check(self._name)

    @property
    def _name(self) -> str:
        return repr(str(self._path))

    def blocks(self, block_frames: int, start_frame: int = 0) -> Iterator[npt.NDArray[np.float32]]:
        """Decode from a frame on, in blocks ``(channels, block_frames)``; the last one may be shorter.

        Containers are entered at packets whose frames are not exact to one, so all before it is decoded and dropped.
        """
        block = np.empty((self.info.channels, block_frames), np.float32)
        filled, before = 0, start_frame
        for chunk in self._trimmed_chunks():
            taken = min(before, chunk.shape[1])
            before -= taken
            while taken < chunk.shape[1]:
                count = min(block_frames - filled, chunk.shape[1] - taken)
                block[:, filled : filled + count] = chunk[:, taken : taken + count]
                filled += count
                taken += count
                if filled == block_frames:
                    yield block
                    filled = 0
        if filled:
            yield block[:, :filled]

    def _trimmed_chunks(self) -> Iterator[npt.NDArray[np.float32]]:
        promised = self.info.frames
        there = 0
        for chunk in self._chunks():
            kept = chunk if promised is None else chunk[:, : promised - there]
            there += kept.shape[1]
            yield kept
            if there == promised:
                return
        if promised is not None and 0 < promised - there <= _SLACK_FRAMES:
            yield np.zeros((self.info.channels, promised - there), np.float32)

    def _chunks(self) -> Iterator[npt.NDArray[np.float32]]:
        there = 0
        try:
            with av.open(str(self._path), options=self._options) as container:
                stream = container.streams.audio[0]
                layout = stream.codec_context.layout.name
                planar = av.AudioResampler(format="fltp", layout=layout, rate=self.info.sample_rate)
                for decoded in container.decode(stream):
                    for frame in planar.resample(decoded):
                        there += frame.samples
                        yield np.asarray(frame.to_ndarray(), np.float32)
        except av.EOFError:
            return
        except av.FFmpegError as error:
            raise AudioFileError(
                f"{self._name} is damaged or truncated after frame {there} ({_reason(error)}): "
                "copy or download it again"
            ) from error

    def _probe(self, options: dict[str, str]) -> tuple[AudioInfo, int]:
        with av.open(str(self._path), options=options) as container:
            if not container.streams.audio:
                raise AudioFileError(f"{self._name} holds no audio stream: name a file that does")
            stream = container.streams.audio[0]
            context = stream.codec_context
            rate = int(context.sample_rate)
            if container.format.name == "aac" or stream.duration is None or stream.time_base is None:
                return AudioInfo(rate, int(context.channels), None), 0
            frames = _frames(stream.duration, stream.time_base, rate)
            first = next((p.pts for p in container.demux(stream) if p.pts is not None), 0)
            priming = max(0, -_frames(first, stream.time_base, rate))
            return AudioInfo(rate, int(context.channels), frames), priming


def _frames(duration: int, time_base: Fraction, rate: int) -> int:
    return round(duration * time_base * rate)


def _reason(error: Any) -> str:
    return str(getattr(error, "strerror", None) or "unknown format")
