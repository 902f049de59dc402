"""A device's clock as seen from outside: when which frame was there, from a count that moves in whole periods."""

from __future__ import annotations

__all__ = ["DeviceClock"]

_MEMORY_S = 16.0
"""How far back the rate looks: noise of the callbacks is averaged over it, and a clock that warms up is followed."""
_PRIOR_S = 2.0
"""The nominal rate counts as if it had been seen for so long: crystals are within some hundred millionths of it."""
_SHARP_S = 0.0005
"""A moment that is known to within so much to each side counts as its middle; of a wider one only the rest counts."""
_ABSENT_S = 0.5
"""After a longer time without a look it is open again where the line lies, though not how steep it is."""
_LONG_S = 0.05
"""What passed between two moments weighs as so much at most."""
_STRAY_S = 0.002
"""A callback that is off by more was held up, and tells nothing of the clock."""
_JUMP_AFTER_S = 0.25
"""Unless all of them are off to one side for so long: then the clock has jumped."""


class DeviceClock:
    """The straight line through the moments at which a device's callback was done with so many frames.

    Only the count is seen, by somebody who looks at it now and then: a callback came at some moment between the last
    look that did not see it and the first that did. One thread uses it.

    Parameters
    ----------
    sample_rate : int
        The nominal one, in Hz.
    bound : float
        Largest deviation of the rate from the nominal one, as a share of it.

    Notes
    -----
    A delay-locked loop of second order as in F. Adriaensen, "Using a DLL to filter time" (Linux Audio Conference,
    2005). Its bandwidth is not constant: it falls with the time since the line began, so that the line is the
    growing-memory fit of N. Morrison, "Introduction to sequential smoothing and prediction" (1969), with a nominal
    rate that counts as seen before, and stays where the memory is ``_MEMORY_S`` long.
    """

    def __init__(self, sample_rate: int, *, bound: float = 0.005) -> None:
        self._least_s, self._most_s = 1 / (sample_rate * (1 + bound)), 1 / (sample_rate * (1 - bound))
        self._frame_s = 1.0 / sample_rate
        # Counts that were seen since the line was to begin: the first one tells no moment, the second one does.
        self._seen = 0
        self._looked_s = 0.0
        self._frames = 0
        self._moment_s, self._age_s, self._known_s = 0.0, 0.0, 0.0
        # The run of callbacks that are off to one side: when it began, their sum and their number.
        self._off_since_s, self._off_s, self._off_count = 0.0, 0.0, 0
        self.jumps = 0
        """Times that the line was moved because the clock had jumped."""

    @property
    def rate(self) -> float:
        """Frames a second."""
        return 1.0 / self._frame_s

    @property
    def age_s(self) -> float:
        """For how long the line has been drawn, up to the length of its memory."""
        return self._age_s

    def moment_of(self, frames: float) -> float:
        """Give the moment at which so many frames were done, in seconds of whoever looked."""
        return self._moment_s + (frames - self._frames) * self._frame_s

    def frames_at(self, moment_s: float) -> float:
        """Give how many frames were done at a moment, were there no periods."""
        return self._frames + (moment_s - self._moment_s) / self._frame_s

    def realign(self) -> None:
        """Begin the line anew at the next callback, and keep the rate: the count has lost its relation to time."""
        self._seen, self._age_s, self._off_count = 0, 0.0, 0

    def look(self, now_s: float, frames: int) -> None:
        """Take note of the count at a moment; as often as possible.

        Parameters
        ----------
        now_s : float
            Seconds of a clock that runs evenly; never falls.
        frames : int
            The device's count; never falls.
        """
        before_s, self._looked_s = self._looked_s, now_s
        if self._seen and frames == self._frames:
            return
        if self._seen < 2:
            self._seen += 1
            self._frames, self._moment_s = frames, now_s
            return
        passed_s = (frames - self._frames) * self._frame_s
        self._frames, self._moment_s = frames, self._moment_s + passed_s
        half_s = 0.5 * (now_s - before_s)
        if 2 * half_s > _ABSENT_S:
            self._age_s = 0.0
        off_s = _outside(now_s - half_s - self._moment_s, max(0.0, half_s - _SHARP_S))
        if abs(off_s) < _STRAY_S:
            self._off_count = 0
            self._follow(off_s, min(passed_s, _LONG_S))
        else:
            self._suspect(now_s, off_s)

    def _follow(self, off_s: float, passed_s: float) -> None:
        self._age_s = min(self._age_s + passed_s, _MEMORY_S)
        self._known_s = min(self._known_s + passed_s, _MEMORY_S - _PRIOR_S)
        self._moment_s += min(1.0, 4 * passed_s / self._age_s) * off_s
        bend = 6 * passed_s * off_s / (self._known_s + _PRIOR_S) ** 2
        self._frame_s = min(max(self._frame_s * (1 + bend), self._least_s), self._most_s)

    def _suspect(self, now_s: float, off_s: float) -> None:
        if self._off_count == 0 or off_s * self._off_s < 0:
            self._off_since_s, self._off_s, self._off_count = now_s, 0.0, 0
        self._off_s += off_s
        self._off_count += 1
        if now_s - self._off_since_s > _JUMP_AFTER_S:
            self._moment_s += self._off_s / self._off_count
            self._off_count = 0
            self.jumps += 1


def _outside(distance_s: float, slack_s: float) -> float:
    """Give how far a distance reaches beyond the slack around 0."""
    if distance_s > slack_s:
        return distance_s - slack_s
    return min(0.0, distance_s + slack_s)
