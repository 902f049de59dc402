"""A recording on its way through the worker: what was heard, what was separated, and how its ends are filled."""

from __future__ import annotations

from collections.abc import Callable

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
"""Most frames taken or given at once."""
_WORTH_FRAMES = 1 << 13
"""What is ready is given in pieces of at least so many frames, where nobody is in a hurry: each costs a turn of the
thread that separates."""


class Recording:
    """One recording as a client of the worker, at the model's rate. Nothing is dropped, whoever is slower.

    One thread feeds it and one drains it, which may be the same; the worker calls the methods of ``WorkerClient``.
    Whoever has nothing to do waits for the others. After construction no
    array is allocated, but for the ends of the recording.

    Parameters
    ----------
    model : OfflineModel
    plan : WindowPlan
    channels : int
        The model's, or 1 for a stereo model (duplicated in, averaged out).
    worker : Worker
        Whose client it will be.
    gives_mixture : bool
        Behind the stems, as one more, comes the input that they were made of.
    start, stop : int
        The frames to give; left out, all of the recording. Only windows with a part in them are run, and those that
        prime a state before them. The recording must be fed from its first frame all the same.
    is_prompt : bool
        Frames are ready with every window, however few they are.

    Attributes
    ----------
    raises_faults : bool
        True: what a window fails with is raised by ``await_ready``.
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
        worker: WorkerLike,
        *,
        gives_mixture: bool = False,
        start: int = 0,
        stop: int | None = None,
        is_prompt: bool = False,
    ) -> None:
        spec = model.spec
        self._model = model
        self._plan = plan
        self._channels = channels
        self._gives_mixture = gives_mixture
        self._start, self._stop = start, stop
        self._worker = worker
        self._stream = WindowStream(model, plan, keep_provisional=False)
        self._stream.start(_window_with(plan, start))
        self._first_index = self._stream.next_index
        self._model_channels = spec.channels
        # While one batch runs, the results of the one before it are taken and the input of the next is brought.
        ahead = (2 * worker.batch_size + 2) * plan.hop_frames
        behind = self._stream.priming_hops * plan.hop_frames if start else 0
        self._room = 2 * plan.window_frames + plan.reach_frames + ahead + behind + MAX_BLOCK_FRAMES
        self._input = FrameRing((channels,), 2 * self._room)
        # Its first frame is the first that is given.
        self._output = FrameRing((len(spec.stems), channels), max(ahead, plan.hop_frames + 2 * _WORTH_FRAMES))
        self._mono = np.zeros((1, plan.window_frames), np.float32)
        self._averaged = np.zeros((len(spec.stems), 1, plan.hop_frames), np.float32)
        if not model.gives_what_it_runs:
            self._stems = np.zeros((len(spec.stems), channels, MAX_BLOCK_FRAMES), np.float32)
            self._mixture = np.zeros((channels, MAX_BLOCK_FRAMES), np.float32)
        self._worth_frames = 1 if is_prompt else _WORTH_FRAMES
        # Windows that make up such a piece: nobody need look at each of them.
        self._look_windows = max(1, self._worth_frames // plan.hop_frames)
        self._heard = 0
        self._total: int | None = None
        self._drained = start
        self._has_failed = False
        self._fault: Exception | None = None
        self.windows = 0
        self.silent_windows = 0
        self.batch_size = self.first_batch_size = 0

    @property
    def rows(self) -> int:
        """How many stems ``drain`` gives, the input among them where that is wished."""
        return len(self._model.outputs) + self._gives_mixture

    def nudge(self) -> None:
        """Have those who wait look again."""
        self._worker.nudge()

    def _check(self) -> None:
        if self._has_failed:
            # The traceback of the fault leads to this recording, which would hold itself.
            fault, self._fault = self._fault, None
            raise ModelError(f"model {self._model.spec.name!r} failed after {self.windows} windows: {fault}") from fault

    # Who feeds it.

    def feed(self, audio: F32) -> int:
        """Take as much as there is room for of audio, shape (channels, n); gives how much that was."""
        n: int = min(self._free_frames, audio.shape[1], MAX_BLOCK_FRAMES)
        if n > 0:
            self._input.append(audio[:, :n])
            self._heard += n
            self._worker.wake()
        return max(0, n)

    def end(self) -> None:
        """Say that the recording ended."""
        self._total = self._heard
        self._worker.wake()
        self.nudge()

    def await_room(self, or_else: Callable[[], bool]) -> bool:
        """Block until ``feed`` would take something or ``or_else()`` holds; False if the model, or the worker, failed.

        Who drains it is told of the failure.
        """
        self._worker.wait(lambda: self._free_frames > 0 or or_else() or self._has_failed)
        return self._free_frames > 0 and not self._has_failed

    @property
    def _free_frames(self) -> int:
        # Windows still reach back by their length, and the complement by the reach, behind what was drained.
        return self._drained + self._room - self._heard

    # Who drains it.

    @property
    def is_complete(self) -> bool:
        """Whether every frame that is asked for was given, so that the rest need not be fed."""
        return self._end is not None and self._drained >= self._end

    @property
    def _end(self) -> int | None:
        ends = [end for end in (self._stop, self._total) if end is not None]
        return min(ends) if ends else None

    def fraction(self, total: int) -> float:
        """Share of the windows that are done, of a recording of ``total`` frames."""
        end = total if self._stop is None else min(total, self._stop)
        if end <= self._start:
            return 0.0
        return min(1.0, self._done / (self._plan.window_for(end - 1) + 1 - self._first_index))

    @property
    def ready_frames(self) -> int:
        """Frames that ``drain`` can give, as far as that is worth a piece; 0 otherwise."""
        ends = [end for end in (self._start + self._output.written, self._end) if end is not None]
        ready = min(ends) - self._drained
        return min(ready, MAX_BLOCK_FRAMES) if ready >= self._worth_frames or self._drained + ready == self._end else 0

    def await_ready(self, or_else: Callable[[], bool]) -> None:
        """Block until frames are ready, windows were run that somebody may want to hear of, or ``or_else()`` holds.

        Raises
        ------
        ModelError
            If the model failed, or the worker ended.
        """
        done = self._done + self._look_windows

        def is_over() -> bool:
            return self.ready_frames > 0 or self.is_complete or self._done >= done or or_else() or self._has_failed

        if not self._worker.wait(is_over):
            raise ModelError(f"the worker that ran {self._model.spec.name!r} has ended: see its log")
        self._check()

    def drain(self, out: F32) -> None:
        """Give the next frames, at most those that are ready, in ``out``, shape (rows, channels, n)."""
        self._check()
        n = out.shape[-1]
        model = self._model
        given = out[: len(model.outputs)]
        if model.gives_what_it_runs:
            self._output.copy(self._drained - self._start, given)
        else:
            stems, mixture = self._stems[..., :n], self._mixture[:, :n]
            self._input.copy(self._drained, mixture)
            self._output.copy(self._drained - self._start, stems)
            model.choose(stems, mixture, given)
        if self._gives_mixture:
            self._input.copy(self._drained, out[-1])
        self._drained += n
        self._worker.wake()
        self.nudge()

    @property
    def _done(self) -> int:
        return self.windows + self.silent_windows

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
                final = np.mean(final, axis=1, keepdims=True, out=self._averaged[..., : final.shape[-1]])
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
        heard = out if self._channels == self._model_channels else self._mono[:, : out.shape[1]]
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
