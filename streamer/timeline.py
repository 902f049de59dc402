"""The deadline ladder as pure code: which frames are heard separated, and how one rung leads to another.

No audio and no threads here: positions in, positions out. Frames are those of the host's input; ``cursor`` is the
input frame that the next output frame belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from streamer.latency import JOIN_FRAMES

__all__ = ["Admission", "BlockRungs", "Gate", "Timeline"]

_ENTRY_STREAK = 2
"""On-time results in a row before separation is heard again, so that it does not flicker."""


class Gate(Enum):
    """Whether the separated stems are heard, or the delayed mixture in the residual stem."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    OPENING = "opening"


@dataclass(frozen=True)
class Admission:
    """What to do with a result.

    Attributes
    ----------
    start : int
        Keep its frames from this one on; -1 drops it whole.
    join_at : int
        Where the frames that were to be heard so far must be crossfaded into its own; -1 where nothing changes.
    """

    start: int
    join_at: int = -1


@dataclass
class BlockRungs:
    """How many frames of a block came from which rung of the ladder; reused from block to block.

    Attributes
    ----------
    final, late, provisional, mixture : int
        From a result that was there in time; from the rest of one that came partly late; from the part of a window
        inside its own look-ahead or fade; from the delayed mixture, fades to and from it included.
    bypassed : int
        The delayed mixture because it was asked for.
    before_start : int
        Frames before the first input frame.
    """

    final: int = 0
    late: int = 0
    provisional: int = 0
    mixture: int = 0
    bypassed: int = 0
    before_start: int = 0

    @property
    def separated(self) -> int:
        """Frames that are separated wholly, faded with nothing."""
        return self.final + self.late + self.provisional


class Timeline:
    """Follows what is known of a stream and decides for every block what is heard.

    Parameters
    ----------
    latency_frames : int
        Frames between an input frame and its output frame.
    guard_frames : int
        How long before its first frame a result must be there so that no fade has begun.

    Attributes
    ----------
    cursor : int
        Input frame of the next output frame; negative while the latency fills.
    gate : Gate
    bypass : bool
        The user wants the delayed mixture.
    """

    def __init__(self, latency_frames: int, guard_frames: int) -> None:
        self._latency = latency_frames
        self._guard = guard_frames
        self.bypass = False
        self.reserve(1)
        self.reset()

    def reset(self) -> None:
        """Start a new epoch. Silence before the first frame counts as separated."""
        self.cursor = -self._latency
        self.gate = Gate.CLOSED if self.bypass else Gate.OPEN
        self._level = 0 if self.bypass else JOIN_FRAMES
        self._streak = 0
        # The run of frames that is heard while the gate is not closed, and the newer one behind a gap, if any.
        self._start, self._final, self._end = -self._latency, 0, 0
        self._next: tuple[int, int, int] | None = None
        self._late_from = self._late_to = 0

    def reserve(self, max_block_frames: int) -> None:
        """Allocate for blocks of up to ``max_block_frames``."""
        self._steps = np.arange(max_block_frames, dtype=np.int64)
        self._wanted = np.zeros(max_block_frames, np.int64)
        self._limit = np.zeros(max_block_frames, np.int64)
        self._holds = np.zeros(max_block_frames, np.bool_)

    def admit(self, first: int, final: int, known: int) -> Admission:
        """Decide about a result: final frames ``[first, final)``, provisional ones ``[final, known)``.

        One that is late is trimmed or dropped, never moved; so is one that comes after a newer one.
        """
        cursor = self.cursor
        frontier = self._next[1] if self._next else self._final
        if final <= frontier:
            return Admission(-1)
        self._streak = self._streak + 1 if cursor <= first - self._guard else 0
        if first == frontier and cursor <= first:
            return self._extend(first, final, known)
        start = max(first, cursor)
        if final <= start and known <= start + 2 * JOIN_FRAMES:
            return Admission(-1)
        if self.gate is Gate.CLOSED:
            self._start, self._final, self._end = start, final, known
            self._next = None
            return Admission(start)
        bridged = self.gate is Gate.OPEN and self._next is None and self._end >= start + JOIN_FRAMES
        if bridged:
            if known < start + 2 * JOIN_FRAMES:
                return Admission(-1)
            self._final, self._end = final, known
            self._late_from, self._late_to = (start, final) if start > first else (0, 0)
            return Admission(start, join_at=start)
        # What the closing fade still needs stays as it is; the newer run waits behind it.
        start = max(start, self._needed_by_fade())
        if known <= start:
            return Admission(-1)
        self._next = (start, max(start, final), known)
        return Admission(start)

    def _extend(self, first: int, final: int, known: int) -> Admission:
        # A fade may be counting on what was known already, so the end never comes nearer.
        if self._next:
            self._next = (self._next[0], final, max(self._next[2], known, final))
        else:
            self._final, self._end = final, max(self._end, known, final)
        return Admission(first)

    def _needed_by_fade(self) -> int:
        if self.gate is Gate.CLOSING:
            return self.cursor + self._level
        return self._end

    def block(self, frames: int, levels: npt.NDArray[np.float32], rungs: BlockRungs) -> None:
        """Move the cursor on by ``frames`` and say what is heard.

        Parameters
        ----------
        frames : int
            At most what was reserved.
        levels : ndarray of float32, shape (frames,)
            Filled with the share of the separated stems, 0 to 1, in steps of 1/64 a frame at most.
        rungs : BlockRungs
            Filled with counts that add up to ``frames``.
        """
        rungs.final = rungs.late = rungs.provisional = rungs.mixture = rungs.bypassed = 0
        done = self._before_start(levels[:frames], rungs)
        while done < frames:
            done += self._segment(self.cursor + done, levels[done:frames], rungs)
        heard = frames - rungs.before_start
        if self.bypass:
            rungs.final = rungs.late = rungs.provisional = 0
            rungs.bypassed = heard
        else:
            rungs.mixture = heard - rungs.final - rungs.late - rungs.provisional
        self.cursor += frames

    def _before_start(self, levels: npt.NDArray[np.float32], rungs: BlockRungs) -> int:
        """Fill the frames before the first input frame: all is silent there, so nothing needs a fade."""
        rungs.before_start = min(len(levels), max(0, -self.cursor))
        levels[: rungs.before_start] = self._level / JOIN_FRAMES
        if self.cursor <= 0 < self.cursor + len(levels) and self.gate is Gate.OPEN and self._end < JOIN_FRAMES:
            self._level = max(0, self._end)
            self.gate = Gate.OPENING if self._level else Gate.CLOSED
            self._streak = 0
        return rungs.before_start

    def _segment(self, begin: int, levels: npt.NDArray[np.float32], rungs: BlockRungs) -> int:
        """Fill levels up to the next change of the gate; returns how many."""
        if self.gate in (Gate.OPEN, Gate.OPENING):
            return self._open_segment(begin, levels, rungs)
        if self.gate is Gate.CLOSING:
            return self._closing_segment(levels)
        return self._closed_segment(begin, levels)

    def _open_segment(self, begin: int, levels: npt.NDArray[np.float32], rungs: BlockRungs) -> int:
        if self.bypass:
            self.gate = Gate.CLOSING
            return 0
        n = len(levels)
        if self._level == JOIN_FRAMES <= self._end - begin - n:
            levels[:] = 1.0
            self._count(begin, begin + n, rungs)
            return n
        wanted, limit = self._wanted[:n], self._limit[:n]
        np.add(self._steps[:n], self._level + 1, out=wanted)
        np.minimum(wanted, JOIN_FRAMES, out=wanted)
        np.subtract(self._end - 1 - begin, self._steps[:n], out=limit)
        # What is wanted never falls and the limit never rises, so the frames where it holds come first.
        holds = int(np.count_nonzero(np.greater_equal(limit, wanted, out=self._holds[:n])))
        ramp = min(holds, max(0, JOIN_FRAMES - 1 - self._level))
        self._count(begin + ramp, begin + holds, rungs)
        _share(wanted[:holds], levels[:holds])
        if holds:
            self._level = int(wanted[holds - 1])
            self.gate = Gate.OPEN if self._level == JOIN_FRAMES else Gate.OPENING
        if holds < n:
            self.gate = Gate.CLOSING
            self._level = min(self._level, max(0, int(limit[holds]) + 1))
            self._streak = 0
        return holds

    def _closing_segment(self, levels: npt.NDArray[np.float32]) -> int:
        n = min(len(levels), self._level)
        np.subtract(self._level - 1, self._steps[:n], out=self._wanted[:n])
        _share(self._wanted[:n], levels[:n])
        self._level -= n
        if not self._level:
            self.gate = Gate.CLOSED
            if self._next:
                self._start, self._final, self._end = self._next
                self._next = None
        return n

    def _closed_segment(self, begin: int, levels: npt.NDArray[np.float32]) -> int:
        opens = max(begin, self._start)
        wanted = not self.bypass and self._streak >= _ENTRY_STREAK and self._end - 1 > opens
        n = min(len(levels), opens - begin) if wanted else len(levels)
        levels[:n] = 0.0
        if wanted and n < len(levels):
            self.gate = Gate.OPENING
        return n

    def _count(self, begin: int, end: int, rungs: BlockRungs) -> None:
        """Count the wholly separated frames ``[begin, end)`` of the current run by their rung."""
        provisional = min(end - begin, max(0, end - max(begin, self._final)))
        late = max(0, min(end - provisional, self._late_to) - max(begin, self._late_from))
        rungs.provisional += provisional
        rungs.late += late
        rungs.final += end - begin - provisional - late


def _share(steps: npt.NDArray[np.int64], levels: npt.NDArray[np.float32]) -> None:
    """Give steps of a fade as shares; copied first, since NumPy allocates buffers to divide between two types."""
    np.copyto(levels, steps, casting="same_kind")
    np.divide(levels, JOIN_FRAMES, out=levels)
