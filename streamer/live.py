"""A live session: what a device hears goes through a processor and a mixer and is played while it comes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import Literal, Self

from engine.errors import LifecycleError
from streamer.audio.devices import Device, find_pair, list_devices
from streamer.audio.feedback import check_feedback
from streamer.audio.stream import AudioStream
from streamer.calibration import CalibrationKey, load_calibration
from streamer.capacity import Capacity
from streamer.chain import Chain
from streamer.events import Event, EventKind, EventLog
from streamer.file_session import Clock
from streamer.interpreter import SWITCH_INTERVAL_S, calm_interpreter
from streamer.live_format import Engine, LiveWishes, open_stream, settle_format, start_early, start_late
from streamer.live_preparation import check_processor, prepare_chain
from streamer.live_stats import LiveLatency, LiveStats
from streamer.mixer import Mixer
from streamer.output_map import OutputMap
from streamer.processor import StemProcessor
from streamer.pump import Pump
from streamer.recorder import RecorderStats
from streamer.reopening import reopen_stream
from streamer.turnover import TURNOVER_S, Turnover

__all__ = ["LiveSession"]

_JUMP_S = 0.25
"""What has piled up for longer is no live sound any more, and playing through it would only keep the model busy."""
_CLOSE_S = 2.0


class LiveSession:
    """Separates what a device hears and plays the mix of the stems, from ``with`` to the end of its block.

    Parameters
    ----------
    processor : StemProcessor
        With ``realtime=True``; prepared when the session begins, not before, and released when it ends.
    source : str or int
        ``mic``, ``mic:NAME``, ``mic:3``, ``loopback``, ``loopback:NAME``, or a number of ``list_devices``.
    output : str, int or None
        Name or number of a device; None for the default, or the input's own device.
    sample_rate : int, optional
        In Hz; left out, the input's default, or the output's where the two run on clocks of their own.
    block_frames : int
        What is moved at once.
    latency_s : float, optional
        From end to end, devices and ring included; what they and the model do not need becomes time for the model.
        Left out: as the processor was made.
    ring_blocks : int, optional
        Blocks from the capture of one to its return: the time to move it. Left out: what ``default_ring_blocks`` gives.
    outputs : OutputMap, str, iterable of str, optional
        What is played on which channel, also as ``"vocals=1,2 drums=3,4"``; left out, the mix on the first two.
    record : path-like, optional
        Folder for a `Recorder` of the stems; each model that is changed to begins a take of its own.
    configure : callable, optional
        Gets the mixer before the first block is heard.
    allow_feedback : bool
        Also with an input that hears the output, such as microphone and loudspeakers of one machine.
    checks_capacity : bool
        Time the model first, and refuse one that cannot keep up.
    priority : bool
        Ask for real-time priority for the thread that moves the blocks.
    device_latency : {"low", "high"} or float
        What is asked of the driver, in seconds where it is a number.
    engine : {"auto", "rtmixer", "callback"}
        rtmixer has a callback in C; the other one, in Python, is for where rtmixer does not run.
    waits_for_device : bool
        A device that was lost is opened again when it is back; ``error`` tells of it. False: it ends the session.
    switch_interval_s, freezes : float or None, bool
        As for ``calm_interpreter``: settings of the whole process, put back at the end.
    clock : Clock, optional
        Left out: the machine's own.

    Attributes
    ----------
    input, output : Device
        The devices in use, from ``start`` on.
    capacity, warning : Capacity or None, str or None
        What the model in use was measured to take, and what there is to be said of it.

    Raises
    ------
    ConfigurationError
        If a value is not allowed.

    Notes
    -----
    A thread of the session's own moves the blocks and is the only one that touches the processor until the session
    ends. ``stats``, ``error``, ``events`` and ``mixer`` may be used from any thread, ``start``, ``change`` and
    ``close`` from the one that made it.
    """

    input: Device
    output: Device

    def __init__(
        self,
        processor: StemProcessor,
        *,
        source: str | int = "mic",
        output: str | int | None = None,
        sample_rate: int | None = None,
        block_frames: int = 256,
        latency_s: float | None = None,
        ring_blocks: int | None = None,
        outputs: OutputMap | str | Iterable[str] | None = None,
        record: str | os.PathLike[str] | None = None,
        configure: Callable[[Mixer], None] | None = None,
        allow_feedback: bool = False,
        checks_capacity: bool = True,
        priority: bool = True,
        device_latency: Literal["low", "high"] | float = "low",
        engine: Engine = "auto",
        waits_for_device: bool = True,
        switch_interval_s: float | None = SWITCH_INTERVAL_S,
        freezes: bool = True,
        clock: Clock | None = None,
    ) -> None:
        check_processor(processor)
        self._processor, self._latency_s = processor, latency_s
        self._wishes = LiveWishes(
            source, output, sample_rate, block_frames, ring_blocks, outputs, device_latency, engine
        )
        self._record, self._configure = record, configure
        self._allows_feedback, self._checks_capacity, self._priority = allow_feedback, checks_capacity, priority
        self._waits_for_device, self._clock = waits_for_device, clock
        self._interpreter = calm_interpreter(switch_interval_s, freezes=freezes)
        self._end, self._stopped = threading.Event(), threading.Event()
        self._error: Exception | None = None
        self._pump: Pump | None = None
        self._last: LiveStats | None = None
        self._events, self._exits = EventLog(), ExitStack()
        self.capacity: Capacity | None = None
        self.warning: str | None = None

    def start(self) -> Self:
        """Open the device, prepare the processor and begin.

        Raises
        ------
        DeviceError
            If a device cannot be found or opened, or the input would hear the output.
        CapacityError
            If the model is too slow for this machine.
        ConfigurationError, LatencyError
            As ``StemProcessor.prepare`` does.
        OutputError
            If nothing can be recorded in the folder for that.
        LifecycleError
            If it was started before.
        """
        if self._pump is not None or self._end.is_set():
            raise LifecycleError("a session starts once: make another one")
        with ExitStack() as exits:
            exits.callback(self._end.set)
            heard, played = find_pair(list_devices(), self._wishes.source, self._wishes.output)
            check_feedback(heard, played, allowed=self._allows_feedback)
            self.input, self.output, spec = heard, played, self._processor.spec
            asked, self._outputs = settle_format(self._wishes, heard, played, spec.channels, spec.output_stems)
            self._asked = asked
            stream = open_stream(asked, self._wishes.engine, should_stop=self._end.is_set, clock=self._clock)
            exits.callback(lambda: (stream if self._pump is None else self._pump.stream).close(_CLOSE_S))
            start_early(stream)
            self._calibration = load_calibration(CalibrationKey.of(asked, stream.latency))
            chain = self._prepare(self._processor, stream, self._latency_s)
            self._turnover = Turnover(
                chain,
                device_channels=asked.output_channels,
                block_frames=asked.block_frames,
                fade_frames=max(1, round(TURNOVER_S * asked.sample_rate)),
            )
            exits.callback(self._turnover.release)
            if self._configure is not None:
                self._configure(chain.mixer)
            exits.enter_context(self._interpreter)
            start_late(stream)
            self._pump = Pump(
                stream,
                self._turnover,
                sample_rate=asked.sample_rate,
                block_frames=asked.block_frames,
                ring_frames=asked.ring_frames,
                jump_frames=max(round(_JUMP_S * asked.sample_rate), 2 * asked.ring_frames),
                end=self._end,
                events=self._events,
                reopen=self._reopen if self._waits_for_device else None,
                priority=self._priority,
                clock=self._clock,
            )
            self._pump.begin(self._run)
            exits.callback(self._sum_up)
            self._exits = exits.pop_all()
        return self

    def stop(self) -> None:
        """Ask the session to end; any thread. ``wait`` returns then, and ``close`` still has to follow."""
        self._end.set()

    def close(self) -> None:
        """End the sound and let go of everything, or of nothing with DeviceLostError where the device hangs."""
        self._end.set()
        if self._pump is not None:
            self._pump.join()
        self._exits.close()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the session ends, or for so many seconds; tells whether it has ended.

        Raises
        ------
        Exception
            What ended the session, if it was not ``close``.
        """
        has_ended = self._stopped.wait(timeout_s)
        if has_ended and self._error is not None:
            raise self._error
        return has_ended

    def change(self, processor: StemProcessor, *, latency_s: float | None = None, cause: str = "as asked") -> Event:
        """Go over to another model, or to another operating point of it, while the sound goes on.

        It is prepared beside the one in use and faded to when its first sound is there. Stems of the same name keep
        their controls. Waits until that is done, and lets go of the old processor.

        Parameters
        ----------
        processor : StemProcessor
            With ``realtime=True``, and not in use.
        latency_s : float, optional
            From end to end, as for the session; left out: as the processor was made.
        cause : str
            For the event.

        Returns
        -------
        Event
            How the latency changed; also among the ``events``.

        Raises
        ------
        CapacityError, ConfigurationError, LatencyError, OutputError
            As ``start`` does. The session goes on as it was.
        LifecycleError
            If the session has not started, or has ended.
        """
        pump, before = self._require_started(), self.latency
        if self._end.is_set():
            raise LifecycleError("the session has ended: nothing can be changed any more")
        self._turnover.check(processor)
        chain = self._prepare(processor, pump.stream, latency_s, playing=self._turnover.chain)
        if not self._turnover.take_over(chain, self._stopped.is_set):
            raise LifecycleError("the session ended before the change was done")
        times = f"{1000 * before.total_s:.1f} ms became {1000 * self.latency.total_s:.1f} ms"
        event = Event("latency", pump.counters.frames, f"{processor.spec.name} took over ({cause}): {times}")
        self._events.add(event)
        return event

    @property
    def mixer(self) -> Mixer:
        """Gain, mute and solo of each stem; any thread, from ``start`` on."""
        self._require_started()
        return self._turnover.chain.mixer

    @property
    def error(self) -> Exception | None:
        """Why there is no sound; None while all is well."""
        if self._error is not None or self._pump is None:
            return self._error
        return self._pump.error

    @property
    def latency(self) -> LiveLatency:
        """The latency that is promised, by parts; the device's as it was measured, or as its driver states it."""
        pump = self._require_started()
        with self._turnover.kept() as chain:
            if self._last is not None:
                return self._last.latency
            return LiveLatency.of(pump.stream, self._asked, self._calibration, chain.processor.latency)

    def events(self) -> tuple[Event, ...]:
        """Give what happened since the last call, oldest first."""
        return self._events.take()

    def stats(self) -> LiveStats:
        """Count what happened since the session began; makes a snapshot, and gives the last one after ``close``."""
        pump = self._require_started()
        with self._turnover.kept():
            return self._last or LiveStats.of(pump, self._turnover, self.latency, self.capacity)

    @property
    def recording(self) -> RecorderStats | None:
        """What became of the recording so far; light."""
        self._require_started()
        return self._turnover.recording()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()

    def _prepare(
        self, processor: StemProcessor, stream: AudioStream, latency_s: float | None, playing: Chain | None = None
    ) -> Chain:
        prepared = prepare_chain(
            processor,
            self._asked,
            self._outputs,
            latency_s=latency_s,
            other_frames=LiveLatency.others(stream, self._asked, self._calibration),
            playing=playing,
            record=self._record,
            checks_capacity=self._checks_capacity,
        )
        self.capacity, self.warning = prepared.capacity, prepared.warning
        return prepared.chain

    def _sum_up(self) -> None:
        """Keep what is to be told after the end, once the recording is complete."""
        self._turnover.chain.finish_recording()
        with suppress(LifecycleError):  # the program released the processor, and its own error must not be covered
            self._last = self.stats()

    def _reopen(self) -> tuple[AudioStream, dict[EventKind, str]]:
        settings = (self._wishes, self._asked, self.latency)
        again = reopen_stream(*settings, self._allows_feedback, self._end.is_set, self._clock)
        self._asked, self._calibration = again.asked, again.calibration
        self.input, self.output = again.asked.input, again.asked.output
        return again.stream, again.news

    def _run(self, pump: Pump) -> None:
        try:
            pump.run()
        except Exception as error:  # the outermost place of this thread: kept for `error` and `wait`
            self._error = error
        finally:
            self._stopped.set()

    def _require_started(self) -> Pump:
        if self._pump is None:
            raise LifecycleError("the session has not started: use it as a context manager, or call start")
        return self._pump
