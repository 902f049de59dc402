"""One stream's way through a model, on the model's axis: cut a window, carry the state, overlap-add the output."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.lock_keeping import FiniteCheck, copy
from engine.plan import WindowPlan
from engine.separator import Runner, Separator

__all__ = ["ReadFrames", "WindowStream"]

ReadFrames = Callable[[int, npt.NDArray[np.float32]], bool]
"""Copies input frames from an absolute position on into an array (channels, n); False if they are gone."""


class WindowStream:
    """What the worker needs to run the windows of one stream in order, live or offline. Used by one thread.

    ``load`` puts the next window into a runner's row and ``store`` takes the outcome from it, in the same order.
    A stateful stream has one window under way at a time, since the next needs its state.

    Parameters
    ----------
    separator : Separator
        Whose runners are used.
    plan : WindowPlan
    keep_provisional : bool
        Whether ``overlap.provisional`` is filled.

    Attributes
    ----------
    next_index : int
        The window to load next.
    overlap : OverlapAdd
        Holds the frames of the window stored last.
    """

    def __init__(self, separator: Separator, plan: WindowPlan, *, keep_provisional: bool) -> None:
        spec = separator.spec
        self.plan = plan
        self.overlap = separator.overlap_add(plan, len(spec.stems), keep_provisional=keep_provisional)
        self._priming_hops = -(-spec.priming_frames // plan.hop_frames) if spec.stateful else 0
        self._initial: tuple[npt.NDArray[Any], ...] = spec.initial_states(1)
        self._states: tuple[npt.NDArray[Any], ...] = spec.initial_states(1)
        self._under_way: deque[int] = deque()
        self._state_checks = tuple(FiniteCheck(s.shape[1:]) for s in self._states)
        self.next_index = 0
        self.lookahead_is_finite = True
        """Whether the look-ahead part of ``overlap.provisional`` may be heard."""
        self._deliver_from = 0
        self.start(plan.first_index)

    @property
    def priming_hops(self) -> int:
        """Hops that a stateful model hears, undelivered, after a gap; 0 for windowed models."""
        return self._priming_hops

    @property
    def first_delivered(self) -> int:
        """Window from which on results are delivered; those before it only prime a state."""
        return self._deliver_from

    @property
    def next_is_delivered(self) -> bool:
        """Whether the next window is more than priming."""
        return self.next_index >= self._deliver_from

    @property
    def windows_under_way(self) -> int:
        """Windows loaded and not yet stored."""
        return len(self._under_way)

    def start(self, index: int) -> None:
        """Begin, or go on after a gap, so that window ``index`` is the first whose result is delivered.

        A stateful model starts from a fresh state, up to ``priming_hops`` earlier. Windows under way are forgotten.
        """
        self._deliver_from = index
        self.next_index = max(self.plan.first_index, index - self._priming_hops)
        self._under_way.clear()
        self.overlap.restart()
        for state, initial in zip(self._states, self._initial, strict=True):
            np.copyto(state, initial)

    def load(self, read: ReadFrames, runner: Runner, row: int) -> bool:
        """Put the next window and the state into a row of ``runner``; False if the input is no longer there."""
        end = self.plan.end_of(self.next_index)
        if not read(end - self.plan.window_frames, runner.windows[row]):
            return False
        for state, rows in zip(self._states, runner.states, strict=True):
            copy(rows[row], state[0])
        self._under_way.append(self.next_index)
        self.next_index += 1
        return True

    def can_load(self) -> bool:
        """Whether the next window may be loaded now: a stateful one waits for the one before it."""
        return not (self.plan.stateful and self._under_way)

    def store(self, runner: Runner, row: int) -> tuple[int, bool]:
        """Take the outcome of the oldest window under way.

        Returns
        -------
        index : int
        delivered : bool
            False while a fresh state is being primed; ``overlap`` then holds nothing new.

        Raises
        ------
        FloatingPointError
            If the model gave a value that is not finite where it counts, or a state that is not. Nothing of it was
            kept; call ``fail``. Values inside a window's look-ahead only make that part unusable.
        """
        index = self._under_way[0]
        outcome = runner.outcomes[row]
        is_finite, lookahead_is_finite = self.overlap.look(outcome)
        if not is_finite:
            raise FloatingPointError(f"window {index}: the model gave values that are not finite")
        for rows, check in zip(runner.states, self._state_checks, strict=True):
            if rows.dtype.kind == "f" and not check(rows[row]):
                raise FloatingPointError(f"window {index}: the model's state is not finite")
        self._under_way.popleft()
        for state, rows in zip(self._states, runner.states, strict=True):
            copy(state[0], rows[row])
        if index < self._deliver_from:
            return index, False
        self.overlap.add(outcome)
        self.lookahead_is_finite = lookahead_is_finite
        return index, True

    def fail(self) -> int:
        """Give up the oldest window under way, or the one just stored, and leave a gap after it; returns its index."""
        index = self._under_way.popleft() if self._under_way else self.next_index - 1
        if self._under_way:
            self.overlap.restart()
        elif index < self._deliver_from:
            # Priming met a fault too: prime anew behind it, so that no result of a raw state is delivered.
            self.start(max(self._deliver_from, index + 1 + self._priming_hops))
        else:
            self.start(index + 1)
        return index
