"""Which window is run when windows are late."""

import pytest

from streamer.catch_up import window_to_run


def deadline(index: int) -> int:
    return 100 * index


@pytest.mark.parametrize(
    ("playing", "run", "priming", "expected"),
    [
        (300, 1, 0, 3),  # not late: in order
        (301, 1, 0, 4),  # late: the first that can still be on time
        (650, 49, 0, 7),
        (650, 60, 0, 8),  # a run of 60 frames would be late for window 7
        (5_000, 1, 0, 9),  # all are late: the newest
        (650, 1, 4, 3),  # a backlog no longer than the priming is run through
        (750, 1, 4, 8),
        (650, 13, 3, 8),  # priming takes runs too: four of 13 frames leave window 7 late
    ],
)
def test_a_late_stream_goes_on_where_it_can_be_on_time(playing: int, run: float, priming: int, expected: int) -> None:
    target = window_to_run(3, 9, deadline, playing=playing, run_frames=run, priming_hops=priming)
    assert target == expected


def test_the_only_due_window_is_run_however_late() -> None:
    assert window_to_run(3, 3, deadline, playing=9_999, run_frames=50, priming_hops=0) == 3
