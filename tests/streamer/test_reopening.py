"""A device that was lost is found again by its name, and only what may take its place does."""

from __future__ import annotations

import math
import sys
import threading
from typing import Any

import pytest

from engine.errors import DeviceLostError
from streamer import live
from streamer.audio.callback_stream import CallbackStream
from streamer.audio.stream import DeviceLatency, StreamFormat
from streamer.calibration import Calibration, CalibrationKey, store_calibration
from streamer.pump import Pump
from tests.streamer.scripted_device import LOOP, RATE, STATED, ScriptedDevice
from tests.streamer.scripted_session import BLOCK, PATIENCE_S, returned, run, session_on


def lose(device: ScriptedDevice, then: Any = lambda: None) -> None:
    """Let the device go after a second, and come back with what ``then`` made different."""

    def set_alive(is_alive: bool) -> None:
        if is_alive:
            then()
        device.is_alive = is_alive

    device.events |= {RATE: lambda: set_alive(False), 4 * RATE: lambda: set_alive(True)}


def entries(*names: str) -> list[dict[str, Any]]:
    module: Any = sys.modules["sounddevice"]
    (entry,) = module.query_devices()
    return [entry | {"name": name, "index": index} for index, name in enumerate(names)]


@pytest.mark.parametrize("source", ["mic", "mic:loop", 0])
def test_the_same_device_is_taken_up_though_its_number_is_another_one(device: ScriptedDevice, source: Any) -> None:
    module: Any = sys.modules["sounddevice"]
    session = session_on(device, source=source)
    found = entries("another", "loop")
    lose(device, lambda: setattr(module, "query_devices", lambda: found))
    run(session, device, 6 * RATE)
    assert session.events()[-1].text == "the device 'loop' is back"
    assert (session.input.name, session.input.index, module.opened[-1]["device"]) == ("loop", 1, (1, 1))


def test_another_default_is_named(device: ScriptedDevice) -> None:
    module: Any = sys.modules["sounddevice"]
    session = session_on(device)
    found = entries("another")
    lose(device, lambda: setattr(module, "query_devices", lambda: found))
    run(session, device, 6 * RATE)
    assert session.events()[-1].text == "'another' was taken up in place of 'loop'"
    assert session.output.name == "another"


def test_what_has_the_number_of_a_lost_device_is_another_one(device: ScriptedDevice) -> None:
    module: Any = sys.modules["sounddevice"]
    session = session_on(device, source=0)
    found = entries("another")
    lose(device, lambda: setattr(module, "query_devices", lambda: found))
    run(session, device, 6 * RATE)
    assert session.stats().returns == 0
    assert "the device 'loop' is not there" in str(session.error)
    assert session.events()[-1].text == (
        "the device was not taken up again: the device 'loop' is not there: plug it in, or start its sound server"
    )


def test_a_device_that_comes_back_with_another_latency_is_told_and_its_calibration_is_looked_for(
    device: ScriptedDevice,
) -> None:
    module: Any = sys.modules["sounddevice"]
    stated = (STATED[0] + 48, STATED[1])
    asked = StreamFormat(LOOP, LOOP, RATE, 2, 2, BLOCK, 3)
    session = session_on(device)
    store_calibration(CalibrationKey.of(asked, DeviceLatency(*stated)), Calibration(480, 0, 20))
    lose(device, lambda: setattr(module.Stream, "latency", tuple(frames / RATE for frames in stated)))
    run(session, device, 6 * RATE)
    assert session.latency.device_is_measured
    assert session.latency.device_frames == 480
    total = session.latency.total_frames
    before = total - 480 + sum(STATED)
    kinds = [event.kind for event in session.events()]
    assert kinds[-2:] == ["returned", "latency"]
    assert total > before


def test_a_stream_that_comes_when_the_session_has_ended_is_closed(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_on(device)
    reopen = live.reopen_stream
    streams: list[Any] = []

    def slow(*given: Any) -> Any:
        streams.append(reopen(*given))
        session.stop()
        return streams[-1]

    monkeypatch.setattr(live, "reopen_stream", slow)
    lose(device)
    with session:
        assert session.wait(PATIENCE_S)
    assert len(streams) == 1
    assert streams[0].stream._is_closed
    assert session.stats().returns == 0


def test_a_session_that_its_device_holds_up_lets_go_of_nothing(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.pump._ANSWER_S", -10.0)
    is_held, release = threading.Event(), threading.Event()
    step = Pump.step

    def hang(pump: Pump) -> bool:
        is_held.set()
        release.wait(PATIENCE_S)
        return step(pump)

    monkeypatch.setattr(Pump, "step", hang)
    session = session_on(device).start()
    assert is_held.wait(PATIENCE_S)
    with pytest.raises(DeviceLostError, match="so that it cannot end: leave the program"):
        session.close()
    # The processor is still the pump's.
    assert session.stats().frames == 0
    release.set()
    assert session.wait(PATIENCE_S)
    monkeypatch.setattr("streamer.pump._ANSWER_S", PATIENCE_S)
    session.close()


def test_a_stream_whose_latency_shows_when_it_runs_is_started_before_the_model_is_prepared(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    class Aligning(CallbackStream):
        bridge_frames = 100

        def start(self) -> None:
            calls.append("start")
            self.bridge_frames = 437
            super().start()

        def rejoin(self) -> None:
            calls.append("rejoin")

    monkeypatch.setattr(live, "open_stream", lambda asked, engine, should_stop, clock: Aligning(asked, clock=clock))
    session = session_on(device, latency_s=0.12)
    with session:
        assert session.latency.total_frames == math.floor(0.12 * RATE)
        assert session.latency.clock_bridge_frames == 437
    assert calls == ["start", "rejoin"]


@pytest.mark.parametrize("stood_s", [0.4, 0.9])
def test_a_device_that_stands_for_a_while_begins_a_new_epoch(
    device: ScriptedDevice, stood_s: float, engine: str
) -> None:
    session = session_on(device, engine=engine)

    def set_alive(is_alive: bool) -> None:
        device.is_alive = is_alive

    device.events |= {2 * RATE: lambda: set_alive(False), round((2 + stood_s) * RATE): lambda: set_alive(True)}
    run(session, device, 5 * RATE)
    stats = session.stats()
    (event,) = session.events()
    assert event.kind == "jump"
    assert event.text.startswith("the device stood still, or the machine slept: ")
    assert (stats.epochs, stats.xruns, stats.returns) == (2, 1, 0)
    assert stats.lost_input_frames == pytest.approx(stood_s * RATE, abs=2 * BLOCK)
    assert returned(device, session.latency.total_frames - sum(STATED), begin=3 * RATE).all()


def test_a_ring_that_is_too_short_for_the_device_is_told_of_and_measures_no_late_block() -> None:
    device = ScriptedDevice(period=256)
    with pytest.MonkeyPatch.context() as patch:
        from tests.streamer.scripted_device import sounddevice_of

        patch.setitem(sys.modules, "sounddevice", sounddevice_of(device))
        session = session_on(device, block_frames=64, ring_blocks=1)
        run(session, device, 2 * RATE)
    (event,) = session.events()
    assert event.kind == "late"
    assert "the ring of 64 frames is shorter than the device's period; use --ring-blocks 5" in event.text
    measured = session.stats().measured
    assert measured.late_blocks > 2 * measured.blocks > 0


def test_nothing_is_logged_where_sound_is_moved(device: ScriptedDevice, caplog: pytest.LogCaptureFixture) -> None:
    session = session_on(device)
    lose(device)
    run(session, device, 6 * RATE)
    assert len(session.events()) == 3
    assert caplog.records == []
