"""From an audio file to a file for each stem: by `engine.file_separation.separate_file`, or by the baseline."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from engine.errors import UnavailableError
from engine.file_separation import separate_file
from streamer.bench.tasks.loading import BASELINE, Meter, load, load_baseline

__all__ = ["File"]


class File:
    """A model and a file of a length, which is made of music that is repeated.

    Parameters
    ----------
    model : Mapping
        See `streamer.bench.tasks.loading.load`.
    audio : str
        A ``.npy`` of shape (channels, frames) at the model's rate.
    seconds : float
        Length of the file.
    overlap : int
    batch : int
        Windows at once.
    pipelined : bool, optional
        Whether files are read and written beside the model; what is usual if left out.
    folder : str
        Where files go.
    """

    def __init__(
        self,
        model: Mapping[str, Any],
        audio: str,
        seconds: float,
        overlap: int,
        folder: str,
        batch: int = 1,
        pipelined: bool | None = None,
    ) -> None:
        self._folder, self._seconds, self._overlap = Path(folder), seconds, overlap
        self._meter = Meter(model["device"])
        self._is_baseline = model["backend"] == BASELINE
        if self._is_baseline:
            self._model: Any = load_baseline(model)
            rate = self._model.config.audio.sample_rate
        else:
            self._model = load(model)
            rate = self._model.spec.sample_rate
        self._options: dict[str, Any] = {"overlap": overlap, "batch_size": batch}
        if pipelined is not None:
            if "pipelined" not in inspect.signature(separate_file).parameters:
                raise UnavailableError("this version has one way to read and write files: there is nothing to compare")
            self._options["pipelined"] = pipelined
        self._input = self._folder / f"{seconds:g}s.wav"
        if not self._input.exists():
            _write(self._input, np.load(audio, mmap_mode="r"), round(seconds * rate), rate)
        self._warm_up()

    def ready(self) -> dict[str, Any]:
        """Tell the memory so far: of one window, with nothing of the file."""
        return self._meter.memory()

    def run(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Separate the file; its stems are removed."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder, self._meter:
            if self._is_baseline:
                self._run_baseline(Path(folder))
            else:
                separate_file(self._model, self._input, folder, **self._options)
        return self._meter.figures(self._seconds)

    def _run_baseline(self, folder: Path) -> None:
        from streamer.bench.baseline import demix

        audio, rate = soundfile.read(self._input, dtype="float32", always_2d=True)
        for name, stem in demix(self._model, audio.T, self._overlap).items():
            soundfile.write(folder / f"{name.lower()}.wav", stem.T, rate, subtype="FLOAT")

    def _warm_up(self) -> None:
        """Run one window."""
        if self._is_baseline:
            import torch

            frames = self._model.config.window_frames
            with torch.inference_mode():
                self._model(torch.zeros(self._model.config.audio.num_channels, frames))
        else:
            spec = self._model.spec
            self._model.runner(1, spec.window_frames).run(1)


def _write(path: Path, audio: Any, frames: int, rate: int) -> None:
    with soundfile.SoundFile(path, "w", rate, len(audio), "PCM_16") as file:
        left = frames
        while left > 0:
            part = audio[:, :left]
            file.write(part.T)
            left -= part.shape[1]
