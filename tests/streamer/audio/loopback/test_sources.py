"""One name, loopback, on every system: what is listed, in which order, and what is said where there is nothing."""

from __future__ import annotations

import sys

import pytest

from engine.errors import DeviceError
from streamer.audio.device import Device
from streamer.audio.loopback import list_loopbacks, open_capture
from streamer.audio.loopback.core_audio import TapCapture
from streamer.audio.loopback.pulse import PulseCapture
from streamer.audio.loopback.wasapi import WasapiCapture
from tests.streamer.audio.loopback.scripted_soundcard import ScriptedServer
from tests.streamer.audio.loopback.test_core_audio import Mac, catap_of
from tests.streamer.audio.loopback.test_pulse import install
from tests.streamer.audio.loopback.test_wasapi import SPEAKERS, Windows, pyaudiowpatch_of

MIC = Device(0, "Microphone", "ALSA", 1, 0, 44_100)
MONITOR = Device(4, "speakers_monitor", "ALSA", 2, 0, 44_100)
OTHER = Device(5, "Monitor of Display", "PulseAudio", 2, 0, 44_100)


@pytest.fixture
def linux(monkeypatch: pytest.MonkeyPatch) -> ScriptedServer:
    server = ScriptedServer("speakers", "hdmi")
    install(server, monkeypatch)
    monkeypatch.setattr(sys, "platform", "linux")
    return server


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Windows:
    windows = Windows()
    monkeypatch.setitem(sys.modules, "pyaudiowpatch", pyaudiowpatch_of(windows))
    monkeypatch.setattr(sys, "platform", "win32")
    return windows


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> Mac:
    mac = Mac()
    monkeypatch.setitem(sys.modules, "catap", catap_of(mac))
    monkeypatch.setattr(sys, "platform", "darwin")
    return mac


def test_on_linux_portaudios_monitors_come_first_and_numbers_go_on_after_all_devices(linux: ScriptedServer) -> None:
    found = list_loopbacks((MIC, MONITOR, OTHER))
    assert [(device.index, device.backend) for device in found] == [
        (4, "portaudio"),
        (5, "portaudio"),
        (6, "soundcard"),
        (7, "soundcard"),
    ]


def test_portaudios_monitor_of_the_default_sink_is_known_by_its_name(linux: ScriptedServer) -> None:
    assert [device.is_default_loopback for device in list_loopbacks((MONITOR, OTHER))] == [True, False, True, False]
    linux.default, linux.sinks["hdmi"] = "hdmi", "Display"
    assert [device.is_default_loopback for device in list_loopbacks((MONITOR, OTHER))] == [False, True, False, True]


def test_portaudios_monitors_do_without_the_other_part(linux: ScriptedServer) -> None:
    linux.is_alive = False
    assert list_loopbacks((MIC, MONITOR)) == (MONITOR,)
    with pytest.raises(DeviceError, match="a PulseAudio or PipeWire server, and none answers"):
        list_loopbacks((MIC,))


def test_a_server_that_plays_nowhere_is_told(linux: ScriptedServer) -> None:
    linux.sinks = {}
    with pytest.raises(DeviceError, match="loopback has nothing to listen to: plug in an output"):
        list_loopbacks(())


def test_on_windows_there_is_one_for_each_output(windows: Windows) -> None:
    assert next((device.index, device.name) for device in list_loopbacks((MIC,))) == (1, SPEAKERS)


def test_on_macos_there_is_one_of_everything(mac: Mac) -> None:
    assert next(device.name for device in list_loopbacks()) == "System audio"


def test_another_system_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "freebsd14")
    with pytest.raises(DeviceError, match="loopback is not supported on freebsd14"):
        list_loopbacks()


def test_each_kind_is_opened_by_its_own_part(
    monkeypatch: pytest.MonkeyPatch, linux: ScriptedServer, windows: Windows, mac: Mac
) -> None:
    for system, kind in (("linux", PulseCapture), ("win32", WasapiCapture), ("darwin", TapCapture)):
        monkeypatch.setattr(sys, "platform", system)
        capture = open_capture(list_loopbacks()[0], sample_rate=44_100, channels=2, block_frames=256)
        assert isinstance(capture, kind)
        assert capture.close(10.0)
    with pytest.raises(DeviceError, match=r"0 Microphone .* is opened by PortAudio"):
        open_capture(MIC, sample_rate=44_100, channels=1, block_frames=256)
