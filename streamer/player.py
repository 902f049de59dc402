"""A player: a playlist is separated ahead of the play head and played on a device, or read by a program."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from engine.errors import ConfigurationError, DeviceError, LifecycleError
from engine.progress import Progress, ProgressCallback
from engine.separator import Separator
from engine.worker import Worker
from engine.worker_client import WorkerLike
from streamer.audio.stream import StreamCounters
from streamer.deck import Deck
from streamer.events import Event
from streamer.interpreter import SWITCH_INTERVAL_S, calm_interpreter
from streamer.player_output import PlayerOutput
from streamer.steady_rate import SteadyRate
from streamer.transport import Paths, Transport

__all__ = ["Player"]

F32 = npt.NDArray[np.float32]

_LOOK_S = 0.02
_IDLE_S = 0.05
_TELL_S = 0.1


class Player(Transport):
    """Plays files and folders as stems that can be mixed while they sound.

    Parameters
    ----------
    paths, separator, **options
        As for `streamer.transport.Transport`.
    output : str, int or None
        A device by name or number; ``default`` for the system's. None: no device; ``read`` gives the sound.
    worker : Worker, optional
        Shared with others; left out, one for this player.
    batch_size : int
        Windows a run, where no ``worker`` is given.
    sample_rate : int, optional
        Of the output, in Hz. Left out: that of the first track, or the device's own where it does not take that.
    ring_blocks : int, optional
        Blocks ahead of the device; left out, 16 ms.
    device_latency : {"low", "high"} or float
        What is asked of the driver.
    engine : {"auto", "rtmixer", "callback"}
        As for `streamer.LiveSession`.
    priority : bool
        Ask for real-time priority for the thread that moves the blocks.

    Notes
    -----
    Three threads: one reads files, one separates, and with a device one moves blocks; the model has the worker's. All
    methods may be called from any thread; ``read`` from one at a time.

    Examples
    --------
    >>> player = Player("song.flac", load_separator("spatial")).play()  # doctest: +SKIP
    >>> player.mixer["drums"].solo = True  # doctest: +SKIP
    >>> player.seek(63.5)  # doctest: +SKIP
    """

    def __init__(
        self,
        paths: Paths,
        separator: Separator,
        *,
        output: str | int | None = "default",
        worker: WorkerLike | None = None,
        batch_size: int = 1,
        sample_rate: int | None = None,
        block_frames: int = 256,
        ring_blocks: int | None = None,
        device_latency: Literal["low", "high"] | float = "low",
        engine: Literal["auto", "rtmixer", "callback"] = "auto",
        priority: bool = False,
        **options: Any,
    ) -> None:
        self._load_due, self._work_due = threading.Event(), threading.Event()
        self._end, self._finished, self._has_loaded = threading.Event(), threading.Event(), threading.Event()
        self._is_finishing, self._is_closed = False, False
        self._threads: list[threading.Thread] = []
        self._exits = ExitStack()
        self._fault: Exception | None = None
        self._over_since: float | None = None
        super().__init__(
            paths, separator, Worker(batch_size) if worker is None else worker, block_frames=block_frames, **options
        )
        self._device = None
        self.output = output
        """What was asked for; None without a device."""
        rate = self.sample_rate if sample_rate is None else sample_rate
        if output is not None:
            self._device = PlayerOutput(
                output,
                sample_rate=rate,
                is_rate_fixed=sample_rate is not None,
                channels=self.mixer.outputs.device_channels,
                block_frames=block_frames,
                ring_blocks=ring_blocks,
                device_latency=device_latency,
                engine=engine,
                priority=priority,
                events=self._events,
            )
        self.output_rate = rate
        """Rate of what comes out, in Hz; the device's from ``play`` on."""
        self._steady = self._steady_at(rate, self._pull_waiting)

    def play(self) -> Self:
        """Play, or play on after a pause. The first call opens the device.

        Raises
        ------
        DeviceError
            If there is none, or it cannot be opened.
        LifecycleError
            After ``close``.
        """
        self._begin()
        self._deck.orders.is_paused = False
        self._wake()
        return self

    def read(self, frames: int, *, waits: bool = True) -> F32:
        """Give the next frames, at any pace; only without a device.

        Parameters
        ----------
        frames : int
        waits : bool
            For the stems of each frame. False: what is not there in time is replaced as the deadline ladder says.

        Returns
        -------
        ndarray of float32, shape (output channels, frames)
            Silence in pauses and behind the end.
        """
        if self._device is not None:
            raise LifecycleError("this player plays on a device: make one with output=None to read from it")
        if not isinstance(frames, int | np.integer) or frames < 0:
            raise ConfigurationError(f"frames={frames!r} cannot be read: give a whole number, 0 or more")
        self._begin()
        out = np.zeros((self.mixer.outputs.device_channels, int(frames)), np.float32)
        self._deck.is_waited_for = waits
        self._steady.read(out)
        return out

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing is left to play, or for so many seconds; tells whether that is so.

        Raises
        ------
        DeviceError
            If the device was lost for good.
        """
        ends = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._has_ended():
            left = _LOOK_S if ends is None else min(_LOOK_S, ends - time.monotonic())
            if left <= 0:
                return False
            self._end.wait(left)
        if self._device is not None and self._device.failure is not None:
            raise self._device.failure
        return True

    @property
    def error(self) -> Exception | None:
        """Why there is no sound, or no more stems; None while all is well."""
        return self._fault if self._device is None else self._device.error or self._fault

    def finish(self, progress: ProgressCallback | None = None) -> None:
        """Separate to the end what is unfinished, and let stem files and cache entries appear.

        Nothing is played any more. An exception from ``progress`` ends it; what is not complete does not appear.
        """
        if self._is_closed or not self._threads:
            return
        self._stop_sound()
        self._is_finishing = True
        self._work_due.set()
        begin = time.monotonic()
        while not self._finished.wait(_TELL_S) and not self._end.is_set():
            if progress is not None:
                fraction, spent_s = self._separation.fraction, time.monotonic() - begin
                progress(Progress(fraction, spent_s * (1 - fraction) / fraction if fraction else float("nan")))

    def close(self, *, finishes: bool | None = None, progress: ProgressCallback | None = None) -> None:
        """End the sound and let go of everything; a second call does nothing.

        Parameters
        ----------
        finishes : bool, optional
            Separate to the end what is unfinished. Left out: where stems are saved, or ``finish`` is ``exit``.
        progress : callable, optional
            As for ``finish``.
        """
        if self._is_closed:
            return
        try:
            if finishes is None:
                finishes = self._finish == "exit" or (self._finish == "background" and self._keeping.files is not None)
            if finishes:
                self.finish(progress)
        finally:
            self._is_closed = True
            try:
                self._stop_sound()
            finally:
                self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.close(finishes=None if kind is None else False)

    def _begin(self) -> None:
        if self._is_closed:
            raise LifecycleError("the player is closed: make another one")
        if self._threads:
            return
        for name, run in (("files", self._load), ("stems", self._separate)):
            thread = threading.Thread(target=run, name=f"stemstream-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()
        if self._device is not None:
            # The first stems are made while the device is opened.
            self._exits.enter_context(calm_interpreter(SWITCH_INTERVAL_S, freezes=False))
            try:
                self.output_rate = self._device.open()
            except BaseException:
                self.close(finishes=False)
                raise
            self._steady = self._steady_at(self.output_rate, self._pull)
            self._prepare()
            self._device.begin(self._fill)

    def _prepare(self) -> None:
        """Make ready what stands between the deck and the device, whose rate is known now."""

    def _fill(self, out: F32) -> None:
        self._steady.read(out)

    def _steady_at(self, rate: int, pull: Callable[[F32], tuple[int, int | None]]) -> SteadyRate:
        return SteadyRate(pull, rate, self.mixer.outputs.device_channels, self._block_frames)

    def _pull(self, out: F32) -> tuple[int, int | None]:
        n = self._deck.read(out)
        return n, self._deck.read_rate

    def _pull_waiting(self, out: F32) -> tuple[int, int | None]:
        most = out.shape[1]
        while not self._end.is_set() and self._fault is None:
            ready = self._deck.ready_frames(most)
            if ready is None:
                break
            if ready:
                most = ready
                break
            # What was read made room.
            self._load_due.set()
            self._work_due.set()
            self._has_loaded.wait(_LOOK_S)
            self._has_loaded.clear()
        return self._pull(out[:, :most])

    def _wake(self) -> None:
        self._over_since = None
        self._load_due.set()
        self._work_due.set()

    def _load(self) -> None:
        deck: Deck = self._deck
        while not self._end.is_set():
            try:
                has_done = deck.load()
            except Exception as error:  # the outermost place of this thread: kept for `error`
                self._fail(error)
                return
            if has_done:
                self._has_loaded.set()
            else:
                self._load_due.wait(_LOOK_S)
                self._load_due.clear()

    def _separate(self) -> None:
        separation, deck = self._separation, self._deck
        while not self._end.is_set():
            try:
                publish = separation.finish_step() if self._is_finishing else separation.step(*deck.listening())
                if publish is not None:
                    publish()
            except Exception as error:  # the outermost place of this thread: the sound goes on without stems
                self._fail(error)
                self._finished.set()
                return
            if publish is not None:
                self._load_due.set()
                continue
            if self._is_finishing:
                self._finished.set()
            self._work_due.wait(_IDLE_S)
            self._work_due.clear()

    def _fail(self, error: Exception) -> None:
        self._fault = error
        text = " ".join(str(error).split())
        self._events.add(Event("fault", 0, f"no more is separated or read ({type(error).__name__}: {text})"))

    def _has_ended(self) -> bool:
        if self._end.is_set() or (self._device is not None and self._device.failure is not None):
            return True
        if not self.is_over:
            self._over_since = None
            return False
        now = time.monotonic()
        self._over_since = now if self._over_since is None else self._over_since
        # What was read last has yet to be heard.
        return self._device is None or now - self._over_since >= self._device.delay_s

    def _stop_sound(self) -> None:
        if self._device is not None:
            try:
                self._device.close()
            except DeviceError as error:
                self._fault = error
        self._exits.close()

    def _let_go(self) -> None:
        self._end.set()
        self._keeping.cancel.set()
        self._wake()
        for thread in self._threads:
            thread.join()
        self._separation.close()
        self._deck.close()
        self._shelf.close()

    def _stream_counters(self) -> StreamCounters:
        return StreamCounters() if self._device is None else self._device.counters
