"""A recording on its way through the worker: what was heard, what was separated, and how its ends are filled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from engine.errors import ModelError
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
    separator : Separator
    plan : WindowPlan
    channels : int
        The model's, or 1 for a stereo model (duplicated in, averaged out).
    batch_size : int
        Windows that may be under way at once.
    gives_mixture : bool
        Behind the stems, as one more, comes the input that they were made of.

    Attributes
    ----------
    windows : int
        Windows the model ran.
    """

    def __init__(
        self, separator: Separator, plan: WindowPlan, channels: int, batch_size: int, *, gives_mixture: bool = False
    ) -> None:
        spec = separator.spec
        self._separator = separator
        self._plan = plan
        self._channels = channels
        self._gives_mixture = gives_mixture
        self._stream = WindowStream(spec, plan, keep_provisional=False)
        self._model_channels = spec.channels
        ahead = (batch_size + 1) * plan.hop_frames
        self._room = 2 * plan.window_frames + plan.reach_frames + ahead + MAX_BLOCK_FRAMES
        self._input = FrameRing((channels,), 2 * self._room)
        self._output = FrameRing((len(spec.stems), channels), ahead + 2 * plan.hop_frames)
        self._heard = 0
        self._total: int | None = None
        self._drained = 0
        self._given_up: Exception | None = None
        self.windows = 0

    # The thread that separates.

    def run(self, audio: F32, worker: WorkerLike) -> Iterator[F32]:
        """Take audio, shape (channels, n), and give the stems that are ready, each (stems, channels, m).

        Raises
        ------
        ModelError
            If the model failed.
        """
        done = 0
        while done < audio.shape[1]:
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
        worker.wake()
        while self._drained < self._total:
            self._await(worker)
            yield from self._drain(worker)

    def _await(self, worker: WorkerLike) -> None:
        if not worker.wait(self._has_output):
            raise ModelError(f"the worker that ran {self._separator.spec.name!r} has ended: see its log")

    def _has_output(self) -> bool:
        return self._output.written > self._drained or self._given_up is not None

    def _drain(self, worker: WorkerLike) -> Iterator[F32]:
        if self._given_up is not None:
            raise ModelError(
                f"model {self._separator.spec.name!r} failed after {self.windows} windows: {self._given_up}"
            ) from self._given_up
        end = self._output.written if self._total is None else min(self._output.written, self._total)
        if end <= self._drained:
            return
        spec = self._separator.spec
        given = len(spec.output_stems)
        part = np.empty((given + self._gives_mixture, self._channels, end - self._drained), np.float32)
        self._output.copy(self._drained, part[: len(spec.stems)])
        if len(spec.stems) < given:
            self._input.copy(self._drained, part[given - 1])
            part[given - 1] -= part[: given - 1].sum(axis=0)
        if self._gives_mixture:
            self._input.copy(self._drained, part[-1])
        self._drained = end
        worker.wake()
        yield part

    # The worker.

    @property
    def separator(self) -> Separator:
        """The model."""
        return self._separator

    @property
    def window_frames(self) -> int:
        """Length of its windows."""
        return self._plan.window_frames

    def slack_s(self) -> float | None:
        """Tell whether a window can run now: nobody sets it a deadline."""
        stream, plan = self._stream, self._plan
        index = stream.next_index
        if self._given_up is not None or not stream.can_load() or not self._is_heard(index):
            return None
        if plan.final_before(index) - self._drained > self._output.capacity:
            return None
        return WAITING

    def load(self, runner: Runner, row: int) -> bool:
        """Put the next window into a row."""
        return self.slack_s() is not None and self._stream.load(self._read, runner, row)

    def store(self, runner: Runner, row: int, elapsed_s: float) -> None:
        """Add what has become final to the output."""
        self.windows += 1
        index, _ = self._stream.store(runner, row)
        skipped = max(0, self._plan.hop_frames - self._plan.final_before(index))
        final = self._stream.overlap.final[..., skipped:]
        if final.shape[1] != self._channels:
            final = final.mean(axis=1, keepdims=True)
        self._output.append(final)

    def fail(self, error: Exception, elapsed_s: float) -> None:
        """End the separation with an error."""
        self._stream.fail()
        self._given_up = error

    def _is_heard(self, index: int) -> bool:
        plan = self._plan
        end = plan.end_of(index)
        if self._total is not None:
            return plan.final_before(index) - plan.hop_frames < self._total
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
