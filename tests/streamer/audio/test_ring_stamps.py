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


@pytest.mark.parametrize("ahead", [64, 128])
def test_an_output_that_is_out_of_line_with_its_input_is_seen_in_the_stamps(
    monkeypatch: pytest.MonkeyPatch, device: ScriptedDevice, ahead: int
) -> None:
    stream = RtmixerStream(ASKED, clock=device)
    stream.start()
    for _ in range(3):
        move(stream)
    # The device takes frames of the output for which it brings none of the input.
    stream._playback.buffer.read_index += ahead
    move(stream)
    for _ in range(3):
        captured, rendered, _ = move(stream)
        assert rendered - captured == RING - ahead


def test_a_fault_that_only_the_driver_knows_of_counts_once(device: ScriptedDevice) -> None:
    stream = RtmixerStream(ASKED, clock=device)
    stream.start()
    stream._recording.stats.input_overflows = 7
    for _ in range(3):
        move(stream)
    # What the driver told of while it began is no fault.
    assert stream.counters.xruns == 0
    stream._recording.stats.input_overflows += 2
    move(stream)
    stream._recording.stats.output_underflows += 1
    move(stream)
    assert (stream.counters.xruns, stream.counters.device_flags) == (1, 10)
    move(stream)
    stream._recording.stats.output_underflows += 1
    move(stream)
    assert stream.counters.xruns == 2


def test_a_late_block_of_which_the_driver_tells_too_counts_once(device: ScriptedDevice) -> None:
    stream = RtmixerStream(ASKED, clock=device)
    stream.start()
    move(stream)
    assert stream.wait(1.0)
    block = stream.read()
    device.advance(RING)
    stream._recording.stats.output_underflows += 1
    stream.write(block)
    assert stream.counters.xruns == 1


def test_a_pump_that_nobody_ran_has_not_lost_its_device(stream: RingStream, device: ScriptedDevice) -> None:
    move(stream)
    # Time passes while neither the program nor the device goes on.
    device.is_alive = False
    device.advance(5 * RATE)
    device.is_alive = True
    move(stream)
