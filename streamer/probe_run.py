"""Measuring the latency: probes take the place of the device's sound, and are looked for when they come back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.errors import LifecycleError
from engine.progress import Progress, ProgressCallback
from streamer.audio.probe import ProbeSignal, find_probes
from streamer.audio.stamps import BlockStamps, StampedStream
from streamer.audio.stream import AudioStream, StreamCounters
from streamer.chain import Chain
from streamer.round_trip import Promise, RoundTrip, Trip, Xrun

__all__ = ["run_probes"]

F32 = npt.NDArray[np.float32]

_SPAN_S, _BEFORE_S = 1.0, 0.25
"""Delays that are looked for, and how many of them lie below what ring and processor promise."""
_WAIT_S = 0.1
_JUMP_S = 0.25


def run_probes(
    stream: AudioStream,
    chain: Chain,
    signal: ProbeSignal,
    *,
    promise: Promise,
    block_frames: int,
    input_channels: int,
    progress: ProgressCallback | None = None,
) -> RoundTrip:
    """Send probes the whole way and tell when each came back.

    The loop is the one of a live session, but what the processor is given is the signal, at the frames of the
    device's clock, in place of what was captured. A probe that was put in as frame n goes through processor, mixer,
    ring and device, and is found in the capture at n plus the whole latency. Since the captured sound goes nowhere,
    nothing can howl.

    Parameters
    ----------
    stream : AudioStream
        Open, not started; it is left running.
    chain : Chain
        Processor and mixer, for ``block_frames``.
    signal : ProbeSignal
    promise : Promise
        What is claimed; only where probes are looked for depends on it.
    block_frames, input_channels : int
    progress : callable, optional
        Called for each block; an exception from it ends the measurement.

    Raises
    ------
    LifecycleError
        If the processor is not prepared for the rate of the signal.
    DeviceLostError
        If the device stops.
    """
    if promise.sample_rate != signal.sample_rate:
        raise LifecycleError(
            f"the processor runs at {promise.sample_rate} Hz, the signal at {signal.sample_rate}: make them alike"
        )
    rate = signal.sample_rate
    # Slow rates have longer chirps further apart, fast ones the same in seconds: the span fits either way.
    span = min(signal.reach_frames, round(_SPAN_S * rate))
    before = round(_BEFORE_S * rate)
    first_total = max(0, promise.moving_frames + promise.processor.total_frames - before)
    first_processor = max(0, promise.processor.total_frames - before)
    needed = signal.frames + first_total + span
    tracks = _Tracks(signal, needed, block_frames, input_channels)
    stamps = BlockStamps(rate)
    stamped = stream if isinstance(stream, StampedStream) else None
    xruns: list[Xrun] = []
    counted = stream.counters
    jump_frames = max(round(_JUMP_S * rate), 2 * promise.moving_frames)
    stream.start()
    frame = 0
    while frame < needed:
        if skipped := stream.catch_up(jump_frames):
            frame += skipped
            chain.restart(skipped)
            if frame >= needed:
                break
        if not stream.wait(_WAIT_S):
            continue
        tracks.hear(frame, stream.read())
        mixed = chain.process(tracks.to_send(frame))
        stream.write(mixed)
        tracks.keep_mixed(frame, mixed)
        if stamped is not None:
            stamps.stamp(stamped.captured_frame, stamped.rendered_frame, stamped.margin_frames)
        counted, before_it = stream.counters, counted
        if counted != before_it:
            xruns += _new_xruns(frame, before_it, counted)
        frame += block_frames
        if progress is not None:
            done = min(1.0, frame / needed)
            progress(Progress(done, (needed - min(frame, needed)) / rate))
    arrived = find_probes(tracks.heard, signal, earliest_frames=first_total, span_frames=span)
    left = find_probes(tracks.mixed, signal, earliest_frames=first_processor, span_frames=span)
    trips = (
        Trip(heard.sent_frame, heard.delay_frames, mixed_out.delay_frames, heard.strength)
        for heard, mixed_out in zip(arrived, left, strict=True)
    )
    return RoundTrip(
        promise,
        block_frames,
        frame,
        tuple(trips),
        None if stamped is None else stamps.snapshot(),
        tuple(xruns),
        chain.processor.stats(),
    )


class _Tracks:
    """What is sent, what leaves the mixer and what is heard, on one axis; all made before the sound begins."""

    def __init__(self, signal: ProbeSignal, frames: int, block_frames: int, input_channels: int) -> None:
        # A block may begin on the last frame.
        length = frames + block_frames
        self.heard = np.zeros((input_channels, length), np.float32)
        self.mixed = np.zeros((1, length), np.float32)
        self._sent = np.zeros((input_channels, length), np.float32)
        self._sent[:, : signal.frames] = signal.render()
        self._block_frames = block_frames

    def to_send(self, frame: int) -> F32:
        return self._sent[:, frame : frame + self._block_frames]

    def hear(self, frame: int, block: F32) -> None:
        self.heard[:, frame : frame + self._block_frames] = block

    def keep_mixed(self, frame: int, block: F32) -> None:
        self.mixed[0, frame : frame + self._block_frames] = block[0]


def _new_xruns(frame: int, before: StreamCounters, after: StreamCounters) -> list[Xrun]:
    """Tell what one block brought."""
    found = []
    if after.underruns > before.underruns or after.lost_output_frames > before.lost_output_frames:
        found.append(Xrun(frame, "underrun", after.lost_output_frames - before.lost_output_frames))
    if after.overflows > before.overflows:
        found.append(Xrun(frame, "overflow", after.lost_input_frames - before.lost_input_frames))
    if after.device_flags > before.device_flags:
        found.append(Xrun(frame, "driver", 0))
    return found
