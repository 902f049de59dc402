"""Probes go the way of a live session, in virtual time: what is measured is what the device has."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from engine.errors import DeviceLostError, LifecycleError
from streamer.audio.callback_stream import CallbackStream
from streamer.audio.probe import ProbeSignal
from streamer.audio.simulated_stream import SimulatedStream
from streamer.audio.stream import AudioStream, StreamFormat
from streamer.probe_run import run_probes
from streamer.round_trip import Promise, RoundTrip
from streamer.testing import VirtualClock
from tests.streamer.round_trips import BLOCK, RATE, RING, chain_of
from tests.streamer.scripted_device import LOOP, ScriptedDevice, sounddevice_of

ASKED = StreamFormat(LOOP, LOOP, RATE, 2, 2, BLOCK, RING // BLOCK)


def measured(stream: AudioStream, clock: VirtualClock, *, claimed: int, rate: int = RATE, **options: Any) -> RoundTrip:
    chain = chain_of(clock, rate=rate)
    stated = stream.latency
    promise = Promise(
        claimed, "stated by driver", stated.input_frames, stated.output_frames, RING, chain.processor.latency
    )
    signal = ProbeSignal(sample_rate=options.pop("signal_rate", rate))
    try:
        return run_probes(stream, chain, signal, promise=promise, block_frames=BLOCK, input_channels=2, **options)
    finally:
        chain.release()


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> ScriptedDevice:
    """Loops back after 96 frames, whatever it states."""
    device = ScriptedDevice()
    monkeypatch.setitem(sys.modules, "sounddevice", sounddevice_of(device))
    return device


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize("around", [(0, 0), (96, 160), (1000, 20_000)])
def test_measured_is_promised_where_the_device_has_what_it_states(rate: int, around: tuple[int, int]) -> None:
    clock = VirtualClock(rate)
    stream = SimulatedStream(
        channels=2,
        block_frames=BLOCK,
        ring_frames=RING,
        input_frames=around[0],
        output_frames=around[1],
        passes=clock.advance,
    )
    trip = measured(stream, clock, claimed=sum(around), rate=rate)
    assert {each.total_frames for each in trip.trips} == {trip.promise.total_frames}
    assert (trip.difference_frames, trip.xruns) == (0, ())
    assert trip.ring is not None
    assert (trip.ring.shortest_ring_frames, trip.ring.longest_ring_frames) == (RING, RING)


def test_a_driver_that_states_too_much_is_found_out(device: ScriptedDevice) -> None:
    stream = CallbackStream(ASKED, clock=device)
    trip = measured(stream, device.clock, claimed=200)
    stream.close(1.0)
    assert (trip.found, trip.difference_frames, trip.xruns) == (20, 96 - 200, ())
    assert trip.device is not None
    assert (trip.device.min_frames, trip.device.max_frames) == (96, 96)


def test_what_is_heard_does_not_go_back_into_the_processor(device: ScriptedDevice) -> None:
    stream = CallbackStream(ASKED, clock=device)
    trip = measured(stream, device.clock, claimed=96)
    played = device.played
    stream.close(1.0)
    signal = ProbeSignal(sample_rate=RATE)
    late = RING + trip.promise.processor.total_frames
    heard_again = played[:, signal.frames + late :]
    assert trip.found == 20
    assert abs(played).max() > 0.1
    assert not heard_again.any()


def test_being_held_up_is_an_xrun_at_its_frame_and_costs_the_probes_beside_it(device: ScriptedDevice) -> None:
    stream = CallbackStream(ASKED, clock=device)
    device.events[48_000] = lambda: device.advance(10_240)
    trip = measured(stream, device.clock, claimed=96)
    stream.close(1.0)
    assert 10 <= trip.found < 20
    assert {each.total_frames for each in trip.trips if each.total_frames is not None} == {trip.promise.total_frames}
    kinds = {xrun.kind for xrun in trip.xruns}
    assert kinds == {"underrun"}
    assert all(48_000 - BLOCK <= xrun.frame <= 48_000 + 10_240 for xrun in trip.xruns)


def test_captured_frames_that_were_thrown_away_move_nothing(device: ScriptedDevice) -> None:
    stream = CallbackStream(ASKED, clock=device)
    device.events[48_000] = lambda: device.advance(24_064)
    trip = measured(stream, device.clock, claimed=96)
    stream.close(1.0)
    assert "overflow" in {xrun.kind for xrun in trip.xruns}
    assert 5 <= trip.found < 18
    assert {each.total_frames for each in trip.trips if each.total_frames is not None} == {trip.promise.total_frames}


def test_a_device_that_gives_silence_gives_no_result(device: ScriptedDevice) -> None:
    device.delay = 10 * RATE
    stream = CallbackStream(ASKED, clock=device)
    trip = measured(stream, device.clock, claimed=96)
    stream.close(1.0)
    assert (trip.found, trip.total, trip.device) == (0, None, None)


def test_a_device_that_stops_ends_it(device: ScriptedDevice) -> None:
    stream = CallbackStream(ASKED, clock=device)
    device.events[48_000] = lambda: setattr(device, "is_alive", False)
    with pytest.raises(DeviceLostError, match="stood still"):
        measured(stream, device.clock, claimed=96)
    stream.close(1.0)


def test_the_progress_comes_to_its_end(device: ScriptedDevice) -> None:
    stream = CallbackStream(ASKED, clock=device)
    told: list[float] = []
    measured(stream, device.clock, claimed=96, progress=lambda progress: told.append(progress.fraction))
    stream.close(1.0)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_signal_of_another_rate_is_refused(device: ScriptedDevice) -> None:
    stream = CallbackStream(ASKED, clock=device)
    with pytest.raises(LifecycleError, match="44100"):
        measured(stream, device.clock, claimed=96, signal_rate=44_100)
    stream.close(1.0)
