"""Two clocks made one: how fast an input has to be read so that it keeps its distance from an output.

Each device is a straight line through its callbacks (`DeviceClock`). The two lines say which frame of the input belongs
to a frame of the output; a reader that is off that place is led back to it by a bend of the pitch that nobody hears.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from streamer.audio.device_clock import DeviceClock

__all__ = ["MAX_DRIFT", "DriftController", "DriftStats"]

MAX_DRIFT = 0.005
"""Largest deviation of a device from its nominal rate that is followed, as a share; crystals stay below 0.0005."""
_MAX_BEND = 400e-6
"""Largest bend of the pitch while the place is corrected: 0.7 cents."""
_CORRECTION_S = 1.0
"""Time in which most of a wrong place is corrected."""
_JUMP_S = 0.001
"""A place that is further off is taken up at once instead: the promise for the latency is broken there anyway."""


@dataclass(frozen=True)
class DriftStats:
    """How two clocks run beside each other, and what is done about it.

    Attributes
    ----------
    ppm : float
        By how many millionths the input's clock is faster than the output's, against the nominal rates.
    cents : float
        How far the pitch of what is heard now is off.
    fill_error_frames : float
        By how many frames of the output more than promised lie between capture and reading; negative for fewer.
    max_cents : float
        The largest deviation of the pitch so far, up or down.
    jumps : int
        Times that frames had to be skipped or repeated, since a device lost some or its clock jumped.
    """

    ppm: float = 0.0
    cents: float = 0.0
    fill_error_frames: float = 0.0
    max_cents: float = 0.0
    jumps: int = 0


class DriftController:
    """Says where in the input a reader has to be, and how fast it has to go on.

    One thread uses it; ``stats`` may be read from any.

    Parameters
    ----------
    input_rate, output_rate : int
        The nominal ones, in Hz.
    delay_s : float
        Time between the capture of a frame and the output's frame that it belongs to.

    Notes
    -----
    The structure is that of F. Adriaensen's zita-ajbridge ("Controlling adaptive resampling", Linux Audio Conference,
    2012): a delay-locked loop for each device takes the periods out of what is seen, and the error that is left
    controls the resampler. The integral part is in the loops, which know both rates, so the control is proportional.
    """

    def __init__(self, input_rate: int, output_rate: int, *, delay_s: float = 0.0) -> None:
        self.input = DeviceClock(input_rate, bound=MAX_DRIFT)
        self.output = DeviceClock(output_rate, bound=MAX_DRIFT)
        self.delay_s = delay_s
        """May be set anew before the reader begins."""
        self._nominal = input_rate / output_rate
        self._output_rate = output_rate
        self._jumps = 0
        self._stats = DriftStats()

    @property
    def stats(self) -> DriftStats:
        """What was done last; any thread."""
        return self._stats

    @property
    def age_s(self) -> float:
        """For how long both devices have been looked at."""
        return min(self.input.age_s, self.output.age_s)

    def realign(self) -> None:
        """Begin both lines anew and keep their rates: a device was attached anew, so its count lost frames."""
        self.input.realign()
        self.output.realign()

    def look(self, now_s: float, captured: int, played: int) -> None:
        """Take note of both devices' counts at a moment; as often as possible."""
        self.input.look(now_s, captured)
        self.output.look(now_s, played)

    def place_of(self, output_frame: float) -> float:
        """Give the place in the input, in its frames, that belongs to a frame of the output."""
        return self.input.frames_at(self.output.moment_of(output_frame) - self.delay_s)

    def has_left(self, place: float, output_frame: float) -> bool:
        """Tell whether a reader is so far off that it has to take up its place anew, and count that."""
        if abs(self._late_s(place, output_frame)) <= _JUMP_S:
            return False
        self._jumps += 1
        return True

    def step(self, place: float, output_frame: float) -> float:
        """Decide how fast a reader goes on.

        Parameters
        ----------
        place : float
            Where it is in the input, in frames.
        output_frame : float
            The frame of the output that it gives next.

        Returns
        -------
        float
            Frames of the input for one of the output: within ``MAX_DRIFT`` and 400 millionths of the nominal ratio.
        """
        late_s = self._late_s(place, output_frame)
        bend = min(max(late_s / _CORRECTION_S, -_MAX_BEND), _MAX_BEND)
        drift = self.input.rate / (self.output.rate * self._nominal)
        drift = min(max(drift, 1 - MAX_DRIFT), 1 + MAX_DRIFT)
        cents = 1200 * math.log2(1 + bend)
        self._stats = DriftStats(
            ppm=1e6 * (drift - 1),
            cents=cents,
            fill_error_frames=late_s * self._output_rate,
            max_cents=max(self._stats.max_cents, abs(cents)),
            jumps=self._jumps,
        )
        return self._nominal * drift * (1 + bend)

    def _late_s(self, place: float, output_frame: float) -> float:
        return (self.place_of(output_frame) - place) / self.input.rate
