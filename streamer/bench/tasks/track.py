"""A recording in memory through `engine.separate`, or through the baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engine.offline import separate
from engine.separator import F32
from streamer.bench.tasks.loading import BASELINE, Meter, load, load_baseline

__all__ = ["Track"]


class Track:
    """A model and a recording.

    Parameters
    ----------
    model : Mapping
        See `streamer.bench.tasks.loading.load`.
    audio : str
        A ``.npy`` of shape (channels, frames) at the model's rate.
    frames : int
        Of its beginning that are used.
    keep : str, optional
        Where the stems of the first run are kept for each overlap, as ``.npy``, with ``{overlap}`` in it.
    """

    def __init__(self, model: Mapping[str, Any], audio: str, frames: int, keep: str | None = None) -> None:
        self._audio = np.load(audio)[:, :frames]
        self._keep = keep
        self._kept: set[int] = set()
        self._meter = Meter(model["device"])
        if model["backend"] == BASELINE:
            from streamer.bench.baseline import demix

            baseline = load_baseline(model)
            self._rate = baseline.config.audio.sample_rate

            def separated(overlap: int) -> F32:
                return np.stack(list(demix(baseline, self._audio, overlap).values()))
        else:
            separator = load(model)
            self._rate = separator.spec.sample_rate

            def separated(overlap: int) -> F32:
                return separate(separator, self._audio, self._rate, overlap=overlap)

        self._separate: Callable[[int], F32] = separated
        self._separate(1)

    def ready(self) -> dict[str, Any]:
        """Tell the memory so far."""
        return self._meter.memory()

    def run(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Separate all of it."""
        overlap = facts["overlap"]
        with self._meter:
            stems = self._separate(overlap)
        if self._keep is not None and overlap not in self._kept:
            np.save(self._keep.format(overlap=overlap), stems)
            self._kept.add(overlap)
        return self._meter.figures(self._audio.shape[1] / self._rate)
