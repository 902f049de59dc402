"""What of a track is separated: by the one pass through all of it, and by those that began where somebody listens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streamer.scratch import Scratch
from streamer.spans import Spans

__all__ = ["StemSource", "StemStore"]

F32 = npt.NDArray[np.float32]


class StemSource(Protocol):
    """Stems of a track as far as they are known. One thread fills it, others read."""

    @property
    def frontier(self) -> int:
        """Every frame before this one has its final stems."""
        ...

    def known_to(self, frame: int) -> int:
        """Give the end of the run of known frames that holds a frame; the frame itself where it is not known."""
        ...

    def next_known(self, frame: int) -> int | None:
        """Give the first known frame from this one on."""
        ...

    def final_to(self, frame: int) -> int:
        """Give the end of the run of final frames that holds a frame; the frame itself where it is not final."""
        ...

    def provisional_to(self, frame: int) -> int:
        """Give the same of provisional frames."""
        ...

    def read(self, begin: int, end: int, *, final: bool) -> F32:
        """Give known frames, shape (stems, channels, end - begin); all final, or all provisional."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class StemStore:
    """Keeps stems on the disk, final ones and provisional ones apart.

    Final stems come from one pass through the whole track and are the same however it was listened to. Provisional
    ones come from a pass that began anywhere; they are heard until there are final ones.

    Parameters
    ----------
    stems, channels : int
    folders : sequence of Path
        As for `Scratch`.

    Notes
    -----
    One thread writes, and one reads.
    """

    def __init__(self, stems: int, channels: int, folders: Sequence[Path] = ()) -> None:
        self._lead = (stems, channels)
        self._final, self._provisional = (Scratch(stems * channels, folders) for _ in range(2))
        self._final_spans, self._provisional_spans = Spans(), Spans()

    @property
    def error(self) -> OSError | None:
        """Why nothing more is kept."""
        return self._final.error or self._provisional.error

    @property
    def frontier(self) -> int:
        """Every frame before this one has its final stems."""
        return self._final_spans.end_at(0)

    @property
    def provisional_frames(self) -> int:
        """Frames that a pass which began anywhere gave."""
        return self._provisional_spans.frames

    def write_final(self, begin: int, part: F32) -> bool:
        """Keep a part of the one pass, shape (stems, channels, n); False where the disk is full, and it is not kept."""
        if self._final.error is not None:
            return False
        self._final.write(begin, _turned(part))
        if self._final.error is not None:
            return False
        self._final_spans.add(begin, begin + part.shape[-1])
        return True

    def write_provisional(self, begin: int, part: F32) -> None:
        """Keep a part of another pass; where the disk is full, only as long as it is among the newest."""
        for low, high in self._provisional.write(begin, _turned(part)):
            self._provisional_spans.remove(low, high)
        self._provisional_spans.add(begin, begin + part.shape[-1])

    def known_to(self, frame: int) -> int:
        """Give the end of the run of known frames that holds a frame; the frame itself where it is not known."""
        end = frame
        while (further := max(self._final_spans.end_at(end), self._provisional_spans.end_at(end))) > end:
            end = further
        return end

    def next_known(self, frame: int) -> int | None:
        """Give the first known frame from this one on."""
        found = [spans.next_at(frame) for spans in (self._final_spans, self._provisional_spans)]
        return min((place for place in found if place is not None), default=None)

    def final_to(self, frame: int) -> int:
        """Give the end of the run of final frames that holds a frame; the frame itself where it is not final."""
        return self._final_spans.end_at(frame)

    def provisional_to(self, frame: int) -> int:
        """Give the same of provisional frames."""
        return self._provisional_spans.end_at(frame)

    def read(self, begin: int, end: int, *, final: bool) -> F32:
        """Give known frames, shape (stems, channels, end - begin); all final, or all provisional."""
        frames = (self._final if final else self._provisional).read(begin, end)
        return np.ascontiguousarray(frames.T).reshape(*self._lead, len(frames))

    def close(self) -> None:
        """Let go of the disk."""
        self._final.close()
        self._provisional.close()


def _turned(part: F32) -> F32:
    return np.ascontiguousarray(part.reshape(-1, part.shape[-1]).T)
