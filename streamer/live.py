"""A live session: what a device hears goes through a processor and a mixer and is played while it comes."""

from __future__ import annotations

import math
import threading
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Literal, Self

from engine.errors import ConfigurationError, DeviceError, LifecycleError
from streamer.audio.callback_stream import CallbackStream
from streamer.audio.devices import Device, find_pair, list_devices
from streamer.audio.portaudio import mixer_library
from streamer.audio.rtmixer_stream import RtmixerStream
from streamer.audio.stream import AudioStream, StreamFormat
from streamer.file_session import Clock
from streamer.interpreter import SWITCH_INTERVAL_S, calm_interpreter
from streamer.live_stats import LiveLatency, LiveStats
from streamer.mixer import Mixer
from streamer.operating_point import Host
from streamer.output_map import OutputMap
from streamer.processor import StemProcessor
from streamer.pump import Pump

__all__ = ["LiveSession", "default_ring_blocks", "open_stream"]

Engine = Literal["auto", "rtmixer", "callback"]

_RING_S = 0.016
"""Longer than a thread that runs Python keeps the interpreter, and than a busy system mostly keeps a thread waiting."""
_MAX_RING_S = 1.0
_JUMP_S = 0.25
"""What has piled up for longer is no live sound any more, and playing through it would only keep the model busy."""
_CLOSE_S = 2.0


class LiveSession:
    """Separates what a device hears and plays the mix of the stems, from ``with`` to the end of its block.

    Parameters
    ----------
    processor : StemProcessor
        With ``realtime=True``; prepared when the session begins and released when it ends.
    source : str or int
        ``mic``, ``mic:NAME``, ``mic:3``, ``loopback``, ``loopback:NAME``, or a number of ``list_devices``.
    output : str, int or None
        Name or number of a device on the same clock; None for the default, or the input's own device.
    sample_rate : int, optional
        In Hz; left out, the input's default.
    block_frames : int
        What is moved at once.
    ring_blocks : int, optional
        Blocks between the capture of a block and its return to the device: the time the program has to move it. Left
        out: what `default_ring_blocks` gives.
    outputs : OutputMap, optional
        What is played on which channel of the output; left out, the mix on its first two.
    device_latency : {"low", "high"} or float
        What is asked of the driver, in seconds where it is a number.
    engine : {"auto", "rtmixer", "callback"}
        rtmixer has a callback in C; the other one, in Python, is for where rtmixer does not run.
    waits_for_device : bool
        True: when the device is lost, ``error`` says so, and it is opened again when it is back. False: the session
        ends.
    switch_interval_s, freezes : float or None, bool
        As for ``calm_interpreter``: settings of the whole process, put back at the end.
    clock : Clock, optional
        Left out: the machine's own.

    Attributes
    ----------
    mixer : Mixer
        Gain, mute and solo of each stem; any thread, from ``start`` on.
    input, output : Device
        The devices in use, from ``start`` on.

    Raises
    ------
    ConfigurationError
        If a value is not allowed.

    Notes
    -----
    A thread of the session's own moves the blocks and is the only one that touches the processor until the session
    ends. ``stats``, ``error`` and ``mixer`` may be used from any thread, ``start`` and ``close`` from the one that
    made it.

    Examples
    --------
    Needs a sound device:

    >>> processor = StemProcessor(load_separator("spatial"), realtime=True)  # doctest: +SKIP
    >>> with LiveSession(processor, source="mic") as session:  # doctest: +SKIP
    ...     session.mixer["vocals"].mute = True
    ...     session.wait(10.0)
    """

    mixer: Mixer
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
        ring_blocks: int | None = None,
        outputs: OutputMap | None = None,
        device_latency: Literal["low", "high"] | float = "low",
        engine: Engine = "auto",
        waits_for_device: bool = True,
        switch_interval_s: float | None = SWITCH_INTERVAL_S,
        freezes: bool = True,
        clock: Clock | None = None,
    ) -> None:
        if not processor.is_realtime:
            raise ConfigurationError("a live session cannot wait for the model: make its processor with realtime=True")
        if engine not in ("auto", "rtmixer", "callback"):
            raise ConfigurationError(f"engine={engine!r} is not known: use auto, rtmixer or callback")
        self._processor = processor
        self._wishes = (source, output)
        self._sample_rate = sample_rate
        self._block_frames = block_frames
        self._ring_blocks = ring_blocks
        self._outputs = outputs
        self._device_latency = device_latency
        self._engine: Engine = engine
        self._waits_for_device = waits_for_device
        self._interpreter = (switch_interval_s, freezes)
        self._clock = clock
        self._end = threading.Event()
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self._pump: Pump | None = None
        self._last: LiveStats | None = None
        self._exits = ExitStack()

    def start(self) -> Self:
        """Open the device, prepare the processor and begin.

        Raises
        ------
        DeviceError
            If a device cannot be found or opened.
        ConfigurationError, LatencyError
            As ``StemProcessor.prepare`` does.
        LifecycleError
            If it was started before.
        """
        if self._pump is not None or self._end.is_set():
            raise LifecycleError("a session starts once: make another one")
        with ExitStack() as exits:
            exits.callback(self._end.set)
            asked = self._format(*find_pair(list_devices(), *self._wishes))
            stream = open_stream(asked, self._engine, clock=self._clock)
            exits.callback(lambda: (stream if self._pump is None else self._pump.stream).close(_CLOSE_S))
            self._prepare(asked)
            exits.callback(self._processor.release)
            exits.enter_context(calm_interpreter(self._interpreter[0], freezes=self._interpreter[1]))
            self._asked = asked
            self._pump = Pump(
                stream,
                self._processor,
                self.mixer,
                block_frames=asked.block_frames,
                output_channels=asked.output_channels,
                jump_frames=max(round(_JUMP_S * asked.sample_rate), 2 * asked.ring_frames),
                end=self._end,
                clock=self._clock,
                reopen=self._reopen if self._waits_for_device else None,
            )
            stream.start()
            thread = threading.Thread(target=self._run, args=(self._pump,), name="stemstream-pump", daemon=True)
            thread.start()
            exits.callback(self._remember)
            exits.callback(thread.join, _CLOSE_S)
            exits.callback(self._end.set)
            self._exits = exits.pop_all()
        return self

    def stop(self) -> None:
        """Ask the session to end; any thread. ``wait`` returns then, and ``close`` still has to follow."""
        self._end.set()

    def close(self) -> None:
        """End the sound, let go of the device and put the interpreter's settings back; a second call does nothing."""
        self._end.set()
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

    @property
    def error(self) -> Exception | None:
        """Why there is no sound; None while all is well."""
        if self._error is not None or self._pump is None:
            return self._error
        return self._pump.error

    @property
    def latency(self) -> LiveLatency:
        """The latency that is promised, by parts; the device's as its driver states it."""
        pump = self._require_started()
        if self._last is not None:
            return self._last.latency
        device = pump.stream.latency
        return LiveLatency(device.input_frames, self._asked.ring_frames, self._processor.latency, device.output_frames)

    def stats(self) -> LiveStats:
        """Count what happened since the session began; makes a snapshot, and gives the last one after ``close``."""
        pump = self._require_started()
        if self._last is not None:
            return self._last
        return LiveStats.of(pump.counters, pump.stream_counters, self.latency, self._processor.stats())

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _format(self, heard: Device, played: Device) -> StreamFormat:
        self.input, self.output = heard, played
        rate = heard.default_sample_rate if self._sample_rate is None else self._sample_rate
        channels = min(2, heard.max_input_channels, self._processor.spec.channels)
        Host(rate, channels, self._block_frames, fixed_blocks=True, realtime=True)
        ring = default_ring_blocks(rate, self._block_frames) if self._ring_blocks is None else self._ring_blocks
        most = max(2, math.floor(_MAX_RING_S * rate / self._block_frames))
        if not isinstance(ring, int) or isinstance(ring, bool) or not 1 <= ring <= most:
            raise ConfigurationError(f"ring_blocks={ring!r} is not supported: give a whole number from 1 to {most}")
        if self._outputs is None:
            # One channel goes to both loudspeakers.
            self._outputs = OutputMap.of_mix(min(2, played.max_output_channels))
        return StreamFormat(
            heard,
            played,
            rate,
            channels,
            self._outputs.device_channels,
            self._block_frames,
            ring,
            self._device_latency,
        )

    def _prepare(self, asked: StreamFormat) -> None:
        self._processor.prepare(
            sample_rate=asked.sample_rate,
            channels=asked.input_channels,
            max_block_frames=asked.block_frames,
            fixed_blocks=True,
        )
        self.mixer = Mixer(
            self._processor.stems,
            channels=asked.input_channels,
            sample_rate=asked.sample_rate,
            max_block_frames=asked.block_frames,
            outputs=self._outputs,
        )

    def _reopen(self) -> AudioStream:
        try:
            devices = list_devices(refreshes=True)
        except LifecycleError:
            # Another session holds PortAudio; what it lists is all there is to choose from.
            devices = list_devices()
        heard, played = find_pair(devices, *self._wishes)
        stream = open_stream(replace(self._asked, input=heard, output=played), self._engine, clock=self._clock)
        try:
            stream.start()
        except DeviceError:
            stream.close(_CLOSE_S)
            raise
        self.input, self.output = heard, played
        return stream

    def _run(self, pump: Pump) -> None:
        try:
            pump.run()
        except Exception as error:  # the outermost place of this thread: kept for `error` and `wait`
            self._error = error
        finally:
            self._stopped.set()

    def _remember(self) -> None:
        self._last = self.stats()

    def _require_started(self) -> Pump:
        if self._pump is None:
            raise LifecycleError("the session has not started: use it as a context manager, or call start")
        return self._pump


def default_ring_blocks(sample_rate: int, block_frames: int) -> int:
    """Give a depth of the ring that rides out what other threads do: 16 ms, and at least two blocks."""
    return max(2, math.ceil(_RING_S * sample_rate / block_frames))


def open_stream(asked: StreamFormat, engine: Engine = "auto", *, clock: Clock | None = None) -> AudioStream:
    """Open a stream whose callback is C, or Python where rtmixer does not run.

    Raises
    ------
    DeviceError
        If a part is missing or the device refuses what is asked.
    """
    if engine == "callback":
        return CallbackStream(asked, clock=clock)
    try:
        mixer_library()
    except DeviceError:
        if engine == "rtmixer":
            raise
        return CallbackStream(asked, clock=clock)
    return RtmixerStream(asked, clock=clock)
