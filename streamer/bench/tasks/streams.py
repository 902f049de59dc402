"""Several streams at once, each with buffers and threads of its own, around one model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from streamer.bench.tasks.loading import Meter, cut_windows, load

__all__ = ["Streams"]


class Streams:
    """A model that streams share.

    Parameters
    ----------
    model : Mapping
        See `streamer.bench.tasks.loading.load`.
    audio : str
        A ``.npy`` of shape (channels, frames) at the model's rate.
    streams : int
    threads : int
        Of each.
    """

    def __init__(self, model: Mapping[str, Any], audio: str, streams: int, threads: int) -> None:
        separator = load(model, threads)
        spec = separator.spec
        self._window_s = spec.window_frames / spec.sample_rate
        self._runners = [separator.runner(1, spec.window_frames) for _ in range(streams)]
        for runner, window in zip(self._runners, cut_windows(np.load(audio), spec.window_frames, streams), strict=True):
            runner.windows[0] = window
        self._pool = ThreadPoolExecutor(streams)
        self._meter = Meter(model["device"])
        # On the threads that will run: PyTorch keeps some things for each.
        list(self._pool.map(lambda runner: runner.run(1), self._runners))

    def ready(self) -> dict[str, Any]:
        """Tell the memory so far."""
        return self._meter.memory()

    def run(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Run windows of all streams side by side; the streams share them."""
        each = math.ceil(facts.get("windows", len(self._runners)) / len(self._runners))
        with self._meter:
            list(self._pool.map(lambda runner: [runner.run(1) for _ in range(each)], self._runners))
        return self._meter.figures(each * len(self._runners) * self._window_s)
