"""Tools to test processors, models and sessions in virtual time: no thread, no sleep, every fault on demand.

A ``VirtualClock`` counts frames. A ``ScriptedWorker`` stands in for ``engine.Worker``: it runs the same streams
through the same code, and a script says how long each run takes and what goes wrong in it. ``play`` drives a
processor through them block by block, as a device would.

Examples
--------
A worker that stops for good after its fifth run:

>>> import numpy as np
>>> from streamer import StemProcessor
>>> from streamer.testing import NEVER, IdentitySeparator, Outcome, ScriptedWorker, VirtualClock, play
>>> clock = VirtualClock(44_100)
>>> worker = ScriptedWorker(clock, lambda run: NEVER if run.number >= 5 else Outcome(frames=100))
>>> processor = StemProcessor(IdentitySeparator(), realtime=True, worker=worker, clock=clock)
>>> _ = processor.prepare(sample_rate=44_100, channels=2, max_block_frames=512)
>>> stems = play(processor, clock, np.ones((2, 44_100), np.float32), blocks=512)
>>> processor.stats().coverage < 1.0
True
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from engine.errors import LifecycleError
from engine.separator import Runner, Separator, StateArrays
from engine.spec import ModelSpec, StateSpec
from engine.worker_client import WorkerClient, by_urgency
from streamer.processor import StemProcessor

__all__ = [
    "NEVER",
    "DelaySeparator",
    "IdentitySeparator",
    "Outcome",
    "Run",
    "ScriptedWorker",
    "VirtualClock",
    "play",
]

F32 = npt.NDArray[np.float32]


class VirtualClock:
    """Time in frames of the host, moved on by hand. Calling it gives seconds, for ``StemProcessor(clock=...)``.

    Parameters
    ----------
    sample_rate : int
        Of the host, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self.frames = 0
        self._workers: list[ScriptedWorker] = []

    def advance(self, frames: int) -> None:
        """Let time pass; scripted workers finish what they would have finished by then."""
        self.frames += frames
        for worker in self._workers:
            worker.run_until(self.frames)

    def __call__(self) -> float:
        """Give the time in seconds."""
        return self.to_seconds(self.frames)

    def to_seconds(self, frames: float) -> float:
        """Give a number of frames in seconds."""
        return frames / self._sample_rate


@dataclass(frozen=True)
class Run:
    """A run of the model, as the script sees it: the how-manyth it is, and the frame at which it begins."""

    number: int
    began_at: int


@dataclass(frozen=True)
class Outcome:
    """How a run goes.

    Attributes
    ----------
    frames : float
        How long it takes, in frames of the host; infinite for a worker that hangs.
    fault : {"raise", "nan"}, optional
        The model raises, or gives values that are not finite.
    """

    frames: float = 0
    fault: Literal["raise", "nan"] | None = None


NEVER = Outcome(float("inf"))
"""The worker hangs."""

Script = Callable[[Run], Outcome]


@dataclass
class _Job:
    client: WorkerClient
    runner: Runner
    outcome: Outcome
    began_at: int
    ends_at: float


class ScriptedWorker:
    """A worker without a thread whose runs take the time, and meet the faults, that a script says.

    Windows are run one after the other; a result counts when it is ready strictly before a block arrives. A
    processor that waits gets its results at once, except from a run that hangs.

    Parameters
    ----------
    clock : VirtualClock
    script : callable
        Called at the start of each run; left out, every run takes no time.
    """

    def __init__(self, clock: VirtualClock, script: Script | None = None) -> None:
        self._clock = clock
        clock._workers.append(self)
        self.script: Script = script if script is not None else lambda run: Outcome()
        self._clients: list[WorkerClient] = []
        self._runners: dict[int, Runner] = {}
        self.batch_size = 1
        self._job: _Job | None = None
        self.runs = 0
        """Runs begun."""

    def attach(self, client: WorkerClient, *, warm_up: bool = True) -> tuple[float, ...]:
        """Take a client in; virtual runs have no time of their own to report."""
        self._clients.append(client)
        self._runners[id(client)] = client.separator.runner(1, client.window_frames)
        return ()

    def time_runs(self, client: WorkerClient, *, runs: int, seconds: float) -> tuple[float, ...]:
        """Give nothing: time is scripted."""
        return ()

    def detach(self, client: WorkerClient) -> None:
        """Let a client go, with its run."""
        self._clients.remove(client)
        if self._job is not None and self._job.client is client:
            self._job = None

    def wake(self) -> None:
        """Begin a run now if none is under way."""
        self._begin(self._clock.frames)

    def wait(self, until: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Finish runs until the condition holds; False if a run hangs.

        Raises
        ------
        LifecycleError
            If nothing is left to run: a real worker would be waited for until the time-out, or forever.
        """
        while not until():
            if self._job is None:
                self._begin(self._clock.frames)
            if self._job is None and timeout_s is None:
                raise LifecycleError("nothing is left to run: a real worker would be waited for in vain")
            if self._job is None or self._job.ends_at == float("inf"):
                return False
            self._finish(self._job)
        return True

    def nudge(self) -> None:
        """Do nothing: nobody waits on another thread."""

    def run_until(self, frame: int) -> None:
        """Finish every run that ends strictly before ``frame``, and begin those that follow it."""
        while self._job is not None and self._job.ends_at < frame:
            ended = int(self._job.ends_at)
            self._finish(self._job)
            self._begin(ended)

    def release_hang(self) -> None:
        """Let a run that hangs end now."""
        if self._job is not None and self._job.ends_at == float("inf"):
            self._job.ends_at = self._clock.frames

    def _begin(self, frame: int) -> None:
        if self._job is not None:
            return
        for client in by_urgency(self._clients, self.runs):
            runner = self._runners[id(client)]
            if client.load(runner, 0):
                outcome = self.script(Run(self.runs, frame))
                self.runs += 1
                self._job = _Job(client, runner, outcome, frame, frame + outcome.frames)
                return

    def _finish(self, job: _Job) -> None:
        self._job = None
        elapsed_s = self._clock.to_seconds(job.ends_at - job.began_at)
        try:
            if job.outcome.fault == "raise":
                raise RuntimeError("a scripted fault")
            job.runner.run(1)
            if job.outcome.fault == "nan":
                job.runner.stems[0] = np.nan
            job.client.store(job.runner, 0, elapsed_s)
        except Exception as error:
            job.client.fail(error, elapsed_s)


class IdentitySeparator(Separator):
    """A windowed model whose stems are its input times a gain each.

    Parameters
    ----------
    gains : mapping of str to float
        Gain by stem; gains that add up to 1 give stems that add up to the input.
    window_frames, hop_frames, lookahead_frames, fade_frames, sample_rate, channels : int
    poisons_lookahead : bool
        Every frame inside the look-ahead is NaN, so that whoever delivers one is caught.
    """

    def __init__(
        self,
        gains: dict[str, float] | None = None,
        *,
        window_frames: int = 4096,
        hop_frames: int = 1024,
        lookahead_frames: int = 256,
        fade_frames: int = 128,
        sample_rate: int = 44_100,
        channels: int = 2,
        poisons_lookahead: bool = False,
    ) -> None:
        gains = {"vocals": 0.25, "drums": 0.5, "other": 0.25} if gains is None else gains
        self.spec = ModelSpec(
            name="identity",
            sample_rate=sample_rate,
            channels=channels,
            stems=tuple(gains),
            stateful=False,
            window_frames=window_frames,
            hop_frames=hop_frames,
            lookahead_frames=lookahead_frames,
            fade_frames=fade_frames,
        )
        self._gains = np.array(list(gains.values()), np.float32)[:, None, None]
        self._poisons = poisons_lookahead

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        """Scale the windows."""
        stems = windows[:, None] * self._gains
        if self._poisons and self.spec.lookahead_frames:
            stems[..., -self.spec.lookahead_frames :] = np.nan
        return stems, ()


class DelaySeparator(Separator):
    """A stateful model whose stems are its input, late by the look-ahead, times a gain each.

    Parameters
    ----------
    gains : mapping of str to float
    hop_frames, lookahead_frames, priming_frames, sample_rate, channels : int
        The look-ahead is at least 1, since it is what the state holds.
    """

    def __init__(
        self,
        gains: dict[str, float] | None = None,
        *,
        hop_frames: int = 512,
        lookahead_frames: int = 256,
        priming_frames: int | None = None,
        sample_rate: int = 44_100,
        channels: int = 2,
    ) -> None:
        gains = {"vocals": 0.25, "drums": 0.5, "other": 0.25} if gains is None else gains
        self.spec = ModelSpec(
            name="delay",
            sample_rate=sample_rate,
            channels=channels,
            stems=tuple(gains),
            stateful=True,
            window_frames=hop_frames,
            hop_frames=hop_frames,
            lookahead_frames=lookahead_frames,
            priming_frames=lookahead_frames if priming_frames is None else priming_frames,
            states=(StateSpec("held", (channels, lookahead_frames)),),
        )
        self._gains = np.array(list(gains.values()), np.float32)[:, None, None]

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        """Delay and scale the hops."""
        line = np.concatenate([states[0], windows], axis=-1)
        hop = windows.shape[-1]
        return line[:, None, :, :hop] * self._gains, (line[..., hop:],)


def play(
    processor: StemProcessor, clock: VirtualClock, audio: F32, *, blocks: int | Sequence[int] | Iterable[int]
) -> F32:
    """Stream audio through a prepared processor as a device would: time passes with every block.

    Parameters
    ----------
    processor : StemProcessor
    clock : VirtualClock
    audio : ndarray of float32, shape (channels, frames)
    blocks : int or iterable of int
        Length of every block, or of one after the other; the last one is cut to what is left.

    Returns
    -------
    ndarray of float32, shape (stems, channels, frames)
        Exactly what came out: input frame n is at n + ``latency_frames`` where the stream was fresh.
    """
    out = np.zeros((len(processor.stems), *audio.shape), np.float32)
    lengths = iter(() if isinstance(blocks, int) else blocks)
    done = 0
    while done < audio.shape[1]:
        length = blocks if isinstance(blocks, int) else next(lengths)
        block = audio[:, done : done + length]
        n = block.shape[1]
        clock.advance(n)
        out[..., done : done + n] = processor.process(block)
        done += n
    return out
