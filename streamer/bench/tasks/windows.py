"""Windows through a model, or through the baseline: the network and its transforms alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from streamer.bench.tasks.loading import Meter, cut_windows, load_passes

__all__ = ["Windows"]


class Windows:
    """A model with windows of music at hand.

    Parameters
    ----------
    model : Mapping
        See `streamer.bench.tasks.loading.load`.
    audio : str
        A ``.npy`` of shape (channels, frames) at the model's rate.
    batch : int
        Windows at once; a run may name another.
    windows : int
        The least windows of a run; a run may name another number.
    keep : str, optional
        Where the stems of the first run's windows are kept, as ``.npy``.
    """

    def __init__(
        self,
        model: Mapping[str, Any],
        audio: str,
        batch: int = 1,
        windows: int = 2,
        keep: str | None = None,
    ) -> None:
        self._passes = load_passes(model)
        self._batch, self._windows, self._keep = batch, windows, keep
        self._window_s = self._passes.window_frames / self._passes.sample_rate
        self._heard = cut_windows(np.load(audio), self._passes.window_frames, windows)
        self._meter = Meter(model["device"])
        # Graphs are captured, and libraries choose their algorithms, for each size.
        self._passes.run(self._heard[0], batch)

    def ready(self) -> dict[str, Any]:
        """Tell the length of a window, and the memory so far."""
        return {"window_s": self._window_s, **self._meter.memory()}

    def run(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Run whole batches, as many as the windows need."""
        batch = facts.get("batch", self._batch)
        batches = -(-facts.get("windows", self._windows) // batch)
        if batch != self._batch:
            self._passes.run(self._heard[0], batch)
            self._batch = batch
        stems = []
        with self._meter:
            for n in range(batches):
                made = self._passes.run(self._heard[n % len(self._heard)], batch)
                if self._keep is not None:
                    stems.append(made.copy())
        if self._keep is not None:
            np.save(self._keep, np.stack(stems))
            self._keep = None
        return self._meter.figures(batches * batch * self._window_s)
