"""A stretch of a recording, told in seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.errors import ConfigurationError

__all__ = ["Excerpt", "parse_time"]

_MAX_S = 1e9


@dataclass(frozen=True)
class Excerpt:
    """From where, and how much, of a recording is wanted. What lies behind its end is left out.

    Attributes
    ----------
    start_s : float
    duration_s : float or None
        None for all the rest.

    Raises
    ------
    ConfigurationError
        If the start is negative, the duration is not positive, or one of them is no number or above 1e9.
    """

    start_s: float = 0.0
    duration_s: float | None = None

    def __post_init__(self) -> None:
        # No number compares as false, too.
        if not 0 <= self.start_s <= _MAX_S:
            raise ConfigurationError(f"start {self.start_s:g} s cannot be used: give 0 to {_MAX_S:g} seconds, or m:ss")
        if self.duration_s is not None and not 0 < self.duration_s <= _MAX_S:
            raise ConfigurationError(
                f"duration {self.duration_s:g} s cannot be used: give seconds above 0 and up to {_MAX_S:g}, or m:ss; "
                "leave it out for all the rest"
            )

    def frames(self, sample_rate: int) -> tuple[int, int | None]:
        """Give the first frame, and the one behind the last; None for the end."""
        start = round(self.start_s * sample_rate)
        if self.duration_s is None:
            return start, None
        return start, max(start + 1, round((self.start_s + self.duration_s) * sample_rate))


def parse_time(text: str, name: str) -> float:
    """Read seconds: ``90``, ``90.5``, ``1:30`` or ``1:01:30``.

    Raises
    ------
    ConfigurationError
        Naming ``name`` and the text, if it is no time, or negative.
    """
    parts = text.strip().split(":")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = [math.nan]
    is_clock = len(parts) <= 3 and all(0 <= value < 60 for value in values[1:])
    total: float = sum(value * 60.0**place for place, value in enumerate(reversed(values)))
    if not is_clock or not math.isfinite(total) or values[0] < 0:
        raise ConfigurationError(f"{name} {text!r} is no time: give seconds such as 90.5, or minutes such as 1:30.5")
    return total
