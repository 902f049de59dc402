"""What to run next when windows are late: arithmetic on positions, without streams or threads."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["window_to_run"]


def window_to_run(
    index: int,
    newest: int,
    deadline: Callable[[int], int],
    *,
    playing: int,
    run_frames: float,
    priming_hops: int,
) -> int:
    """Give the window to run next in a live stream: ``index``, or a newer one where that is late already.

    Windows are left out up to the first due one that can still be on time, or up to the newest. A stateful model runs
    through a backlog that is no longer than its priming instead, since leaving windows out costs it a fresh state.

    Parameters
    ----------
    index, newest : int
        The next window in order, and the newest that is due.
    deadline : callable
        Output frame before whose playing the result of a window must be there.
    playing : int
        Output frame that is played next.
    run_frames : float
        Frames that the last run of the model took.
    priming_hops : int
        Windows that a fresh state must hear before a result is delivered.
    """
    if index >= newest or playing <= deadline(index):
        return index
    target = index + 1
    while target < newest and deadline(target) - playing <= (1 + priming_hops) * run_frames:
        target += 1
    return target if target - index > priming_hops else index
