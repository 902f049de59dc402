"""Opening an input and an output that run on two clocks, each in a stream of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Literal

from engine.errors import DeviceError
from streamer.audio.capture import Capture
from streamer.audio.opening import OneWay
from streamer.audio.playback import CallbackPlayback, RtmixerPlayback
from streamer.audio.portaudio import mixer_library
from streamer.audio.portaudio_capture import CallbackCapture, RtmixerCapture
from streamer.audio.stream import StreamFormat
from streamer.audio.two_clock_stream import TwoClockStream
from streamer.file_session import Clock

__all__ = ["open_two_clock_stream"]

_CLOSE_S = 2.0


def open_two_clock_stream(
    asked: StreamFormat,
    capture: Capture | None = None,
    engine: Literal["auto", "rtmixer", "callback"] = "auto",
    *,
    should_stop: Callable[[], bool] | None = None,
    clock: Clock | None = None,
) -> TwoClockStream:
    """Open an input and an output that run on two clocks.

    Parameters
    ----------
    asked : StreamFormat
    capture : Capture, optional
        Not started; closed with the stream. Left out: the input asked for, at the session's rate or its own.
    engine : {"auto", "rtmixer", "callback"}
        As for ``open_stream``.
    should_stop : callable, optional
        As for `TwoClockStream`.
    clock : Clock, optional
        Left out: the machine's own.

    Raises
    ------
    DeviceError
        If a part is missing or a device refuses what is asked.
    """
    is_c = engine != "callback"
    if is_c:
        try:
            mixer_library()
        except DeviceError:
            if engine == "rtmixer":
                raise
            is_c = False
    with ExitStack() as opened:
        if capture is None:
            capture = _opened_input(asked, RtmixerCapture if is_c else CallbackCapture)
        opened.callback(capture.close, _CLOSE_S)
        way = OneWay(
            "output", asked.output, asked.sample_rate, asked.output_channels, asked.block_frames, asked.device_latency
        )
        playback = RtmixerPlayback(way, asked.ring_frames) if is_c else CallbackPlayback(way, asked.ring_frames)
        opened.callback(playback.close, _CLOSE_S)
        stream = TwoClockStream(asked, capture, playback, should_stop=should_stop, clock=clock)
        opened.pop_all()
    return stream


def _opened_input(asked: StreamFormat, kind: type[RtmixerCapture] | type[CallbackCapture]) -> Capture:
    device = asked.input
    way = OneWay("input", device, asked.sample_rate, asked.input_channels, asked.block_frames, asked.device_latency)
    try:
        return kind(way)
    except DeviceError:
        own = device.default_sample_rate
        if own == asked.sample_rate:
            raise
        return kind(
            replace(way, sample_rate=own, block_frames=max(1, round(asked.block_frames * own / asked.sample_rate)))
        )
