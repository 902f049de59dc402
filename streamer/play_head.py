"""Where the play head goes: runs without a jump, what ends them, and the fades around a jump, as pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from engine.errors import ConfigurationError

__all__ = ["FADE_FRAMES", "Cue", "Loop", "Run", "checked_frame", "checked_loop", "fade", "run_from"]

FADE_FRAMES = 128
"""Of a jump's fades: 2.7 ms at 48 kHz, too short to be missed from the music and long enough not to click."""
_SHORTEST_LOOP_S = 0.02


@dataclass(frozen=True)
class Cue:
    """A place in a playlist: a track by its number, and a frame of it."""

    track: int
    frame: int


@dataclass(frozen=True)
class Loop:
    """The frames ``[begin, end)`` that are played over and over."""

    begin: int
    end: int

    def holds(self, frame: int) -> bool:
        """Whether a frame is among them."""
        return self.begin <= frame < self.end


@dataclass(frozen=True)
class Run:
    """A stretch that is played without a jump.

    Attributes
    ----------
    begin, end : int
        The frames ``[begin, end)`` of a track.
    rise_frames : int
        Length of the fade at its beginning; 0 where it goes on from what was played before.
    fall_frames : int
        Length of the fade that ends with it; 0 where what follows goes on from it.
    natural_end : int
        Where it would end if nobody had ordered anything else.
    loops : bool
        Behind that comes the beginning of a loop.
    """

    begin: int
    end: int
    rise_frames: int = 0
    fall_frames: int = 0
    natural_end: int = 0
    loops: bool = False

    def cut_at(self, frame: int) -> Run:
        """Let it end as soon after this frame as a fade allows, for what follows is another place."""
        if self.fall_frames and self.end <= frame + FADE_FRAMES:
            return self
        end = min(self.end, frame + FADE_FRAMES)
        return replace(self, end=end, fall_frames=max(1, end - frame))


def run_from(frame: int, track_frames: int, loop: Loop | None, *, rises: bool) -> Run:
    """Give the run that begins at a frame: to the end of the loop that holds it, or of the track.

    Parameters
    ----------
    frame, track_frames : int
    loop : Loop, optional
    rises : bool
        It follows a jump, or silence.
    """
    is_looped = loop is not None and loop.holds(frame)
    end = loop.end if loop is not None and is_looped else track_frames
    length = max(0, end - frame)
    ramp = max(1, min(FADE_FRAMES, length // 2))
    fall = ramp if is_looped and length else 0
    return Run(frame, end, ramp if rises and length else 0, fall, natural_end=end, loops=is_looped)


def fade(run: Run, frame: int, gains: npt.NDArray[np.float32], steps: npt.NDArray[np.float32]) -> bool:
    """Give the gains of the frames from ``frame`` on.

    Parameters
    ----------
    run : Run
    frame : int
        At or behind the run's beginning.
    gains : ndarray of float32, shape (frames,)
        Filled where they are not all 1; within the run.
    steps : ndarray of float32
        0, 1, 2 and so on, as many as gains at least.

    Returns
    -------
    bool
        False where all gains are 1.
    """
    n = len(gains)
    rises = run.rise_frames and frame < run.begin + run.rise_frames
    falls = run.fall_frames and frame + n > run.end - run.fall_frames
    if not (rises or falls):
        return False
    gains[:] = 1.0
    if rises:
        np.multiply(steps[:n], np.float32(1.0 / run.rise_frames), out=gains)
        gains += np.float32((frame - run.begin + 0.5) / run.rise_frames)
        np.minimum(gains, 1.0, out=gains)
    if falls:
        first = max(0, run.end - run.fall_frames - frame)
        part = gains[first:]
        # A fall that begins on the way up must not be above it.
        limit = (run.end - frame - first - 0.5 - steps[: len(part)]) / np.float32(run.fall_frames)
        np.minimum(part, limit.astype(np.float32), out=part)
    return True


def checked_frame(seconds: float, sample_rate: int, frames: int) -> int:
    """Give a time in a track as a frame of it; what lies beyond the end is its end.

    Raises
    ------
    ConfigurationError
        If it is no time from 0 on.
    """
    is_number = isinstance(seconds, int | float | np.number) and not isinstance(seconds, bool)
    if not is_number or not math.isfinite(seconds) or seconds < 0:
        raise ConfigurationError(f"{seconds!r} is no place in a track: give seconds from its beginning, 0 or more")
    return min(round(float(seconds) * sample_rate), frames)


def checked_loop(begin_s: float, end_s: float, sample_rate: int, frames: int) -> Loop:
    """Give a loop between two times of a track.

    Raises
    ------
    ConfigurationError
        If it is shorter than 20 ms, or one of them is no time.
    """
    loop = Loop(checked_frame(begin_s, sample_rate, frames), checked_frame(end_s, sample_rate, frames))
    if loop.end - loop.begin < _SHORTEST_LOOP_S * sample_rate:
        raise ConfigurationError(
            f"a loop from {begin_s:g} to {end_s:g} s is too short in a track of {frames / sample_rate:.1f} s: its end "
            f"must lie at least {_SHORTEST_LOOP_S:g} s behind its beginning"
        )
    return loop
