"""Live sessions in virtual time: made, held up, changed and ended at frames of a scripted device."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine.separator import Separator
from engine.worker_client import WorkerClient
from streamer import LiveSession, StemProcessor
from streamer.events import Event
from streamer.testing import IdentitySeparator, ScriptedWorker, VirtualClock
from streamer.turnover import Turnover
from tests.streamer.scripted_device import RATE, ScriptedDevice

F32 = npt.NDArray[np.float32]
BLOCK = 256
PATIENCE_S = 60.0


class Held(StemProcessor):
    """A processor that is held up in one block, as a thread is that does not get the interpreter."""

    hold: tuple[int, Callable[[], None]] = (-1, lambda: None)
    given = 0

    def process(self, block: npt.NDArray[Any], out: F32 | None = None) -> F32:
        at, do = self.hold
        if self.given == at:
            do()
        self.given += 1
        return super().process(block, out)


class TimedWorker(ScriptedWorker):
    """A scripted worker whose model takes so long when it is measured."""

    def __init__(self, clock: VirtualClock, *run_s: Sequence[float]) -> None:
        super().__init__(clock)
        self.run_s = list(run_s)
        """For one measurement after the other; the last one stays."""
        self.asked: list[int] = []
        """Runs that were asked for, by measurement."""

    def time_runs(self, client: WorkerClient, *, runs: int, seconds: float) -> tuple[float, ...]:
        self.asked.append(runs)
        return tuple(self.run_s.pop(0) if len(self.run_s) > 1 else self.run_s[0])


def processor_on(
    device: ScriptedDevice, separator: Separator | None = None, *, run_s: Sequence[float] = (), **options: Any
) -> Held:
    """Make a processor in the device's time; ``run_s`` is what its model is measured to take."""
    separator = IdentitySeparator(sample_rate=RATE) if separator is None else separator
    worker = TimedWorker(device.clock, run_s)
    return Held(separator, realtime=True, worker=worker, clock=device.clock, **options)


def session_on(device: ScriptedDevice, processor: StemProcessor | None = None, **options: Any) -> LiveSession:
    """Make a session in the device's time."""
    # Virtual time is not to take the machine from the others.
    settings: dict[str, Any] = {
        "freezes": False,
        "priority": False,
        "block_frames": BLOCK,
        "engine": "callback",
        "clock": device,
    }
    return LiveSession(processor_on(device) if processor is None else processor, **(settings | options))


def run(session: LiveSession, device: ScriptedDevice, frames: int) -> None:
    """Let a session run until the device's clock is there."""
    device.events[frames] = lambda: end(session, device)
    with session:
        session.wait(60.0)


def end(session: LiveSession, device: ScriptedDevice) -> None:
    """Tell a session to stop, and keep what was played up to there: what follows is the fade of its end."""
    device.kept = device.played.copy()
    session.stop()


def returned(device: ScriptedDevice, delay: int, *, begin: int = 0, end: int | None = None) -> npt.NDArray[np.bool_]:
    """Tell for each frame heard from ``begin`` to ``end`` whether it was played after ``delay`` frames."""
    assert device.sound is not None
    played = device.kept[:, begin + delay : None if end is None else end + delay]
    heard = device.sound[:, begin : begin + played.shape[1]]
    assert played.shape[1] > RATE // 4
    same: npt.NDArray[np.bool_] = np.all(np.abs(played - heard) <= 1e-6, axis=0)
    return same


class Changing:
    """A change that is asked for when the device reaches a frame; the device waits until the new model hears.

    Afterwards ``event`` or ``error`` says how it went, and ``heard_from`` which frame the new model heard first.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        device: ScriptedDevice,
        session: LiveSession,
        frame: int,
        processor: StemProcessor,
        **options: Any,
    ) -> None:
        self.event: Event | None = None
        self.error: Exception | None = None
        self.heard_from = -1
        self.then: Callable[[], None] = lambda: None
        """What happens at that frame once the new model hears."""
        self._session, self._processor, self._options = session, processor, options
        self._is_begun = threading.Event()
        self._thread = threading.Thread(target=self._change)
        monkeypatch.setattr(Turnover, "take_over", self._noticing(Turnover.take_over))
        device.events[frame] = self._begin

    def join(self) -> None:
        """Wait until it is done, or was refused."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def _begin(self) -> None:
        self.heard_from = self._session.stats().frames
        self._thread.start()
        assert self._is_begun.wait(PATIENCE_S)
        self.then()

    def _change(self) -> None:
        try:
            self.event = self._session.change(self._processor, **self._options)
        except Exception as error:
            self.error = error
        finally:
            self._is_begun.set()

    def _noticing(self, take_over: Callable[..., bool]) -> Callable[..., bool]:
        def noticed(turnover: Turnover, chain: Any, has_ended: Callable[[], bool]) -> bool:
            def notice() -> bool:
                # Whoever asks for the end has handed over before.
                self._is_begun.set()
                return has_ended()

            return take_over(turnover, chain, notice)

        return noticed
