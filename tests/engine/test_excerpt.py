"""Times are told as people tell them, and what is no time is refused with its value."""

from __future__ import annotations

import math

import pytest

from engine.errors import ConfigurationError
from engine.excerpt import Excerpt, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90.5", 90.5), ("0", 0), ("1:30", 90), ("1:30.25", 90.25), ("0:05", 5), ("1:01:30", 3690)],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert parse_time(text, "--start") == seconds


@pytest.mark.parametrize(
    "text", ["", "x", "-5", "-1:30", "1:-30", "1:60", "1:2:3:4", "nan", "inf", "1:nan", "1e400", "5s", "1,5"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"--start '{text}' is no time: give seconds such as"):
        parse_time(text, "--start")


def test_frames_are_the_nearest() -> None:
    assert Excerpt(1.5, 2.0).frames(44_100) == (66_150, 154_350)
    assert Excerpt(0.1).frames(44_101) == (4410, None)
    assert Excerpt().frames(48_000) == (0, None)


def test_an_excerpt_has_a_frame_at_least() -> None:
    assert Excerpt(1.0, 1e-9).frames(44_100) == (44_100, 44_101)


@pytest.mark.parametrize(
    ("start", "duration", "said"),
    [
        (-1.0, None, "start -1 s"),
        (math.nan, None, "start nan s"),
        (math.inf, None, "start inf s"),
        (1e306, None, r"start 1e\+306 s cannot be used: give 0 to 1e\+09 seconds"),
        (0.0, 1e308, r"duration 1e\+308 s cannot be used: .* up to 1e\+09, .*leave it out for all the rest"),
        (0.0, 0.0, "duration 0 s"),
        (0.0, -2.5, "duration -2.5 s"),
        (0.0, math.nan, "duration nan s"),
        (0.0, math.inf, "duration inf s"),
    ],
)
def test_an_excerpt_that_cannot_be_is_refused(start: float, duration: float | None, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Excerpt(start, duration)
