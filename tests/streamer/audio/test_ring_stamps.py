"""Streams tell where their blocks lie on the device's clock, on time or late, and after they were aligned anew."""

from __future__ import annotations

import sys

import pytest

from streamer.audio.callback_stream import CallbackStream
from streamer.audio.ring_stream import RingStream
from streamer.audio.rtmixer_stream import RtmixerStream
from streamer.audio.stamps import StampedStream
from streamer.audio.stream import StreamFormat
from tests.streamer.scripted_device import LOOP, RATE, ScriptedDevice, sounddevice_of
from tests.streamer.scripted_rtmixer import rtmixer_of

BLOCK, RING = 256, 768
ASKED = StreamFormat(LOOP, LOOP, RATE, 2, 2, BLOCK, RING // BLOCK)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> ScriptedDevice:
    device = ScriptedDevice(period=64)
    monkeypatch.setitem(sys.modules, "sounddevice", sounddevice_of(device))
    monkeypatch.setitem(sys.modules, "rtmixer", rtmixer_of(device))
    return device


@pytest.fixture(params=[CallbackStream, RtmixerStream])
def stream(request: pytest.FixtureRequest, device: ScriptedDevice) -> RingStream:
    opened: RingStream = request.param(ASKED, clock=device)
    opened.start()
    return opened


def move(stream: RingStream) -> tuple[int, int, int]:
    assert stream.wait(1.0)
    block = stream.read()
    stream.write(block)
    return stream.captured_frame, stream.rendered_frame, stream.margin_frames


def test_a_stream_on_rings_is_stamped(stream: RingStream) -> None:
    assert isinstance(stream, StampedStream)


def test_a_block_that_is_on_time_lies_a_ring_after_its_capture(stream: RingStream) -> None:
    for number in range(5):
        captured, rendered, margin = move(stream)
        assert (captured, rendered) == (number * BLOCK, number * BLOCK + RING)
        assert RING - BLOCK - 64 <= margin <= RING - BLOCK


def test_a_block_that_is_late_keeps_its_place_and_tells_by_how_much(stream: RingStream, device: ScriptedDevice) -> None:
    move(stream)
    assert stream.wait(1.0)
    block = stream.read()
    device.advance(RING)
    stream.write(block)
    assert (stream.captured_frame, stream.rendered_frame) == (BLOCK, BLOCK + RING)
    assert -BLOCK - 64 <= stream.margin_frames < 0


def test_frames_that_were_thrown_away_count(stream: RingStream, device: ScriptedDevice) -> None:
    move(stream)
    device.advance(10_240)
    skipped = stream.catch_up(4_096)
    assert skipped > 4_096
    captured, rendered, _ = move(stream)
    assert (captured, rendered) == (BLOCK + skipped, BLOCK + skipped + RING)
