"""What measured processes have in common: a model or the baseline behind one face, windows of music, and figures."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engine.compute import Compute
from engine.registry import load_separator
from engine.separator import F32, Separator
from streamer.bench.measured_process import Stopwatch, peak_bytes

if TYPE_CHECKING:
    from streamer.bench.baseline import Baseline

__all__ = ["BASELINE", "Meter", "Passes", "cut_windows", "load", "load_baseline", "load_passes"]

BASELINE = "baseline"
"""Stands for the plain way where the name of a back-end is asked for."""


def load(model: Mapping[str, Any], threads: int | None = None) -> Separator:
    """Load a model.

    Parameters
    ----------
    model : Mapping
        ``checkpoint``, ``config``, ``device``, ``backend``, ``precision``, ``threads``, and as ``onnx`` the path of its
        export.
    threads : int, optional
        In place of the model's.
    """
    compute = Compute(model["device"], model["backend"], model["precision"])
    threads = model.get("threads") if threads is None else threads
    if compute.backend == "onnx" and model.get("onnx"):
        return load_separator(model["onnx"], threads=threads, compute=Compute(compute.device, "onnx"))
    return load_separator(model["checkpoint"], config=model.get("config"), threads=threads, compute=compute)


class Passes(Protocol):
    """Runs windows."""

    window_frames: int
    sample_rate: int

    def run(self, window: F32, batch: int) -> F32:
        """Separate a window ``batch`` times at once; give the stems of the last, valid until the next run."""


def load_passes(model: Mapping[str, Any], threads: int | None = None) -> Passes:
    """Load a model, or the baseline where that is its back-end."""
    return _BaselinePasses(model) if model["backend"] == BASELINE else _EnginePasses(load(model, threads))


class _EnginePasses:
    def __init__(self, separator: Separator) -> None:
        self._separator = separator
        self._runners: dict[int, Any] = {}
        self.window_frames = separator.spec.window_frames
        self.sample_rate = separator.spec.sample_rate

    def run(self, window: F32, batch: int) -> F32:
        if batch not in self._runners:
            # Only one at a time: the buffers of others would count as this one's memory.
            self._runners = {batch: self._separator.runner(batch, self.window_frames)}
        runner = self._runners[batch]
        runner.windows[:batch] = window
        runner.run(batch)
        stems: F32 = runner.stems[batch - 1]
        return stems


class _BaselinePasses:
    def __init__(self, model: Mapping[str, Any]) -> None:
        import torch

        self._torch = torch
        self._model = load_baseline(model)
        self.window_frames = self._model.config.window_frames
        self.sample_rate = self._model.config.audio.sample_rate

    def run(self, window: F32, batch: int) -> F32:
        with self._torch.inference_mode():
            for _ in range(batch):
                stems = self._model(self._torch.from_numpy(window))
        result: F32 = stems.numpy()
        return result


def load_baseline(model: Mapping[str, Any]) -> Baseline:
    """Load the baseline, with the model's threads for all that this process does."""
    import torch

    from streamer.bench.baseline import Baseline

    if model.get("threads") is not None:
        torch.set_num_threads(model["threads"])
    return Baseline(Path(model["checkpoint"]), Path(model["config"]), model["device"])


def cut_windows(audio: F32, frames: int, count: int) -> list[F32]:
    """Cut ``count`` windows, one after the other, from music that begins anew where it ends."""
    whole = np.tile(audio, -(-frames * count // audio.shape[1]))
    return [np.ascontiguousarray(whole[:, n * frames : (n + 1) * frames]) for n in range(count)]


class Meter:
    """What goes by within a ``with`` block: time, and memory of this process and of its device.

    Parameters
    ----------
    device : str
    """

    def __init__(self, device: str) -> None:
        self._is_cuda = device.startswith("cuda")
        self._stopwatch = Stopwatch()
        self._taken: dict[str, float] = {}

    def __enter__(self) -> Meter:
        """Begin."""
        self._stopwatch = Stopwatch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End."""
        self._taken = self._stopwatch.read()

    def figures(self, audio_s: float) -> dict[str, float]:
        """Give all of it, and as ``cost`` the seconds for a second of audio."""
        return {**self._taken, "audio_s": audio_s, "cost": self._taken["seconds"] / audio_s, **self.memory()}

    def memory(self) -> dict[str, float]:
        """Give the most memory that there was so far, in MB."""
        taken = {"peak_mb": peak_bytes() / 1e6}
        torch = sys.modules.get("torch")
        if self._is_cuda and torch is not None:
            taken["device_peak_mb"] = torch.cuda.max_memory_allocated() / 1e6
        return taken
