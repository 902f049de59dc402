"""Devices are found by name, number and kind; what cannot be found is told with what there is."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from engine.errors import DeviceError, DeviceLostError, LifecycleError
from streamer.audio import portaudio
from streamer.audio.devices import Device, find_device, find_pair, find_source, list_devices
from streamer.audio.portaudio import close_apart, refresh, stream_closed, stream_opened
from tests.streamer.scripted_device import LOOP, ScriptedDevice, sounddevice_of

MIC = Device(0, "Built-in Mic (hw:0,0)", "ALSA", 1, 0, 44_100)
SPEAKERS = Device(1, "Speakers (hw:0,1)", "ALSA", 0, 2, 44_100, is_default_output=True)
USB = Device(2, "USB Interface (hw:1,0)", "ALSA", 4, 4, 48_000)
MIXER = Device(3, "USB Mixer (hw:2,0)", "ALSA", 2, 2, 48_000)
PULSE = Device(4, "pulse", "ALSA", 32, 32, 44_100, is_default_input=True)
MONITOR = Device(5, "Monitor of Headphones", "PulseAudio", 2, 0, 48_000)
JACK = Device(6, "pulse", "JACK Audio Connection Kit", 2, 2, 48_000)
ALL = (MIC, SPEAKERS, USB, MIXER, PULSE, MONITOR, JACK)


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
        ((MIC, SPEAKERS), "loopback", "no monitor of a sink"),
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
    ],
)
def test_a_pair_runs_on_one_clock(source: str, output: str | None, pair: tuple[Device, Device]) -> None:
    assert find_pair(ALL, source, output) == pair


@pytest.mark.parametrize(("source", "output"), [("mic:interface", "speak"), ("mic:6", "4"), ("loopback", "speak")])
def test_two_clocks_are_refused(source: str, output: str) -> None:
    with pytest.raises(DeviceError, match="run on two clocks, which is not supported: choose both from"):
        find_pair(ALL, source, output)


def test_without_a_fitting_output_one_has_to_be_named() -> None:
    with pytest.raises(DeviceError, match="no output was given, and the default does not go with 5 Monitor"):
        find_pair(ALL, "loopback")


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
