"""Devices are found by name, number and kind; what cannot be found is told with what there is."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest

from engine.errors import DeviceError, DeviceLostError, LifecycleError
from streamer.audio import portaudio
from streamer.audio.devices import Device, find_device, find_pair, find_source, list_devices, share_clock
from streamer.audio.opening import OneWay, opened
from streamer.audio.portaudio import close_apart, refresh, stream_closed, stream_opened
from tests.streamer.audio.loopback.scripted_soundcard import ScriptedServer
from tests.streamer.audio.loopback.test_pulse import install
from tests.streamer.scripted_device import LOOP, ScriptedDevice, sounddevice_of
from tests.streamer.scripted_session import PATIENCE_S

MIC = Device(0, "Built-in Mic (hw:0,0)", "ALSA", 1, 0, 44_100)
SPEAKERS = Device(1, "Speakers (hw:0,1)", "ALSA", 0, 2, 44_100, is_default_output=True)
USB = Device(2, "USB Interface (hw:1,0)", "ALSA", 4, 4, 48_000)
MIXER = Device(3, "USB Mixer (hw:2,0)", "ALSA", 2, 2, 48_000)
PULSE = Device(4, "pulse", "ALSA", 32, 32, 44_100, is_default_input=True)
MONITOR = Device(5, "Monitor of Headphones", "PulseAudio", 2, 0, 48_000)
JACK = Device(6, "pulse", "JACK Audio Connection Kit", 2, 2, 48_000)
HEADSET = Device(
    7, "Monitor of Headset", "PulseAudio", 2, 0, 48_000, backend="soundcard", key="bluez.monitor", sink="Headset"
)
ALL = (MIC, SPEAKERS, USB, MIXER, PULSE, MONITOR, JACK)


@pytest.fixture(autouse=True)
def _server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no sound server but the scripted one of a test."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setitem(sys.modules, "soundcard", None)


@pytest.mark.parametrize(
    ("wish", "direction", "found"),
    [
        ("mic", "input", MIC),
        ("INTERFACE", "input", USB),
        ("interface", "output", USB),
        ("speak", "output", SPEAKERS),
        (2, "input", USB),
        ("3", "output", MIXER),
        ("pulse, jack", "input", JACK),
        ("pulse, ALSA", "input", PULSE),
        (None, "input", PULSE),
        (None, "output", SPEAKERS),
    ],
)
def test_a_device_is_found(wish: str | int | None, direction: str, found: Device) -> None:
    assert find_device(ALL, wish, direction) is found  # type: ignore[arg-type]


def test_the_whole_name_wins_over_a_part_of_another() -> None:
    longer = Device(9, "pulse monitor", "ALSA", 2, 2, 48_000)
    assert find_device((longer, PULSE), "pulse", "input") is PULSE


@pytest.mark.parametrize(
    ("wish", "direction", "words"),
    [
        ("usb", "input", ["'usb'", "can be any of", "2 USB Interface", "3 USB Mixer", "number"]),
        ("pulse", "input", ["can be any of", "4 pulse (ALSA", "6 pulse (JACK"]),
        ("nothing", "input", ["'nothing'", "was not found", "0 Built-in Mic", "5 Monitor of Headphones"]),
        ("mic", "output", ["was not found", "1 Speakers"]),
        (99, "input", ["number 99", "was not found"]),
    ],
)
def test_what_is_not_clear_is_told_with_the_choice(wish: str | int, direction: str, words: list[str]) -> None:
    with pytest.raises(DeviceError) as caught:
        find_device(ALL, wish, direction)  # type: ignore[arg-type]
    said = str(caught.value)
    assert "\n" not in said
    assert all(word in said for word in words)
    assert caught.value.exit_code == 3


def test_where_there_is_no_device_at_all_the_message_says_what_to_do() -> None:
    with pytest.raises(DeviceError, match="there is no input device: plug one in or start the sound server"):
        find_device((SPEAKERS,), None, "input")


@pytest.mark.parametrize(
    ("source", "found"),
    [("mic", PULSE), ("mic:built", MIC), ("mic:3", MIXER), (2, USB), ("loopback", MONITOR), ("loopback:head", MONITOR)],
)
def test_a_source_is_found(source: str | int, found: Device) -> None:
    assert find_source(ALL, source) is found


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("Monitor of Built-in Audio", True),
        ("alsa_output.pci.stereo.monitor", True),
        ("sink_monitor", True),
        ("Monitoring desk", False),
    ],
)
def test_a_monitor_is_known_by_its_name(name: str, is_one: bool) -> None:
    assert Device(0, name, "any", 2, 2, 48_000).is_monitor is is_one
    assert not Device(0, name, "any", 0, 2, 48_000).is_monitor


@pytest.mark.parametrize(
    ("devices", "source", "words"),
    [
        (ALL, "line", "source 'line' is not known: use mic"),
        (ALL, "mic:", "source 'mic:' is not known"),
        ((MIC, SPEAKERS), "loopback", "loopback needs the package soundcard, which is not installed"),
        ((MONITOR, Device(7, "Monitor of HDMI", "PulseAudio", 2, 0, 48_000)), "loopback", "can be any of 5 Monitor"),
    ],
)
def test_a_source_that_cannot_be_had_is_told(devices: tuple[Device, ...], source: str, words: str) -> None:
    with pytest.raises(DeviceError, match=words):
        find_source(devices, source)


@pytest.mark.parametrize(
    ("source", "output", "pair"),
    [
        ("mic:built", None, (MIC, SPEAKERS)),
        ("mic:interface", None, (USB, USB)),
        ("mic:6", None, (JACK, JACK)),
        ("mic:6", "6", (JACK, JACK)),
        ("mic", "speak", (PULSE, SPEAKERS)),
        ("mic:interface", "speak", (USB, SPEAKERS)),
        ("loopback", None, (MONITOR, SPEAKERS)),
        ("loopback", "6", (MONITOR, JACK)),
    ],
)
def test_a_pair_is_found_and_without_a_wish_on_one_clock_where_that_can_be(
    source: str, output: str | None, pair: tuple[Device, Device]
) -> None:
    assert find_pair(ALL, source, output) == pair


def test_without_any_output_it_is_told() -> None:
    with pytest.raises(DeviceError, match="there is no output device: plug one in"):
        find_pair((MONITOR,), "loopback")


@pytest.mark.parametrize(
    ("heard", "played", "is_one"),
    [
        (USB, USB, True),
        (MIC, SPEAKERS, True),
        (PULSE, SPEAKERS, True),
        (USB, MIXER, False),
        (USB, SPEAKERS, False),
        (JACK, PULSE, False),
        (MONITOR, SPEAKERS, False),
        (HEADSET, MONITOR, False),
        (HEADSET, HEADSET, False),
    ],
)
def test_one_clock_is_one_host_api_and_one_card_through_portaudio(heard: Device, played: Device, is_one: bool) -> None:
    assert share_clock(heard, played) is is_one


@pytest.mark.parametrize(
    ("source", "name", "backend"),
    [
        ("loopback", "Monitor of Loudspeakers", "soundcard"),
        ("loopback:display", "Monitor of Display", "soundcard"),
        ("loopback:hdmi.monitor", "Monitor of Display", "soundcard"),
        ("loopback:9", "Monitor of Display", "soundcard"),
        ("loopback:5", "Monitor of Headphones", "portaudio"),
        ("loopback:headphones", "Monitor of Headphones", "portaudio"),
    ],
)
def test_loopback_means_the_default_sink_and_a_name_portaudios_own_monitor_first(
    source: str, name: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ScriptedServer("speakers", "hdmi", "headphones")
    server.sinks |= {"hdmi": "Display", "headphones": "Headphones"}
    install(server, monkeypatch)
    devices = (*ALL, Device(7, "last", "ALSA", 1, 0, 48_000))
    found = find_source(devices, source)
    assert (found.name, found.backend) == (name, backend)


def test_a_loopback_that_is_not_clear_is_told_with_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    install(ScriptedServer("one", "two"), monkeypatch)
    with pytest.raises(
        DeviceError, match=r"'monitor of l' can be any of 7 Monitor of Loudspeakers \(one.monitor\).*; 8 "
    ):
        find_source(ALL, "loopback:monitor of l")
    with pytest.raises(DeviceError, match=r"'three' was not found: there are 5 Monitor of Headphones .*; 7 Monitor of"):
        find_source(ALL, "loopback:three")


def test_portaudio_is_listed_and_refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sounddevice_of(ScriptedDevice())
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    assert list_devices() == (LOOP,)
    assert module.refreshes == 0
    assert list_devices(refreshes=True) == (LOOP,)
    assert module.refreshes == 1
    assert LOOP.as_dict()["name"] == "loop"


def test_the_list_is_not_refreshed_under_an_open_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", sounddevice_of(ScriptedDevice()))
    stream_opened()
    try:
        with pytest.raises(LifecycleError, match=r"1 audio stream\(s\) are open: close them"):
            refresh()
    finally:
        stream_closed()


@pytest.mark.parametrize(
    ("system", "error", "words"),
    [
        ("linux", ImportError("no module"), "package sounddevice, which is not installed: run pip install 'stemstream"),
        ("linux", OSError("PortAudio library not found"), "PortAudio, which was not found: run apt install libpor"),
        ("darwin", OSError("PortAudio library not found"), "PortAudio, which was not found: run pip install -U"),
    ],
)
def test_a_missing_part_is_named(system: str, error: Exception, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "sounddevice":
                raise error

    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(DeviceError, match=words) as caught:
        list_devices()
    assert "\n" not in str(caught.value)


def test_a_missing_rtmixer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", sounddevice_of(ScriptedDevice()))
    monkeypatch.setitem(sys.modules, "rtmixer", None)
    with pytest.raises(DeviceError, match="rtmixer is missing or does not run here"):
        portaudio.mixer_library()


def test_a_stream_that_hangs_is_left_behind_and_portaudio_is_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    module: ModuleType = sounddevice_of(ScriptedDevice())
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.setattr(portaudio, "_use", portaudio._Use())
    ended: list[object] = []
    monkeypatch.setattr("atexit.unregister", ended.append)
    release = Event()
    assert close_apart(lambda: None, 1.0)
    refresh()
    assert not close_apart(release.wait, 0.01)
    release.set()
    assert ended == [module._exit_handler]  # type: ignore[attr-defined]
    with pytest.raises(DeviceLostError, match="cannot be started again in this process"):
        refresh()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """PortAudio that hangs when it is ended."""
    module: Any = sounddevice_of(ScriptedDevice())
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.setattr(portaudio, "_use", portaudio._Use())
    release = threading.Event()
    module._terminate = release.wait
    module.ended = []
    monkeypatch.setattr("atexit.unregister", module.ended.append)
    yield module
    release.set()


def test_a_restart_that_hangs_is_left_behind_and_portaudio_is_used_no_more(hanging: Any) -> None:
    with pytest.raises(DeviceLostError, match="a sound server does not answer: leave the program and start it again"):
        refresh(0.01)
    assert hanging.ended == [hanging._exit_handler]
    for use in (refresh, stream_opened, list_devices):
        with pytest.raises(DeviceLostError, match="a sound server does not answer"):
            use()


def test_what_closes_a_stream_does_not_wait_for_a_restart_that_hangs(hanging: Any) -> None:
    is_ending = threading.Event()
    hangs = hanging._terminate

    def terminate() -> None:
        is_ending.set()
        hangs()

    hanging._terminate = terminate

    def restart() -> None:
        with suppress(DeviceLostError):
            refresh(0.2)

    thread = threading.Thread(target=restart)
    thread.start()
    assert is_ending.wait(PATIENCE_S)
    # The lock is free, and nothing is opened under a restart.
    assert portaudio._turn.acquire(timeout=PATIENCE_S)
    portaudio._turn.release()
    with pytest.raises(DeviceLostError, match="does not answer"):
        stream_opened()
    thread.join(PATIENCE_S)


def test_the_list_is_not_refreshed_while_a_stream_is_being_made(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = sounddevice_of(ScriptedDevice())
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.setattr(portaudio, "_use", portaudio._Use())
    way = OneWay("input", LOOP, 48_000, 2, 256)

    def refuse(**_: Any) -> None:
        with pytest.raises(LifecycleError, match=r"1 audio stream\(s\) are open"):
            refresh()
        raise module.PortAudioError("unplugged", -9985)

    with pytest.raises(DeviceError, match="is in use or unplugged"):
        opened(way, refuse)
    # One that was not made does not count.
    refresh()
    assert module.refreshes == 1


def test_the_list_is_not_refreshed_while_another_thread_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = sounddevice_of(ScriptedDevice())
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.setattr(portaudio, "_use", portaudio._Use())
    with portaudio.listing(), pytest.raises(LifecycleError, match="another thread looks for devices"):
        refresh()
    refresh()


@pytest.mark.skipif(not hasattr(os, "RTLD_NODELETE"), reason="this system cannot keep a library in memory")
def test_portaudio_is_not_ended_with_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = sounddevice_of(ScriptedDevice())
    module._libname = "no such library"
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    ended: list[object] = []
    monkeypatch.setattr("atexit.unregister", ended.append)
    assert portaudio.library() is portaudio.library() is module
    assert ended == [module._exit_handler]
