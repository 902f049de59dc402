"""What a model is: the facts that the planner and the streams need, and nothing of its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.errors import ModelError

__all__ = ["ModelSpec", "StateSpec", "find_stem"]

_CHANNELS = (1, 2)
_MAX_RATE = 768_000


@dataclass(frozen=True)
class StateSpec:
    """One array that a stateful model carries from hop to hop.

    Attributes
    ----------
    name : str
        Unique within the model.
    shape : tuple of int
        Shape of ONE stream's state; batches add a leading axis.
    dtype : str
        Any NumPy dtype name.
    initial : float
        Value of every element at the start of a stream.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    initial: float = 0.0

    def __post_init__(self) -> None:
        if not self.name:
            raise ModelError("a model state has no name: give each state array a unique name")
        if any(not isinstance(n, int) or n < 1 for n in self.shape):
            raise ModelError(f"state {self.name!r} has shape {self.shape}: every axis must be a positive integer")
        try:
            np.dtype(self.dtype)
        except TypeError as error:
            raise ModelError(
                f"state {self.name!r} has dtype {self.dtype!r}: use a NumPy dtype such as 'float32'"
            ) from error


@dataclass(frozen=True)
class ModelSpec:
    """The facts about a separation model that the rest of the project relies on.

    Attributes
    ----------
    name : str
        Short name, shown to users.
    sample_rate : int
        The model's own rate in Hz.
    channels : int
        1 or 2.
    stems : tuple of str
        Names of what the model gives, in its output order. No two may differ in case alone: files are named in
        lower case.
    stateful : bool
        False: a windowed model sees ``window_frames`` at once and remembers nothing.
        True: a stateful model sees one hop and carries ``states`` to the next.
    window_frames : int
        Windowed models: frames seen at once. Stateful models: equal to ``hop_frames``.
    hop_frames : int
        Windowed models: the hop to use when nothing else is asked for. Stateful models: the hop, fixed.
    lookahead_frames : int
        Stateful models: a hop ``[e - hop, e)`` in gives ``[e - lookahead - hop, e - lookahead)`` out.
        Windowed models: frames at the window's right edge that should not be delivered when live.
    fade_frames : int
        Windowed models: the crossfade to use when nothing else is asked for; 0 for stateful models.
    window_granularity_frames : int
        0 when the window length is fixed; otherwise windows may differ from it by any multiple of this.
    priming_frames : int
        Stateful models: input after which a fresh state is as good as one that heard everything.
    states : tuple of StateSpec
        Empty for windowed models.
    overlap : int
        Windowed models: windows that each frame of a whole recording is in when nothing else is asked for.
    residual : str
        The stem that takes what the others leave: named by the model, or ``other``, or the last stem.
        A name that is not in ``stems`` adds a stem that is made by subtraction, as for a model of one stem.
    description : str
        One line for listings.

    Raises
    ------
    ModelError
        If the facts contradict each other; the message names the field.
    """

    name: str
    sample_rate: int
    channels: int
    stems: tuple[str, ...]
    stateful: bool
    window_frames: int
    hop_frames: int
    lookahead_frames: int = 0
    fade_frames: int = 0
    window_granularity_frames: int = 0
    priming_frames: int = 0
    states: tuple[StateSpec, ...] = ()
    overlap: int = 4
    residual: str = ""
    description: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.stems:
            raise ModelError(f"model {self.name!r} names no stems: give at least one")
        if _has_twins(self.stems):
            raise ModelError(f"model {self.name!r} names a stem twice: {', '.join(self.stems)}")
        if not self.residual:
            object.__setattr__(self, "residual", _default_residual(self.stems))
        if self.stems == (self.residual,):
            raise ModelError(
                f"model {self.name!r} gives one stem, {self.residual!r}, and names it as the residual: "
                "name another, which is then made by subtraction"
            )
        if _has_twins(self.output_stems):
            raise ModelError(
                f"model {self.name!r} has the residual {self.residual!r}, which differs from a stem in case alone: "
                f"spell it as in {', '.join(self.stems)}, or name another"
            )
        for stem in (*self.stems, self.residual):
            _check_stem_name(self.name, stem)
        if self.channels not in _CHANNELS:
            raise ModelError(f"model {self.name!r} has {self.channels} channels: 1 or 2 are supported")
        self._check_lengths()
        if self.stateful:
            self._check_stateful()
        elif self.states:
            raise ModelError(f"model {self.name!r} is not stateful but lists states: set stateful to true")

    def _check_lengths(self) -> None:
        if not 1 <= self.sample_rate <= _MAX_RATE:
            raise ModelError(
                f"model {self.name!r} has sample rate {self.sample_rate}: it must be from 1 to {_MAX_RATE} Hz"
            )
        if self.hop_frames < 1 or self.window_frames < self.hop_frames:
            raise ModelError(
                f"model {self.name!r} has hop {self.hop_frames} and window {self.window_frames}: "
                "they must satisfy 1 <= hop <= window"
            )
        if self.overlap < 1:
            raise ModelError(f"model {self.name!r} has overlap {self.overlap}: it must be >= 1")
        for name in ("lookahead_frames", "fade_frames", "window_granularity_frames", "priming_frames"):
            if getattr(self, name) < 0:
                raise ModelError(f"model {self.name!r} has {name} {getattr(self, name)}: it must be >= 0")

    def _check_stateful(self) -> None:
        if self.window_frames != self.hop_frames:
            raise ModelError(
                f"stateful model {self.name!r} has window {self.window_frames} and hop "
                f"{self.hop_frames}: a stateful model sees one hop, so they must be equal"
            )
        if self.fade_frames:
            raise ModelError(f"stateful model {self.name!r} has a fade: leave fade_frames at 0")
        if not self.states:
            raise ModelError(f"stateful model {self.name!r} lists no states: name them or set stateful to false")
        names = [state.name for state in self.states]
        if len(set(names)) != len(names):
            raise ModelError(f"model {self.name!r} names a state twice: {', '.join(names)}")

    @property
    def output_stems(self) -> tuple[str, ...]:
        """Names of the stems a user gets: the model's, and the complement where the model has none."""
        return self.stems if self.residual in self.stems else (*self.stems, self.residual)

    @property
    def residual_index(self) -> int:
        """Place of the residual stem in ``output_stems``."""
        return self.output_stems.index(self.residual)

    @property
    def window_rule(self) -> str:
        """Which windows the model takes, in words."""
        step = self.window_granularity_frames
        if not step:
            return f"{self.window_frames} frames only"
        offset = self.window_frames % step
        plus = f" plus {offset}" if offset else ""
        return f"{self.window_frames} frames or multiples of {step} frames{plus}"

    def takes_window(self, window_frames: int) -> bool:
        """Whether a windowed model takes windows of this length."""
        step = self.window_granularity_frames
        if window_frames == self.window_frames or not step:
            return window_frames == self.window_frames
        return window_frames > 0 and (window_frames - self.window_frames) % step == 0

    def check_window(self, window_frames: int) -> None:
        """Refuse a window that the model does not take.

        Raises
        ------
        ModelError
        """
        if not self.takes_window(window_frames):
            raise ModelError(f"model {self.name!r} takes no window of {window_frames} frames: use {self.window_rule}")

    def initial_states(self, batch_size: int) -> tuple[np.ndarray[Any, np.dtype[Any]], ...]:
        """Fresh state arrays, each ``(batch_size, *shape)``."""
        return tuple(np.full((batch_size, *s.shape), s.initial, dtype=s.dtype) for s in self.states)


def find_stem(name: str, stems: Sequence[str]) -> str | None:
    """Give the stem of that name, in whatever case it is written; None if there is none."""
    return next((stem for stem in stems if stem.lower() == name.lower()), None)


def _default_residual(stems: tuple[str, ...]) -> str:
    other = find_stem("other", stems)
    if len(stems) == 1:
        return "rest" if other else "other"
    return other or stems[-1]


def _has_twins(stems: tuple[str, ...]) -> bool:
    return len({stem.lower() for stem in stems}) != len(stems)


def _check_stem_name(model: str, stem: str) -> None:
    if not stem or stem != stem.strip() or stem != stem.strip(".") or any(c in stem for c in '/\\:\0<>|"?*'):
        raise ModelError(
            f"model {model!r} names a stem {stem!r}: stem names become file names, so they must not be "
            "empty, start or end with a space or a dot, or hold path characters"
        )
