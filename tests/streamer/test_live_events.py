"""What a session tells of: jumps, lost devices, silence; and how it begins and ends."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigurationError, DeviceError, DeviceLostError
from streamer.events import Event, EventLog
from streamer.silence_watch import SILENCE_S, SilenceWatch
from tests.streamer.scripted_device import RATE, STATED, ScriptedDevice
from tests.streamer.scripted_session import BLOCK, PATIENCE_S, processor_on, returned, run, session_on

# The log


def test_events_come_once_and_in_order() -> None:
    log = EventLog()
    first, second = Event("jump", 10, "a jump"), Event("lost", 20, "a loss")
    log.add(first)
    log.add(second)
    assert log.take() == (first, second)
    assert log.take() == ()
    assert first.as_dict() == {"kind": "jump", "frame": 10, "text": "a jump"}


def test_of_very_many_events_the_newest_are_kept() -> None:
    log = EventLog()
    for frame in range(3000):
        log.add(Event("jump", frame, "a jump"))
    assert [event.frame for event in log.take()] == list(range(2000, 3000))


def test_a_session_tells_what_happened_in_order(device: ScriptedDevice) -> None:
    processor = processor_on(device)
    processor.hold = (100, lambda: device.advance(RATE // 2))

    def live(is_alive: bool) -> None:
        device.is_alive = is_alive

    device.events = {2 * RATE: lambda: live(False), 5 * RATE: lambda: live(True)}
    session = session_on(device, processor, ring_blocks=2)
    run(session, device, 6 * RATE)
    events = session.events()
    assert [event.kind for event in events] == ["jump", "lost", "lost", "returned"]
    skipped_ms = 1000 * session.stats().skipped_frames / RATE
    assert events[0] == Event(
        "jump", 101 * BLOCK, f"the program was held up, or the machine slept: {skipped_ms:.0f} ms of input were skipped"
    )
    assert events[1].text.startswith("the device 'loop' has stood still for 1 s")
    # Told once, though it was tried again and again.
    assert events[2].text.startswith("the device was not taken up again: there is no input device")
    assert events[3].text == "the device 'loop' is back"
    assert events[1].frame == events[2].frame == events[3].frame > events[0].frame
    assert session.events() == ()


# An input that gives nothing


def test_silence_is_noticed_once_and_at_its_length() -> None:
    watch = SilenceWatch(1000)
    block = np.zeros((2, 256), np.float32)
    assert [watch.hear(block) for _ in range(8)] == [False, False, False, True, False, False, False, False]
    assert not watch.has_heard


@pytest.mark.parametrize("sample", [1e-9, -1e-9, 0.5, np.nan])
def test_the_least_sound_in_any_channel_is_no_silence(sample: float) -> None:
    watch = SilenceWatch(1000)
    block = np.zeros((2, 256), np.float32)
    assert not watch.hear(block)
    block[1, 255] = sample
    assert not watch.hear(block)
    assert watch.has_heard
    block[:] = 0.0
    assert not any(watch.hear(block) for _ in range(20))


@pytest.mark.parametrize("sound_at_s", [None, 0.0, SILENCE_S - 0.1, SILENCE_S + 0.1])
def test_a_session_tells_of_an_input_that_has_given_nothing_for_three_seconds(
    device: ScriptedDevice, sound_at_s: float | None
) -> None:
    device.sound = np.zeros((2, 5 * RATE), np.float32)
    if sound_at_s is not None:
        device.sound[0, round(sound_at_s * RATE)] = 1e-6
    session = session_on(device)
    run(session, device, 4 * RATE)
    is_silent = sound_at_s is None or sound_at_s > SILENCE_S
    text = "the input has given nothing but digital silence for 3 s"
    # The block that completes the three seconds is not counted yet.
    before = int(SILENCE_S * RATE) // BLOCK * BLOCK
    assert session.events() == ((Event("silent", before, text),) if is_silent else ())


# How it ends


@pytest.mark.parametrize("block", [64, 256, 1000, 8192])
def test_the_sound_ends_on_a_straight_line_and_nothing_follows(device: ScriptedDevice, block: int, engine: str) -> None:
    session = session_on(device, block_frames=block, ring_blocks=2, engine=engine)
    run(session, device, RATE)
    assert device.sound is not None
    stats = session.stats()
    fade = RATE // 100
    begin = stats.frames - -(-fade // block) * block
    delay, ring = stats.latency.processor.total_frames, 2 * block
    last = device.played[:, begin + ring - BLOCK :]
    at = begin - BLOCK - delay
    weights = np.zeros(last.shape[1])
    weights[:BLOCK] = 1.0
    weights[BLOCK : BLOCK + fade] = np.linspace(1.0, 0.0, fade)
    np.testing.assert_allclose(last, weights * device.sound[:, at : at + last.shape[1]], atol=1e-6)
    # All of it was played before the device was closed, also what waits in its own buffers.
    assert last.shape[1] >= BLOCK + fade + STATED[1]


@pytest.mark.parametrize("dead_for_s", [0.0, 0.5, 0.85])
def test_a_device_that_is_lost_while_the_sound_ends_is_left_alone(device: ScriptedDevice, dead_for_s: float) -> None:
    session = session_on(device)

    def die() -> None:
        device.is_alive = False

    device.events = {RATE: die, RATE + round(dead_for_s * RATE): session.stop}
    if not dead_for_s:
        device.events[RATE - 1] = die
    with session:
        assert session.wait(PATIENCE_S)
    assert session.error is None
    assert session.events() == ()


def test_a_session_may_end_while_its_device_is_lost(device: ScriptedDevice) -> None:
    session = session_on(device)

    def die() -> None:
        device.is_alive = False

    device.events = {RATE: die, 4 * RATE: session.stop}
    with session:
        assert session.wait(PATIENCE_S)
    assert isinstance(session.error, DeviceLostError)
    assert [event.kind for event in session.events()] == ["lost", "lost"]


# What may be heard and played


@pytest.fixture
def open_air(device: ScriptedDevice) -> ModuleType:
    """The device is a microphone and loudspeakers, and no longer a virtual one."""
    module = sys.modules["sounddevice"]
    hosts = ({"name": "ALSA", "default_input_device": 0, "default_output_device": 0},)
    module.query_hostapis = lambda: hosts  # type: ignore[attr-defined]
    return module


def test_an_input_that_hears_the_output_is_refused(device: ScriptedDevice, open_air: Any) -> None:
    with pytest.raises(DeviceError, match="would hear the loudspeakers 'loop' and may howl: choose another") as caught:
        session_on(device).start()
    assert caught.value.exit_code == 3
    assert "allow_feedback=True" in str(caught.value)
    assert open_air.opened == []


def test_feedback_may_be_allowed(device: ScriptedDevice, open_air: Any) -> None:
    session = session_on(device, allow_feedback=True)
    run(session, device, RATE)
    assert returned(device, session.latency.total_frames - sum(STATED)).all()


@pytest.mark.parametrize("outputs", ["vocals=1 drums=2", ["vocals=1", "drums=2"], iter(["Vocals=1 drums=2"])])
def test_stems_get_channels_of_their_own_by_text(device: ScriptedDevice, outputs: Any) -> None:
    session = session_on(device, outputs=outputs)
    run(session, device, RATE)
    assert device.sound is not None
    delay = session.latency.total_frames - sum(STATED)
    played = device.kept[:, delay:]
    middle = device.sound[:, : played.shape[1]].mean(axis=0)
    np.testing.assert_allclose(played[0], 0.25 * middle, atol=1e-6)
    np.testing.assert_allclose(played[1], 0.5 * middle, atol=1e-6)


@pytest.mark.parametrize(
    ("outputs", "kind", "words"),
    [
        ("vocals=1,3", DeviceError, r"'loop' has 2 channel\(s\), and channel 3 was asked for: choose another device"),
        ("vocals=9999", DeviceError, "and channel 9999 was asked for"),
        ("vocals=0", ConfigurationError, "vocals was given output channel 0: on this device 1 to 2 are there"),
        ("vocals=1 piano=2", ConfigurationError, "stem 'piano' is unknown"),
        ("vocals=1 drums=1", ConfigurationError, "output channel 1 is used twice"),
        ("vocals", ConfigurationError, "output 'vocals' is not NAME=CHANNELS"),
        ([], ConfigurationError, "no output was given"),
    ],
)
def test_outputs_that_are_not_there_are_refused(
    device: ScriptedDevice, outputs: Any, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        session_on(device, outputs=outputs).start()
    assert sys.modules["sounddevice"].opened == []  # type: ignore[attr-defined]
