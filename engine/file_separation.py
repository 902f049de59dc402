"""One audio file in, one file per stem out: at constant memory, whole or not at all."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import ConfigurationError
from engine.files.reader import AudioReader
from engine.files.stem_path import DEFAULT_TEMPLATE, stem_path
from engine.files.stem_writers import StemWriters
from engine.offline import ProgressCallback, SeparationCounters, separate_blocks
from engine.plan import WindowPlan
from engine.separator import Separator
from engine.spec import find_stem
from engine.worker_client import WorkerLike

__all__ = ["FileReport", "separate_file"]

_BLOCK_FRAMES = 1 << 15


@dataclass(frozen=True)
class FileReport:
    """What was done with one file.

    Attributes
    ----------
    input : str
    outputs : dict of str to str
        Path of each stem's file, by stem.
    model : str
    sample_rate, channels, frames : int
        Of the input and of every output.
    seconds : float
        Wall-clock time it took.
    realtime_factor : float
        ``seconds`` over the duration; NaN for an empty file.
    windows, non_finite_samples : int
        Windows the model ran; input samples replaced by silence.
    """

    input: str
    outputs: dict[str, str]
    model: str
    sample_rate: int
    channels: int
    frames: int
    seconds: float
    realtime_factor: float
    windows: int
    non_finite_samples: int

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report; None where a figure does not exist."""
        values = asdict(self)
        if math.isnan(self.realtime_factor):
            values["realtime_factor"] = None
        return values


def separate_file(
    separator: Separator,
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    template: str = DEFAULT_TEMPLATE,
    ext: str = "wav",
    subtype: str = "FLOAT",
    stems: Sequence[str] | None = None,
    two_stems: str | None = None,
    plan: WindowPlan | None = None,
    overlap: int | None = None,
    batch_size: int = 1,
    worker: WorkerLike | None = None,
    progress: ProgressCallback | None = None,
) -> FileReport:
    """Separate one file into one file per stem.

    Parameters
    ----------
    separator : Separator
    path : path-like
        wav, flac, mp3, ogg, opus; m4a with the extra ``formats``. 1 or 2 channels, any rate.
    folder : path-like
        Where the stems go; made if need be.
    template : str
        Relative path in the folder, with ``{track}``, ``{stem}`` and ``{ext}``.
    ext : {"wav", "flac"}
    subtype : {"FLOAT", "PCM_24", "PCM_16"}
    stems : sequence of str, optional
        Only these, in any case; all if left out.
    two_stems : str, optional
        This stem, and all the others together as ``no_NAME``.
    plan, overlap, batch_size, worker, progress
        As in ``separate``.

    Returns
    -------
    FileReport

    Raises
    ------
    AudioFileError
        If the input cannot be read.
    OutputError
        If an output cannot be written.
    ConfigurationError
        If a stem, the template or the format is not among what is allowed.
    ModelError
        If the model fails.
    Nothing is left behind then: the outputs appear together or not at all.
    """
    begin = time.monotonic()
    chosen = _Selection(separator.spec.output_stems, stems, two_stems)
    counters = SeparationCounters()
    with AudioReader(path) as reader:
        outputs = {
            stem: stem_path(folder, template, track=Path(path).stem, stem=stem.lower(), ext=ext)
            for stem in chosen.names
        }
        parts = separate_blocks(
            separator,
            reader.blocks(_BLOCK_FRAMES),
            reader.sample_rate,
            channels=reader.channels,
            frames=reader.frames,
            plan=plan,
            overlap=overlap,
            batch_size=batch_size,
            worker=worker,
            progress=progress,
            counters=counters,
        )
        with (
            contextlib.closing(parts),
            StemWriters(
                outputs, reader.sample_rate, reader.channels, frames_hint=reader.frames, subtype=subtype
            ) as writers,
        ):
            for part in parts:
                writers.write(chosen.pick(part))
    seconds = time.monotonic() - begin
    duration = counters.frames / reader.sample_rate
    return FileReport(
        input=str(path),
        outputs={stem: str(output) for stem, output in outputs.items()},
        model=separator.spec.name,
        sample_rate=reader.sample_rate,
        channels=reader.channels,
        frames=counters.frames,
        seconds=seconds,
        realtime_factor=seconds / duration if duration else math.nan,
        windows=counters.windows,
        non_finite_samples=counters.non_finite_samples,
    )


class _Selection:
    """Which stems are written, and how they come from the model's."""

    def __init__(self, known: tuple[str, ...], stems: Sequence[str] | None, two_stems: str | None) -> None:
        if stems is not None and two_stems is not None:
            raise ConfigurationError(f"stems {', '.join(stems)} and two_stems {two_stems} were given: give one of them")
        wanted = [two_stems] if two_stems is not None else list(known if stems is None else stems)
        found: list[str] = []
        for name in wanted:
            stem = find_stem(name, known)
            if stem is None:
                raise ConfigurationError(f"stem {name!r} is unknown: this model gives {', '.join(known)}")
            if stem not in found:
                found.append(stem)
        self._places = [known.index(stem) for stem in found]
        self._has_rest = two_stems is not None
        self.names = (*found, f"no_{found[0]}") if self._has_rest else tuple(found)

    def pick(self, part: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Give the stems to write, shape (names, channels, frames)."""
        picked = part[self._places]
        if not self._has_rest:
            return picked
        rest = np.delete(part, self._places, axis=0).sum(axis=0, keepdims=True)
        return np.concatenate([picked, rest])
