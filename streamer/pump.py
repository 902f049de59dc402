"""The loop that moves blocks from a stream through a chain and back, and outlives the device."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine.errors import DeviceError, DeviceLostError
from engine.priority import PUMP_LEVEL, PriorityReport, raise_priority
from streamer.audio.stamps import BlockStamps, StampedStream
from streamer.audio.stream import AudioStream, StreamCounters
from streamer.clock_watch import ClockWatch, CountingStream
from streamer.events import Event, EventKind, EventLog
from streamer.file_session import Clock, WallClock
from streamer.late_watch import LateWatch
from streamer.silence_watch import SILENCE_S, SilenceWatch

__all__ = ["BlockSource", "Pump", "PumpCounters", "Reopen"]

F32 = npt.NDArray[np.float32]
Reopen = Callable[[], tuple[AudioStream, dict[EventKind, str]]]
"""Gives a stream in place of one that was lost, open and started, with what is to be told of it."""

_WAIT_S = 0.1
_RETRY_S = 0.5
_CLOSE_S = 2.0
_ANSWER_S = 10.0
"""More than it takes to close a device that hangs and to begin another one, each of which has an end of its own."""
_FADE_S = 0.01


class BlockSource(Protocol):
    """What a pump plays: a `Turnover` of what is heard, or a player. The pump's thread calls it."""

    def process(self, block: F32) -> F32:
        """Take a block, shape (input channels, block), and give one, (device channels, block), until the next call."""
        ...

    def restart(self, skipped_frames: int) -> None:
        """Begin anew after frames of the input were lost."""
        ...

    def finish(self) -> None:
        """Hear that nothing is heard at the moment, so that there is nothing to fade."""
        ...


@dataclass(frozen=True)
class PumpCounters:
    """What a pump did.

    Attributes
    ----------
    blocks, frames : int
        Moved.
    epochs : int
        Streams that were begun: 1, and one more for each jump of the device's clock and each return of the device.
    skipped_frames : int
        Captured frames that were thrown away at jumps.
    returns : int
        Times that the device was lost and came back.
    """

    blocks: int = 0
    frames: int = 0
    epochs: int = 1
    skipped_frames: int = 0
    returns: int = 0


class Pump:
    """Moves blocks; the one thread that calls ``run`` or ``step`` is the one that touches the chains.

    What is to be told becomes an event: nothing is logged here, since a log may be written to where nobody reads.

    Parameters
    ----------
    stream : AudioStream
        Open and started.
    turnover : BlockSource
        The chain in use, and the one that may take over from it.
    sample_rate, block_frames : int
    ring_frames : int
        From the capture of a block to its place in the output.
    jump_frames : int
        Where more captured frames wait than these, the device's clock counts as jumped: what waits is thrown away and
        a new epoch begins. So it does where the device has counted so many fewer than time has passed.
    end : threading.Event
        Ends the loop.
    events : EventLog
        Told of jumps, of losses of the device, of an input that gives nothing, and of a ring that is too short.
    reopen : callable, optional
        As `Reopen`, or raises DeviceError while there is none. Left out: a lost device ends the loop.
    priority : bool
        Ask for real-time priority for the thread that calls ``run``.
    hears : bool
        False: the stream has no input that could be silent.
    clock : Clock, optional
        Left out: the machine's own.
    """

    def __init__(
        self,
        stream: AudioStream,
        turnover: BlockSource,
        *,
        sample_rate: int,
        block_frames: int,
        ring_frames: int,
        jump_frames: int,
        end: threading.Event,
        events: EventLog,
        reopen: Reopen | None = None,
        priority: bool = False,
        hears: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.stream = stream
        """The stream in use; another one after a device was lost and came back."""
        self.error: DeviceLostError | None = None
        """Why there is no sound at the moment."""
        self.priority: PriorityReport | None = None
        """What became of the priority that was asked for."""
        self.stamps = BlockStamps(sample_rate)
        """When blocks were captured and are played."""
        self._turnover = turnover
        self._sample_rate = sample_rate
        self._ring_frames = ring_frames
        self._jump_frames = jump_frames
        self._end = end
        self._events = events
        self._clock = WallClock() if clock is None else clock
        self._reopen = reopen
        self._wants_priority, self._hears = priority, hears
        self._block_frames = block_frames
        self._thread = threading.Thread()
        self._blocks, self._epochs, self._skipped, self._returns = 0, 1, 0, 0
        self._former = StreamCounters()
        self._late = LateWatch(sample_rate, block_frames, ring_frames)
        self._time, self._xruns = ClockWatch(sample_rate, jump_frames / sample_rate), 0
        self._silence = SilenceWatch(round(SILENCE_S * sample_rate))
        self._fade = np.linspace(1.0, 0.0, max(1, round(_FADE_S * sample_rate)), dtype=np.float32)

    @property
    def counters(self) -> PumpCounters:
        """What was done so far; any thread."""
        return PumpCounters(self._blocks, self._blocks * self._block_frames, self._epochs, self._skipped, self._returns)

    @property
    def stream_counters(self) -> StreamCounters:
        """What went wrong in all streams so far; any thread."""
        return self._former + self.stream.counters

    def run(self) -> None:
        """Move blocks until the session ends.

        Raises
        ------
        DeviceLostError
            If the device is lost and cannot be opened again.
        Exception
            What the processor or the mixer raises: a fault of the program.
        """
        if self._wants_priority:
            self.priority = raise_priority("pump", PUMP_LEVEL)
        while not self._end.is_set():
            try:
                self.step()
            except DeviceLostError as lost:
                self.error = lost
                if self._reopen is None:
                    raise
                self._tell("lost", str(lost))
                self._recover(self._reopen)
        if self.error is None:
            self._fade_out()

    def begin(self, run: Callable[[Pump], None]) -> None:
        """Begin a thread that calls ``run`` with this pump."""
        self._thread = threading.Thread(target=run, args=(self,), name="stemstream-pump", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for that thread, once its end was asked for, so that all it uses can be let go of.

        Raises
        ------
        DeviceLostError
            If a device holds it up.
        """
        frames = self._ring_frames + self._block_frames + len(self._fade) + self.stream.latency.output_frames
        allowed_s = _ANSWER_S + frames / self._sample_rate
        self._thread.join(allowed_s)
        if self._thread.is_alive():
            raise DeviceLostError(
                f"the device has held up the session for {allowed_s:.0f} s, so that it cannot end: leave the program"
            )

    def step(self) -> bool:
        """Move one block, if one comes within a tenth of a second; tells whether one did."""
        skipped = self.stream.catch_up(self._jump_frames)
        if skipped:
            self._skipped += skipped
            self._time.restart()
            self._begin_epoch(skipped)
            lost_ms = 1000 * skipped / self._sample_rate
            self._tell("jump", f"the program was held up, or the machine slept: {lost_ms:.0f} ms of input were skipped")
        if not self.stream.wait(_WAIT_S):
            return False
        self._watch_time()
        self._move(self.stream.read())
        return True

    def _watch_time(self) -> None:
        """Begin a new epoch where the device stood while time went on."""
        stream = self.stream
        if not isinstance(stream, CountingStream):
            return
        if not self._time.is_suspecting:
            self._xruns = stream.counters.xruns
        stood_s = self._time.look(stream.device_frames, self._clock.now())
        if not stood_s:
            return
        frames = round(stood_s * self._sample_rate)
        # Where the driver told of it too, it is counted already.
        is_new = stream.counters.xruns == self._xruns
        self._former = self._former + StreamCounters(underruns=int(is_new), lost_input_frames=frames)
        self._begin_epoch(frames)
        self._tell(
            "jump", f"the device stood still, or the machine slept: {1000 * stood_s:.0f} ms of sound are missing"
        )

    def _move(self, block: F32) -> None:
        if self._hears and self._silence.hear(block):
            self._tell("silent", f"the input has given nothing but digital silence for {SILENCE_S:g} s")
        self._write(self._turnover.process(block))

    def _write(self, block: F32) -> None:
        stream = self.stream
        stream.write(block)
        self._blocks += 1
        if isinstance(stream, StampedStream):
            self.stamps.stamp(stream.captured_frame, stream.rendered_frame, stream.margin_frames)
            if needed := self._late.look(stream.margin_frames):
                self._tell(
                    "late",
                    f"most blocks come too late to be played: the ring of {self._ring_frames} frames is shorter than "
                    f"the device's period; use --ring-blocks {needed} (ring_blocks={needed}), or longer blocks",
                )

    def _fade_out(self) -> None:
        """Let the sound end without a click, and wait until the end has been played."""
        done, length = 0, len(self._fade)
        patience_s = _WAIT_S + self._block_frames / self._sample_rate
        try:
            while done < length and self.stream.wait(patience_s):
                mixed = self._turnover.process(self.stream.read())
                n = min(self._block_frames, length - done)
                for row in mixed:
                    row[:n] *= self._fade[done : done + n]
                    row[n:] = 0.0
                self._write(mixed)
                done += n
        except DeviceLostError:
            return
        left = self._ring_frames + self.stream.latency.output_frames
        self._clock.sleep_until(self._clock.now() + left / self._sample_rate)

    def _begin_epoch(self, skipped_frames: int) -> None:
        self._turnover.restart(skipped_frames)
        self._epochs += 1

    def _tell(self, kind: EventKind, text: str) -> None:
        self._events.add(Event(kind, self._blocks * self._block_frames, text))

    def _recover(self, reopen: Reopen) -> None:
        """Try to open the device again until it is there or the session ends."""
        self.stream.close(_CLOSE_S)
        told = ""
        while not self._end.is_set():
            # Nothing is heard, so there is nothing to fade.
            self._turnover.finish()
            self._clock.sleep_until(self._clock.now() + _RETRY_S)
            try:
                stream, news = reopen()
            except DeviceError as error:
                if isinstance(error, DeviceLostError):
                    raise
                if str(error) != told and not self._end.is_set():
                    told = str(error)
                    self.error = DeviceLostError(f"the device was not taken up again: {told}")
                    self._tell("lost", str(self.error))
                continue
            self._former, self.stream = self.stream_counters, stream
            if self._end.is_set():
                # Nobody waits for it any more.
                stream.close(_CLOSE_S)
                return
            self._returns += 1
            self._time.restart()
            self._begin_epoch(0)
            self.error = None
            for kind, text in news.items():
                self._tell(kind, text)
            return
