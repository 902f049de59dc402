"""Passes of the model over a track: the one through all of it, and those that begin where somebody listens."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine.files.reader import AudioReader
from engine.offline import SeparationCounters, separate_blocks
from engine.offline_model import OfflineModel
from engine.plan import WindowPlan
from engine.progress import Cancel
from engine.worker_client import WorkerLike
from streamer.priming import Priming
from streamer.stem_store import StemStore

__all__ = ["PrimedPass", "StemSink", "WholePass"]

F32 = npt.NDArray[np.float32]

_BLOCK_FRAMES = 8192
"""What is handed to the model at once: more would only hold up what is more urgent."""


class StemSink(Protocol):
    """What gets the final stems of a track as they come. An exception from it ends it, not the pass."""

    def write(self, part: F32) -> None:
        """Take a part, shape (stems, channels, n); they come in order and without gaps."""
        ...

    def commit(self) -> None:
        """Hear that the last one was the last."""
        ...

    def abort(self) -> None:
        """Hear that no more will come."""
        ...


class WholePass:
    """The pass through a whole track whose stems are final; equal to what `engine.separate_file` gives.

    Parameters
    ----------
    reader : AudioReader
    model : OfflineModel
    plan : WindowPlan
    worker : Worker
    cancel : threading.Event
        Ends a step within the window that is under way.

    Attributes
    ----------
    frontier : int
        Frames given so far.
    is_over : bool
    """

    def __init__(
        self, reader: AudioReader, model: OfflineModel, plan: WindowPlan, worker: WorkerLike, cancel: Cancel
    ) -> None:
        self.frontier = 0
        self.is_over = False
        self.counters = SeparationCounters()
        self._parts: Generator[F32, None, None] = separate_blocks(
            model,
            reader.blocks(_BLOCK_FRAMES),
            reader.sample_rate,
            channels=reader.channels,
            frames=reader.frames,
            plan=plan,
            worker=worker,
            cancel=cancel,
            counters=self.counters,
            is_prompt=True,
        )

    def step(self) -> F32 | None:
        """Give the next part; None behind the last one. Raises as `engine.separate_blocks` does."""
        part = next(self._parts, None)
        if part is None:
            self.is_over = True
        else:
            self.frontier += part.shape[-1]
        return part

    def close(self) -> None:
        """End it where it is."""
        self.is_over = True
        self._parts.close()


class PrimedPass:
    """A pass that begins in the middle of a track, for what is heard until the whole pass has come there.

    Parameters
    ----------
    reader : AudioReader
    model : OfflineModel
    plan : WindowPlan
        As `streamer.priming.priming_plan` gives it.
    priming : Priming
    store : StemStore
    worker : Worker
    cancel : threading.Event

    Attributes
    ----------
    at : int
        The frame that it gives next.
    is_over : bool
    """

    def __init__(
        self,
        reader: AudioReader,
        model: OfflineModel,
        plan: WindowPlan,
        priming: Priming,
        store: StemStore,
        worker: WorkerLike,
        cancel: Cancel,
    ) -> None:
        self.at = priming.give_from
        self.is_over = False
        self.store = store
        self._parts: Generator[F32, None, None] = separate_blocks(
            model,
            reader.blocks(_BLOCK_FRAMES, start_frame=priming.read_from),
            reader.sample_rate,
            channels=reader.channels,
            start_frame=priming.give_from - priming.read_from,
            plan=plan,
            worker=worker,
            cancel=cancel,
            is_prompt=True,
        )

    def step(self) -> tuple[int, F32] | None:
        """Give the next part and its place; None behind the end of the track."""
        part = next(self._parts, None)
        if part is None:
            self.is_over = True
            return None
        at, self.at = self.at, self.at + part.shape[-1]
        return at, part

    def close(self) -> None:
        """End it where it is."""
        self.is_over = True
        self._parts.close()
