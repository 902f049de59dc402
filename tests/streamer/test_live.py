"""A live session keeps its promise to the frame, keeps time when it is held up, and outlives its device."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from threading import Event
from typing import Any, Literal

import numpy as np
import pytest

from engine.errors import ConfigurationError, DeviceError, DeviceLostError, LatencyError, LifecycleError
from streamer import StemProcessor
from streamer.audio.devices import list_devices
from streamer.audio.stream import StreamFormat
from streamer.chain import Chain
from streamer.events import EventLog
from streamer.live_format import default_ring_blocks, open_stream
from streamer.mixer import Mixer
from streamer.output_map import OutputMap
from streamer.pump import Pump
from streamer.testing import IdentitySeparator
from streamer.turnover import Turnover
from tests.streamer.scripted_device import LOOP, RATE, STATED, ScriptedDevice, sounddevice_of
from tests.streamer.scripted_session import BLOCK, end, processor_on, returned, run, session_on


@pytest.mark.parametrize(("block", "ring"), [(64, 1), (256, 1), (256, 3), (300, 2), (512, 4), (1024, 2)])
def test_the_input_comes_back_after_exactly_the_promised_frames(
    device: ScriptedDevice, block: int, ring: int, engine: str
) -> None:
    session = session_on(device, block_frames=block, ring_blocks=ring, engine=engine)
    run(session, device, 2 * RATE)
    latency = session.latency
    assert latency.parts == {
        "device_input": STATED[0],
        "clock_bridge": 0,
        "ring": ring * block,
        "processor": latency.processor.total_frames,
        "device_output": STATED[1],
    }
    delay = latency.total_frames - sum(STATED)
    assert returned(device, delay).all()
    assert not device.kept[:, :delay].any()
    stats = session.stats()
    assert (stats.xruns, stats.lost_frames, stats.epochs, stats.processor.coverage) == (0, 0, 1, 1.0)
    assert stats.frames == stats.blocks * block
    assert stats.as_dict()["latency"]["total_frames"] == latency.total_frames


def test_a_muted_stem_is_taken_away(device: ScriptedDevice) -> None:
    session = session_on(device)
    with session:
        session.mixer["drums"].mute = True
        device.events[device.frames + RATE] = lambda: end(session, device)
        session.wait(60.0)
    assert device.sound is not None
    delay = session.latency.total_frames - sum(STATED)
    tail = device.kept[:, -RATE // 2 :]
    begin = device.kept.shape[1] - RATE // 2 - delay
    np.testing.assert_allclose(tail, 0.5 * device.sound[:, begin : begin + RATE // 2], atol=1e-6)


def test_a_block_that_comes_late_is_lost_and_the_next_ones_are_in_their_place(
    device: ScriptedDevice, engine: str
) -> None:
    processor = processor_on(device)
    # Held up for ten blocks with a ring of two, after the rings have gone round once.
    processor.hold = (600, lambda: device.advance(10 * BLOCK))
    session = session_on(device, processor, ring_blocks=2, engine=engine)
    run(session, device, 4 * RATE)
    latency = session.latency.total_frames - sum(STATED)
    lost = ~returned(device, latency)
    stats = session.stats()
    assert (stats.underruns, stats.overflows, stats.epochs) == (1, 0, 1)
    assert stats.lost_output_frames == pytest.approx(9 * BLOCK, abs=2 * BLOCK)
    # What was lost is one stretch, for which silence was played; before and after it every frame is in its place.
    places = np.flatnonzero(lost)
    assert 0 < len(places) <= stats.lost_output_frames
    assert places[-1] - places[0] < stats.lost_output_frames + BLOCK
    assert returned(device, latency, begin=places[-1] + 1).all()
    assert not device.played[:, places + latency].any()


@pytest.mark.parametrize("held_s", [0.5, 1.5, 3.0, 5.0])
def test_after_a_jump_a_new_epoch_keeps_the_promise(device: ScriptedDevice, held_s: float, engine: str) -> None:
    processor = processor_on(device)
    processor.hold = (100, lambda: device.advance(round(held_s * RATE)))
    session = session_on(device, processor, ring_blocks=2, engine=engine)
    run(session, device, round((2.5 + held_s) * RATE))
    stats = session.stats()
    latency = session.latency.total_frames - sum(STATED)
    assert (stats.epochs, stats.overflows) == (2, 1)
    # rtmixer cannot tell what it did not record once its ring of 131,072 frames was full.
    known = min(held_s * RATE, 131_072 if engine == "rtmixer" else 5 * RATE)
    assert stats.skipped_frames == pytest.approx(known, abs=2 * BLOCK)
    assert stats.processor.resets == 1
    held_until = 100 * BLOCK + round(held_s * RATE)
    # Before it was held up it had written so many frames to the ring.
    written = 102 * BLOCK
    assert returned(device, latency, end=written - latency).all()
    assert returned(device, latency, begin=held_until + 10 * BLOCK).all()
    # Nothing of the first epoch is heard in the second, and nothing old of the ring.
    silent = device.played[:, written : held_until + latency - 2 * BLOCK]
    assert silent.shape[1] > 0
    assert not silent.any()


def test_a_device_that_dies_is_told_and_taken_up_again(device: ScriptedDevice, engine: str) -> None:
    seen: list[BaseException | None] = []
    processor = processor_on(device)
    processor.hold = (50, lambda: device.advance(10 * BLOCK))
    session = session_on(device, processor, engine=engine)

    def die() -> None:
        device.is_alive = False

    def revive() -> None:
        seen.append(session.error)
        device.is_alive = True

    device.events = {RATE: die, 4 * RATE: revive}
    run(session, device, 6 * RATE)
    assert isinstance(seen[0], DeviceLostError)
    assert str(seen[0]) == (
        "the device was not taken up again: there is no input device: plug one in or start the sound server, and look "
        "for devices again"
    )
    assert session.error is None
    stats = session.stats()
    assert (stats.returns, stats.epochs, stats.underruns) == (1, 2, 1)
    latency = session.latency.total_frames - sum(STATED)
    assert returned(device, latency).all()
    assert len(returned(device, latency)) > RATE


def test_a_device_that_dies_ends_the_session_where_that_is_asked_for(device: ScriptedDevice) -> None:
    def die() -> None:
        device.is_alive = False

    device.events = {RATE: die}
    with (
        session_on(device, waits_for_device=False) as session,
        pytest.raises(DeviceLostError, match="has stood still for 1 s"),
    ):
        session.wait(60.0)
    assert isinstance(session.error, DeviceLostError)


def test_a_fault_of_the_program_ends_the_session_and_is_kept(device: ScriptedDevice) -> None:
    processor = processor_on(device)

    def fail() -> None:
        raise ZeroDivisionError("a scripted fault")

    processor.hold = (10, fail)
    with session_on(device, processor) as session, pytest.raises(ZeroDivisionError, match="a scripted fault"):
        session.wait(60.0)
    assert isinstance(session.error, ZeroDivisionError)
    with pytest.raises(LifecycleError, match="not prepared"):
        processor.stats()


def test_one_channel_can_be_heard_on_two_and_outputs_can_be_mapped(device: ScriptedDevice) -> None:
    session = session_on(device, outputs=OutputMap(device_channels=2, mix=(2,)))
    run(session, device, RATE)
    assert not device.played[0].any()
    assert device.played[1].any()


def test_the_settings_of_the_interpreter_are_put_back(device: ScriptedDevice) -> None:
    before, frozen = sys.getswitchinterval(), gc.get_freeze_count()
    with session_on(device, freezes=True, switch_interval_s=0.001):
        assert sys.getswitchinterval() == pytest.approx(0.001)
        assert gc.get_freeze_count() > frozen
    assert sys.getswitchinterval() == pytest.approx(before)
    assert gc.get_freeze_count() == frozen
    with session_on(device, freezes=False, switch_interval_s=None):
        assert sys.getswitchinterval() == pytest.approx(before)
        assert gc.get_freeze_count() == frozen


def test_an_interruption_leaves_nothing_behind(device: ScriptedDevice) -> None:
    before = sys.getswitchinterval()
    processor = processor_on(device)
    session = session_on(device, processor)
    with pytest.raises(KeyboardInterrupt), session:
        raise KeyboardInterrupt
    assert sys.getswitchinterval() == pytest.approx(before)
    with pytest.raises(LifecycleError):
        processor.stats()
    session.close()
    assert session.wait(0.0)


def test_moving_a_block_allocates_no_array(device: ScriptedDevice, engine: Literal["rtmixer", "callback"]) -> None:
    block = 2048
    asked = StreamFormat(LOOP, LOOP, RATE, 2, 2, block, 2)
    with processor_on(device).prepare(sample_rate=RATE, channels=2, max_block_frames=block) as processor:
        mixer = Mixer(processor.stems, channels=2, sample_rate=RATE, max_block_frames=block)
        chain = Chain(processor, mixer, block_frames=block)
        stream = open_stream(asked, engine, clock=device)
        pump = Pump(
            stream,
            Turnover(chain, device_channels=2, block_frames=block, fade_frames=480),
            sample_rate=RATE,
            block_frames=block,
            ring_frames=2 * block,
            jump_frames=RATE,
            end=Event(),
            events=EventLog(),
            clock=device,
        )
        stream.start()
        peaks = []
        tracemalloc.start()
        try:
            for _ in range(40):
                device.advance(block)
                before = tracemalloc.get_traced_memory()[0]
                tracemalloc.reset_peak()
                assert pump.step()
                peaks.append(tracemalloc.get_traced_memory()[1] - before)
        finally:
            tracemalloc.stop()
            stream.close(1.0)
    # One channel of a block would be 8 kB; views of arrays are small.
    assert max(peaks[10:]) < 6_000, peaks


def test_a_session_starts_once(device: ScriptedDevice) -> None:
    session = session_on(device)
    with pytest.raises(LifecycleError, match="has not started"):
        session.stats()
    run(session, device, RATE // 10)
    with pytest.raises(LifecycleError, match="starts once"):
        session.start()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ring_blocks": 0}, "ring_blocks=0 is not supported: give a whole number from 1 to 187"),
        ({"ring_blocks": 1.5}, "ring_blocks=1.5 is not supported"),
        ({"block_frames": 0}, "max_block_frames=0 is not supported"),
        ({"sample_rate": 1}, "sample_rate=1 is not supported"),
        ({"engine": "asio"}, "engine='asio' is not known: use auto, rtmixer or callback"),
        ({"source": None}, "source=None is no input: give mic"),
        ({"source": True}, "source=True is no input"),
        ({"output": 3.5}, "output=3.5 is no output: give a device's name or number"),
        ({"outputs": 5}, "outputs=5 is no map of outputs: give text"),
        ({"outputs": [1, 2]}, "is no map of outputs: give text"),
        ({"device_latency": "x"}, "device_latency='x' is not known: use low, high, or seconds above 0"),
        ({"device_latency": -1.0}, "device_latency=-1.0 is not known"),
        ({"device_latency": float("nan")}, "device_latency=nan is not known"),
        ({"device_latency": None}, "device_latency=None is not known"),
        ({"switch_interval_s": -1}, "switch_interval_s=-1 is no interval: give seconds above 0 and up to 1"),
        ({"switch_interval_s": "fast"}, "switch_interval_s='fast' is no interval"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_before_a_device_is_opened(
    device: ScriptedDevice, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        session_on(device, **options).start()
    assert sys.modules["sounddevice"].opened == []  # type: ignore[attr-defined]


def test_outputs_may_come_from_what_can_be_read_once(device: ScriptedDevice) -> None:
    session = session_on(device, outputs=(part for part in ("vocals=1", "drums=2")))
    run(session, device, RATE // 10)
    assert device.played.any()


def test_a_session_that_cannot_begin_closes_its_stream(device: ScriptedDevice, engine: str) -> None:
    processor = StemProcessor(IdentitySeparator(sample_rate=RATE), realtime=True, latency_s=0.001)
    before = sys.getswitchinterval()
    with pytest.raises(LatencyError, match="is too small"):
        session_on(device, processor, engine=engine).start()
    assert sys.getswitchinterval() == pytest.approx(before)
    # This is refused while a stream is open.
    assert list_devices(refreshes=True) == (LOOP,)


def test_a_processor_that_waits_is_refused(device: ScriptedDevice) -> None:
    with pytest.raises(ConfigurationError, match="make its processor with realtime=True"):
        session_on(device, StemProcessor(IdentitySeparator()))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9997, "'loop' refused 48000 Hz: rates taken are 44100, 48000; use one as sample_rate"),
        (-9998, r"'loop' refused 2 channel\(s\) in and 2 out: up to 2 in and 2 out are stated; use fewer"),
        (-9985, "'loop' is in use or unplugged: close the program that uses it"),
        (-9999, r"'loop' cannot be opened \(a text\): choose another device"),
    ],
)
def test_a_refusal_of_the_driver_is_told_with_what_would_work(
    monkeypatch: pytest.MonkeyPatch, device: ScriptedDevice, code: int, words: str
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", sounddevice_of(device, code=code, text="a  text"))
    with pytest.raises(DeviceError, match=words):
        session_on(device).start()


def test_an_output_with_too_few_channels_is_refused(device: ScriptedDevice) -> None:
    with pytest.raises(DeviceError, match=r"output device 'loop' has 2 channel\(s\), 4 are needed"):
        session_on(device, outputs=OutputMap(device_channels=4, mix=(1, 2))).start()


def test_the_device_is_asked_for_the_pumps_blocks(device: ScriptedDevice) -> None:
    session = session_on(device)
    run(session, device, RATE // 10)
    (options,) = sys.modules["sounddevice"].opened  # type: ignore[attr-defined]
    assert (options["blocksize"], options["latency"], options["samplerate"]) == (BLOCK, "low", RATE)


@pytest.mark.parametrize(("block", "blocks"), [(64, 12), (128, 6), (256, 3), (512, 2), (1024, 2)])
def test_the_ring_is_sixteen_milliseconds_deep_and_two_blocks_at_least(block: int, blocks: int) -> None:
    assert default_ring_blocks(RATE, block) == blocks
