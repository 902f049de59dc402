"""A recording on its way through the worker: what was heard, what was separated, and how its ends are filled."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from engine.errors import ModelError
from engine.offline_model import OfflineModel, OfflineRunner
from engine.plan import WindowPlan
from engine.ring import FrameRing
from engine.separator import Runner, Separator
from engine.stream import WindowStream
from engine.worker_client import WAITING, WorkerLike

__all__ = ["MAX_BLOCK_FRAMES", "Recording"]

F32 = npt.NDArray[np.float32]
MAX_BLOCK_FRAMES = 1 << 15
"""Most frames taken at once."""


class Recording:
    """One recording as a client of the worker, at the model's rate. Nothing is dropped, whoever is slower.

    The thread that separates calls ``run`` and ``finish``; the worker calls the methods of ``WorkerClient``.

    Parameters
    ----------
    model : OfflineModel
    plan : WindowPlan
    channels : int
        The model's, or 1 for a stereo model (duplicated in, averaged out).
    batch_size : int
        Windows that may be under way at once.
    gives_mixture : bool
        Behind the stems, as one more, comes the input that they were made of.
    start, stop : int
        The frames to give; left out, all of the recording. Only windows with a part in them are run, and those that
        prime a state before them. The recording must be fed from its first frame all the same.
    tick : callable, optional
        Called with the recording, from the thread that separates, whenever a window is done; an exception from it ends
        the separation. It must not hold the recording itself: its buffers would wait for the garbage collector.

    Attributes
    ----------
    raises_faults : bool
        True: what a window fails with is raised by ``run`` or ``finish``.
    windows : int
        Windows the model ran.
    silent_windows : int
        Windows of digital silence that it did not need to run.
    batch_size, first_batch_size : int
        The most windows of the last run and of the first; 0 before it. Less in the end means that memory ran out.
    """

    raises_faults = True

    def __init__(
        self,
        model: OfflineModel,
        plan: WindowPlan,
        channels: int,
        batch_size: int,
        *,
        gives_mixture: bool = False,
        start: int = 0,
        stop: int | None = None,
        tick: Callable[[Recording], None] = lambda _: None,
    ) -> None:
        spec = model.spec
        self._model = model
        self._plan = plan
        self._channels = channels
        self._gives_mixture = gives_mixture
        self._start, self._stop = start, stop
        self._tick = tick
        self._stream = WindowStream(spec, plan, keep_provisional=False)
        self._stream.start(_window_with(plan, start))
        self._first_index = self._stream.next_index
        self._model_channels = spec.channels
        ahead = (batch_size + 1) * plan.hop_frames
        behind = self._stream.priming_hops * plan.hop_frames if start else 0
        self._room = 2 * plan.window_frames + plan.reach_frames + ahead + behind + MAX_BLOCK_FRAMES
        self._input = FrameRing((channels,), 2 * self._room)
        # Its first frame is the first that is given.
        self._output = FrameRing((len(spec.stems), channels), ahead + 2 * plan.hop_frames)
        self._heard = 0
        self._total: int | None = None
        self._drained = start
        self._has_failed = False
        self._fault: Exception | None = None
        self.windows = 0
        self.silent_windows = 0
        self.batch_size = self.first_batch_size = 0

    # The thread that separates.

    @property
    def is_complete(self) -> bool:
        """Whether every frame before ``stop`` was given, so that the rest need not be fed."""
        return self._stop is not None and self._drained >= self._stop

    def fraction(self, total: int) -> float:
        """Share of the windows that are done, of a recording of ``total`` frames."""
        end = total if self._stop is None else min(total, self._stop)
        if end <= self._start:
            return 0.0
        return min(1.0, self._done / (self._plan.window_for(end - 1) + 1 - self._first_index))

    def run(self, audio: F32, worker: WorkerLike) -> Iterator[F32]:
        """Take audio, shape (channels, n), and give the stems that are ready, each (stems, channels, m).

        Raises
        ------
        ModelError
            If the model failed.
        """
        done = 0
        while done < audio.shape[1] and not self.is_complete:
            # Windows still reach back by their length, and the complement by the reach, behind what was drained.
            free = self._drained + self._room - self._heard
            n = min(free, audio.shape[1] - done, MAX_BLOCK_FRAMES)
            if n > 0:
                self._input.append(audio[:, done : done + n])
                done += n
                self._heard += n
                worker.wake()
            else:
                self._await(worker)
            yield from self._drain(worker)

    def finish(self, worker: WorkerLike) -> Iterator[F32]:
        """Say that the recording ended, and give the rest."""
        self._total = self._heard
        end = self._heard if self._stop is None else min(self._heard, self._stop)
        worker.wake()
        while self._drained < end:
            self._await(worker)
            yield from self._drain(worker)

    def _await(self, worker: WorkerLike) -> None:
        done = self._done
        if not worker.wait(lambda: self._has_output() or self._done != done):
            raise ModelError(f"the worker that ran {self._model.spec.name!r} has ended: see its log")
        self._tick(self)

    @property
    def _done(self) -> int:
        return self.windows + self.silent_windows

    def _has_output(self) -> bool:
        return self._start + self._output.written > self._drained or self._has_failed

    def _drain(self, worker: WorkerLike) -> Iterator[F32]:
        if self._has_failed:
            # The traceback of the fault leads to this recording, which would hold itself.
            fault, self._fault = self._fault, None
            raise ModelError(f"model {self._model.spec.name!r} failed after {self.windows} windows: {fault}") from fault
        ends = (self._start + self._output.written, self._total, self._stop)
        end = min(end for end in ends if end is not None)
        if end <= self._drained:
            return
        n = end - self._drained
        model = self._model
        part = np.empty((len(model.outputs) + self._gives_mixture, self._channels, n), np.float32)
        given = part[: len(model.outputs)]
        if model.gives_what_it_runs:
            self._output.copy(self._drained - self._start, given)
        else:
            mixture = np.empty((self._channels, n), np.float32)
            self._input.copy(self._drained, mixture)
            stems = np.empty((len(model.spec.stems), self._channels, n), np.float32)
            self._output.copy(self._drained - self._start, stems)
            model.choose(stems, mixture, given)
        if self._gives_mixture:
            self._input.copy(self._drained, part[-1])
        self._drained = end
        worker.wake()
        yield part

    # The worker.

    @property
    def separator(self) -> Separator:
        """The model."""
        return self._model

    @property
    def window_frames(self) -> int:
        """Length of its windows."""
        return self._plan.window_frames

    def slack_s(self) -> float | None:
        """Tell whether a window can run now: nobody sets it a deadline."""
        stream, plan = self._stream, self._plan
        index = stream.next_index
        if self._has_failed or not stream.can_load() or not self._is_needed(index):
            return None
        if not self._is_heard(index) or plan.final_before(index) - self._drained > self._output.capacity:
            return None
        return WAITING

    def load(self, runner: Runner, row: int) -> bool:
        """Put the next window into a row."""
        self.first_batch_size = self.first_batch_size or runner.batch_size
        return self.slack_s() is not None and self._stream.load(self._read, runner, row)

    def store(self, runner: Runner, row: int, elapsed_s: float) -> None:
        """Add what has become final to the output."""
        self.batch_size = runner.batch_size
        index, is_delivered = self._stream.store(runner, row)
        if is_delivered:
            before = self._start - (self._plan.final_before(index) - self._plan.hop_frames)
            final = self._stream.overlap.final[..., max(0, before) :]
            if final.shape[1] != self._channels:
                final = final.mean(axis=1, keepdims=True)
            self._output.append(final)
        if isinstance(runner, OfflineRunner) and runner.skipped[row]:
            self.silent_windows += 1
        else:
            self.windows += 1

    def fail(self, error: Exception, elapsed_s: float) -> None:
        """End the separation with an error."""
        self._stream.fail()
        self._fault = error
        self._has_failed = True

    def _is_needed(self, index: int) -> bool:
        """Whether a window has a part in the frames to give, and not only in what stands for missing input."""
        delivered_from = self._plan.final_before(index) - self._plan.hop_frames
        if self._total is not None and (delivered_from >= self._total or self._start >= self._total):
            return False
        return self._stop is None or delivered_from < self._stop

    def _is_heard(self, index: int) -> bool:
        if self._total is not None:
            return True
        plan = self._plan
        end = plan.end_of(index)
        # A reflected start mirrors frames that lie as far behind frame 0 as the window begins before it.
        mirrored = plan.window_frames - end + 1 if plan.fill == "reflect" else 0
        return self._heard >= max(end, mirrored)

    def _read(self, start: int, out: F32) -> bool:
        heard = out if self._channels == self._model_channels else np.empty((1, out.shape[1]), np.float32)
        self._read_filled(start, heard)
        if heard is not out:
            out[...] = heard
        return True

    def _read_filled(self, start: int, out: F32) -> None:
        """Copy frames from ``start`` on, made up as the plan says where the recording has none."""
        stop = start + out.shape[1]
        end = self._heard if self._total is None else self._total
        if start >= 0 and stop <= end:
            self._input.copy(start, out)
            return
        places = np.arange(start, stop)
        if self._plan.fill == "reflect" and end > 1:
            if self._total is not None:
                border_end = end - 1 + self._plan.window_frames - self._plan.hop_frames
                places = border_end - np.abs(border_end - places)
            places = np.abs(places)
            if self._total is not None:
                places = end - 1 - np.abs(end - 1 - places % (2 * (end - 1)))
        inside = (places >= 0) & (places < end)
        out[...] = 0.0
        if not inside.any():
            return
        lowest, highest = int(places[inside].min()), int(places[inside].max())
        there = np.empty((out.shape[0], highest - lowest + 1), np.float32)
        self._input.copy(lowest, there)
        out[:, inside] = there[:, places[inside] - lowest]


def _window_with(plan: WindowPlan, frame: int) -> int:
    """Index of the first window that says anything about ``frame``."""
    return (frame + plan.lookahead_frames) // plan.hop_frames if frame else plan.first_index
