"""Models that tell apart what an identity cannot: whose window it was, what was heard before, how it was run."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from engine.separator import F32, Separator, StateArrays
from engine.spec import ModelSpec, StateSpec

__all__ = ["Echo", "Recording", "WholeWindow"]

GAINS = np.array([0.5, -0.25, 0.125], np.float32)[:, None, None]


class WholeWindow(Separator):
    """A windowed model: every frame of its output depends on its place and on the whole window."""

    def __init__(
        self,
        *,
        window_frames: int = 64,
        hop_frames: int = 16,
        lookahead_frames: int = 8,
        fade_frames: int = 6,
        channels: int = 2,
        sample_rate: int = 8000,
    ) -> None:
        self.spec = ModelSpec(
            name="whole window",
            sample_rate=sample_rate,
            channels=channels,
            stems=("vocals", "drums", "other"),
            stateful=False,
            window_frames=window_frames,
            hop_frames=hop_frames,
            lookahead_frames=lookahead_frames,
            fade_frames=fade_frames,
        )
        self._ramp = np.linspace(-1, 1, window_frames, dtype=np.float32)

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        # Row by row, so that the batch size cannot change the rounding.
        norms = np.stack([np.sqrt(np.mean(window**2, axis=-1, keepdims=True)) for window in windows])
        return (windows + norms * self._ramp)[:, None] * GAINS, ()


class Echo(Separator):
    """A stateful model: late by its look-ahead, and half of every hop is heard again in all hops after it."""

    def __init__(
        self,
        *,
        hop_frames: int = 16,
        lookahead_frames: int = 8,
        priming_frames: int = 40,
        channels: int = 2,
        sample_rate: int = 8000,
    ) -> None:
        self.spec = ModelSpec(
            name="echo",
            sample_rate=sample_rate,
            channels=channels,
            stems=("vocals", "drums", "other"),
            stateful=True,
            window_frames=hop_frames,
            hop_frames=hop_frames,
            lookahead_frames=lookahead_frames,
            priming_frames=priming_frames,
            states=(
                StateSpec("held", (channels, lookahead_frames)),
                StateSpec("echo", (channels, hop_frames)),
                StateSpec("hops", (1,), "int64"),
            ),
        )

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        held, echo, hops = states
        hop = windows.shape[-1]
        line = np.concatenate([held, windows], axis=-1)
        heard = line[..., :hop] + np.float32(0.5) * echo
        return heard[:, None] * GAINS, (line[..., hop:], heard, hops + 1)


class Recording(Separator):
    """Another model, and a record of every batch it was given; a closed gate holds its next run until it opens."""

    def __init__(self, model: Separator) -> None:
        self.spec = model.spec
        self.model = model
        self.batches: list[F32] = []
        self.states: list[tuple[np.ndarray[Any, Any], ...]] = []
        self.error: BaseException | None = None
        self.is_in = threading.Event()
        self._gate = threading.Event()
        self._gate.set()

    @property
    def batch_sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]

    def close_gate(self) -> None:
        """Hold the next run, and forget those so far."""
        self.batches.clear()
        self.states.clear()
        self.is_in.clear()
        self._gate.clear()

    def open_gate(self) -> None:
        self._gate.set()

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        self.batches.append(windows.copy())
        self.states.append(tuple(state.copy() for state in states))
        self.is_in.set()
        assert self._gate.wait(30)
        if self.error is not None:
            raise self.error
        return self.model.process(windows, states)
