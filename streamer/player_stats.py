"""What a player counted: how much of what was heard was really separated, and one number per failure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from streamer.audio.stream import StreamCounters
from streamer.stats import ProcessorStats

__all__ = ["PlayerStats"]


@dataclass(frozen=True)
class PlayerStats:
    """Counts since a player began.

    Attributes
    ----------
    track, tracks : int
        Which is heard, from 0, and how many there are.
    position_s, duration_s : float
        In it, and of it.
    is_paused, is_over : bool
    frames : int
        Heard of all tracks.
    jumps : int
        Places that were gone to.
    withheld_frames : int
        Silent, because stems were not there and the song itself holds what is muted.
    waited_frames : int
        Silent, because a file was not there in time.
    silent_frames : int
        Of pauses, and of what lies before and behind.
    clipped_samples : int
        Of the output, beyond full scale; nothing limits them.
    ahead_s : float
        How far the stems are known from the head on, in memory.
    separated : float
        Share of the track whose final stems are there.
    processor : ProcessorStats
        Coverage and all else, as processors count it: ``provisional_frames`` are those of passes that began in the
        middle, ``mixture_frames`` those in which the song itself stood for its stems.
    stream : StreamCounters
        Of the device; all 0 without one.
    """

    track: int
    tracks: int
    position_s: float
    duration_s: float
    is_paused: bool
    is_over: bool
    frames: int
    jumps: int
    withheld_frames: int
    waited_frames: int
    silent_frames: int
    clipped_samples: int
    ahead_s: float
    separated: float
    processor: ProcessorStats
    stream: StreamCounters

    @property
    def coverage(self) -> float:
        """Share of what was heard that was really separated."""
        return self.processor.coverage

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        plain = {name: value for name, value in vars(self).items() if isinstance(value, int | float)}
        return {
            **plain,
            "coverage": self.coverage,
            "counters": self.processor.as_dict(),
            "device": {**asdict(self.stream), "xruns": self.stream.xruns},
        }
