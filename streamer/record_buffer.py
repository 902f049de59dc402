"""What waits to be recorded: blocks of stems in memory, and the gaps where there was no room for them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.ring import FrameRing

__all__ = ["RecordBuffer"]

F32 = npt.NDArray[np.float32]

_MAX_GAPS = 64
"""Gaps that may wait to be written; there is a new one only when half of the ring is free again."""


class RecordBuffer:
    """Carries blocks from the thread of the audio to the one that writes, and keeps time where blocks are lost.

    A block that does not fit is lost whole, and so are those after it until half of the ring is free, so that a disk
    that is slow for long leaves few gaps. The other side gets silence of the same length in their place.

    Nothing is locked and nobody waits. ``give``, ``skip`` and ``refuse`` are for one thread, the ``fetch`` methods for
    another one. After construction no array is allocated.

    Parameters
    ----------
    lead : tuple of int
        Axes before the frame axis: (stems, channels).
    min_frames : int
        Least number of frames kept.

    Attributes
    ----------
    given, lost : int
        Frames that came, and those of them that silence stands for.
    gaps : int
    silent : int
        Frames of silence fetched so far.
    """

    def __init__(self, lead: tuple[int, int], min_frames: int) -> None:
        self._ring = FrameRing(lead, min_frames)
        # Touches the memory now, so that the audio's thread does not wait for the system to provide it.
        self._ring.append_zeros(self._ring.capacity)
        self._taken = self._ring.written
        self._open_gap = 0
        self._gap_at = [0] * _MAX_GAPS
        self._gap_frames = [0] * _MAX_GAPS
        self._gaps_noted = 0
        self._gaps_passed = 0
        self._passed_of_gap = 0
        self.given = 0
        self.lost = 0
        self.gaps = 0
        self.silent = 0

    @property
    def capacity(self) -> int:
        """Frames that fit."""
        return self._ring.capacity

    def give(self, stems: F32) -> None:
        """Add a block, shape (stems, channels, frames), or lose it."""
        frames: int = stems.shape[-1]
        waiting = self._ring.written - self._taken
        has_room = frames <= self.capacity - waiting
        if self._open_gap:
            is_noted = self._gaps_noted - self._gaps_passed < _MAX_GAPS
            has_room = has_room and waiting <= self.capacity // 2 and is_noted
        if not has_room:
            self.skip(frames)
            return
        if self._open_gap:
            # The other side sees a gap before the frames that follow it: it looks at ``written`` first.
            place = self._gaps_noted % _MAX_GAPS
            self._gap_at[place], self._gap_frames[place] = self._ring.written, self._open_gap
            self._gaps_noted += 1
            self._open_gap = 0
        self._ring.append(stems)
        self.given += frames

    def skip(self, frames: int) -> None:
        """Let silence stand for frames that never came."""
        if frames:
            self.gaps += not self._open_gap
            self._open_gap += frames
            self.lost += frames
            self.given += frames

    def refuse(self, frames: int) -> None:
        """Count frames that nobody will take."""
        self.given += frames

    def fetch(self, out: F32) -> int:
        """Copy what waits into ``out``, shape (stems, channels, n), in order and with the silence of its gaps.

        Returns
        -------
        int
            How many frames there were, at most n.
        """
        written = self._ring.written
        done, wanted = 0, out.shape[-1]
        while done < wanted:
            end, gap = written, 0
            if self._gaps_passed < self._gaps_noted:
                place = self._gaps_passed % _MAX_GAPS
                end = min(written, self._gap_at[place])
                gap = self._gap_frames[place] - self._passed_of_gap if self._gap_at[place] == self._taken else 0
            n = min(wanted - done, gap or end - self._taken)
            if not n:
                break
            part = out[..., done : done + n]
            if gap:
                part[...] = 0.0
                self.silent += n
                self._pass(n, ends=n == gap)
            else:
                self._ring.copy(self._taken, part)
                self._taken += n
            done += n
        return done

    def fetch_end(self, out: F32) -> int:
        """Like ``fetch``, after the last block: also the silence of a gap that nothing follows."""
        done = self.fetch(out)
        if done:
            return done
        n: int = min(out.shape[-1], self._open_gap)
        out[..., :n] = 0.0
        self._open_gap -= n
        self.silent += n
        return n

    def _pass(self, frames: int, *, ends: bool) -> None:
        self._passed_of_gap = 0 if ends else self._passed_of_gap + frames
        self._gaps_passed += ends
