"""What is measured, and how much of it: sizes of the matrix, and what its rows are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamer.bench.figures import Row

__all__ = ["FULL_SIZE", "MATRIX_SIZE", "QUICK", "Plan", "Size"]


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes
    ----------
    name : str
    rounds : int
        Pairs of each row.
    windows : int
        Of each run, at least, and of the baseline's.
    batches, overlaps : tuple of int
    track_windows : int
        Length of the recording that overlaps are measured on, in windows; 0 leaves them out on a processor.
    track_rounds : int
    file_s : tuple of float
        Lengths of files; none on a processor where it is empty.
    file_rounds : int
    memory_s : float
        Length of the file whose memory is measured; 0 for windows alone.
    patience_s : float
        How long a row may take to answer.
    compiles : bool
        Whether there is time for ``torch.compile``.
    """

    name: str
    rounds: int
    windows: int
    batches: tuple[int, ...]
    overlaps: tuple[int, ...]
    track_windows: int
    track_rounds: int
    file_s: tuple[float, ...]
    file_rounds: int
    memory_s: float
    patience_s: float
    compiles: bool = True


_CONTROL_ROUNDS = 7
_BATCHES = (1, 2, 4, 8)
_OVERLAPS = (2, 4, 6, 8)

QUICK = Size("quick", 3, 2, _BATCHES, _OVERLAPS, 2, 1, (30.0,), 1, 30.0, 90.0, compiles=False)
"""The matrix on a small network in a few minutes."""

MATRIX_SIZE = Size("matrix", 5, 4, _BATCHES, _OVERLAPS, 4, 3, (30.0, 180.0, 600.0), 1, 600.0, 1800.0)
"""The whole of it."""

FULL_SIZE = Size("full-size", 3, 2, _BATCHES, _OVERLAPS, 0, 1, (), 1, 0.0, 900.0)
"""Two windows a row of a network as large as the public ones."""


@dataclass(frozen=True)
class Plan:
    """A size, and what its rows are made of.

    Attributes
    ----------
    size : Size
    model : Mapping
        See `streamer.bench.tasks.loading.load`; in float32 by PyTorch.
    audio, folder : str
        A ``.npy`` of music (channels, frames), and a folder for what rows leave.
    window_frames, sample_rate, channels : int
    stems : tuple of str
    truth : Mapping of str to str
        A ``.npy`` for each stem whose truth is known.
    is_random : bool
        The weights mean nothing.
    precisions : tuple of str
        That the device is fast with, fp32 first.
    cores : int
    overlap : int
        That the model recommends.
    """

    size: Size
    model: Mapping[str, Any]
    audio: str
    folder: str
    window_frames: int
    sample_rate: int
    channels: int
    stems: tuple[str, ...]
    truth: Mapping[str, str]
    is_random: bool
    precisions: tuple[str, ...]
    cores: int
    overlap: int = 2

    @property
    def on_processor(self) -> bool:
        """Rows of a batch run one after the other there, and time is dear."""
        return bool(self.model["device"] == "cpu")

    @property
    def memory(self) -> str:
        """The figure that stands for memory."""
        return "peak_mb" if self.on_processor else "device_peak_mb"

    def of(self, **changes: Any) -> dict[str, Any]:
        """Give the model with some of its settings changed."""
        return {**self.model, **changes}

    def windows_task(self, **changes: Any) -> dict[str, Any]:
        """Give the task of running windows, with settings of the model changed."""
        return {"kind": "windows", "model": self.of(**changes), "audio": self.audio, "windows": self.size.windows}

    @property
    def baseline(self) -> dict[str, Any]:
        """The task of the baseline's windows."""
        return self.windows_task(backend="baseline")

    def kept(self, name: str) -> str:
        """Give the place where a row keeps what it made."""
        return f"{self.folder}/kept-{name}.npy"

    def alone(self, precision: str, batch: int) -> Row:
        """Windows by PyTorch in a process whose memory is this setting's own."""
        why_not = ""
        if self.size is FULL_SIZE and self.on_processor and batch > self.size.windows:
            why_not = "a row of --full-size runs two windows on a processor, where a batch runs one after the other"
        task = {**self.windows_task(precision=precision), "batch": batch}
        if batch == 1:
            task["keep"] = self.kept(precision)
        return Row(f"{precision}, batch {batch}", task, baseline=self.baseline, why_not=why_not)

    @property
    def control(self) -> Row:
        """The baseline beside itself, in two processes: how far from 1 the ratios of this run are by chance."""
        is_dear = self.size is FULL_SIZE and self.on_processor
        rounds = self.size.rounds if is_dear else max(self.size.rounds, _CONTROL_ROUNDS)
        return Row("the baseline beside itself", self.baseline, baseline=self.baseline, rounds=rounds)

    @property
    def peaks(self) -> Row:
        """What the device can do at most."""
        return Row(
            "peaks of the device",
            {"kind": "peaks", "device": self.model["device"], "threads": self.model["threads"]},
            rounds=1,
        )

    def profile(self, backend: str, precision: str) -> Row:
        """Where the time of a window goes."""
        task = {"kind": "profile", "model": self.of(backend=backend, precision=precision), "audio": self.audio}
        return Row(f"profile of {backend}, {precision}", task, rounds=1)

    @property
    def profiles(self) -> list[Row]:
        """Where the time goes, in every report."""
        eager = [self.profile("eager", "fp32")] if self.on_processor else []
        return [*eager, *(self.profile("torch", precision) for precision in self.precisions)]
