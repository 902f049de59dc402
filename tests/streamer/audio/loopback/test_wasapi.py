"""Loopback of WASAPI against PyAudioWPatch's interface as 0.2.12.9 has it; not tried on Windows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine.errors import DeviceError, DeviceLostError
from streamer.audio.loopback.wasapi import WasapiCapture, list_loopback_devices
from tests.streamer.audio.loopback.hand_clock import RATE, HandClock
from tests.streamer.audio.loopback.signatures import parameters_of

F32 = npt.NDArray[np.float32]
SPEAKERS = "Speakers (Realtek(R) Audio) [Loopback]"

SIGNATURES = {
    "PyAudio.__init__": "self",
    "PyAudio.open": "self, args, kwargs",
    "PyAudio.terminate": "self",
    "PyAudio.get_loopback_device_info_generator": "self",
    "PyAudio.get_default_wasapi_loopback": "self",
    "Stream.__init__": (
        "self, PA_manager, rate, channels, format, input=, output=, input_device_index=, output_device_index=, "
        "frames_per_buffer=, start=, input_host_api_specific_stream_info=, output_host_api_specific_stream_info=, "
        "stream_callback="
    ),
    "Stream.close": "self",
    "Stream.get_input_latency": "self",
    "Stream.start_stream": "self",
    "Stream.is_active": "self",
}
"""Of PyAudioWPatch 0.2.12.9, src/pyaudiowpatch/__init__.py."""


class Windows:
    """What the fake asks, and what it was asked."""

    def __init__(self) -> None:
        self.outputs = {SPEAKERS: 8, "Display (HDMI) [Loopback]": 2}
        self.default: str | None = SPEAKERS
        self.has_wasapi = True
        self.is_active = True
        self.refuses = False
        self.managers = 0
        self.stream: Any = None

    def bring(self, sound: F32, flags: int = 0) -> tuple[None, int]:
        """Give a packet, shape (frames, channels), to the callback as PortAudio does: interleaved bytes."""
        callback: Callable[..., tuple[None, int]] = self.stream.callback
        return callback(sound.astype(np.float32).tobytes(), len(sound), {"current_time": 0.0}, flags)


def pyaudiowpatch_of(windows: Windows) -> ModuleType:
    module: Any = ModuleType("pyaudiowpatch")

    class Stream:
        def __init__(
            self,
            PA_manager: Any,
            rate: int,
            channels: int,
            format: int,
            input: bool = False,
            output: bool = False,
            input_device_index: int | None = None,
            output_device_index: int | None = None,
            frames_per_buffer: int = 0,
            start: bool = True,
            input_host_api_specific_stream_info: Any = None,
            output_host_api_specific_stream_info: Any = None,
            stream_callback: Any = None,
        ) -> None:
            if windows.refuses:
                raise OSError(-9997, "Invalid sample rate")
            assert input
            assert not output
            assert format == module.paFloat32
            self.asked = (rate, channels, input_device_index, frames_per_buffer)
            self.callback = stream_callback
            self.is_running = start
            self.is_open = True
            windows.stream = self

        def start_stream(self) -> None:
            self.is_running = True

        def is_active(self) -> bool:
            if not self.is_open:
                raise OSError(-9988, "Stream closed")
            return self.is_running and windows.is_active

        def get_input_latency(self) -> float:
            return 0.02

        def close(self) -> None:
            self.is_open = False

    class PyAudio:
        def __init__(self) -> None:
            windows.managers += 1

        def terminate(self) -> None:
            windows.managers -= 1

        def open(self, *args: Any, **kwargs: Any) -> Stream:
            return Stream(self, *args, **kwargs)

        def get_loopback_device_info_generator(self) -> Iterator[dict[str, Any]]:
            if not windows.has_wasapi:
                raise OSError(-9979, "Host API not found")
            for number, (name, channels) in enumerate(windows.outputs.items()):
                yield {
                    "index": 20 + number,
                    "name": name,
                    "hostApi": 2,
                    "maxInputChannels": channels,
                    "maxOutputChannels": 0,
                    "defaultLowInputLatency": 0.003,
                    "defaultHighInputLatency": 0.01,
                    "defaultSampleRate": float(RATE),
                    "isLoopbackDevice": True,
                }

        def get_default_wasapi_loopback(self) -> dict[str, Any]:
            for info in self.get_loopback_device_info_generator():
                if info["name"] == windows.default:
                    return info
            raise LookupError("No analogue is found for passed device")

    module.paFloat32, module.paContinue = 1, 0
    module.PyAudio, module.Stream = PyAudio, Stream
    found: ModuleType = module
    return found


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Windows:
    windows = Windows()
    monkeypatch.setitem(sys.modules, "pyaudiowpatch", pyaudiowpatch_of(windows))
    return windows


def capture_of(clock: HandClock, number: int = 1) -> WasapiCapture:
    return WasapiCapture(list_loopback_devices(0)[number], channels=2, block_frames=480, clock=clock)


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_fake_has_the_signatures_of_the_package(name: str) -> None:
    fake: Any = pyaudiowpatch_of(Windows())
    for part in name.split("."):
        fake = getattr(fake, part)
    assert parameters_of(fake) == SIGNATURES[name]


def test_each_output_has_a_loopback_and_that_of_the_default_is_the_default(windows: Windows) -> None:
    speakers, display = list_loopback_devices(5)
    assert (speakers.index, speakers.name, speakers.sink) == (5, SPEAKERS, "Speakers (Realtek(R) Audio)")
    assert (speakers.is_default_loopback, display.is_default_loopback) == (True, False)
    assert (speakers.max_input_channels, speakers.default_sample_rate, speakers.backend) == (8, RATE, "wasapi")
    assert windows.managers == 0


def test_without_a_default_output_none_is_the_default(windows: Windows) -> None:
    windows.default = None
    assert not any(device.is_default_loopback for device in list_loopback_devices(0))


def test_without_wasapi_the_message_says_so(windows: Windows) -> None:
    windows.has_wasapi = False
    with pytest.raises(DeviceError, match="loopback needs WASAPI"):
        list_loopback_devices(0)
    assert windows.managers == 0


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudiowpatch", None)
    with pytest.raises(DeviceError, match=r"PyAudioWPatch, which is not installed: run pip install 'stemstream\[loop"):
        list_loopback_devices(0)


def test_packets_come_out_as_they_came_in_and_silence_stands_for_those_that_do_not_come(windows: Windows) -> None:
    clock = HandClock()
    capture = capture_of(clock)
    assert windows.stream.asked == (RATE, 2, 21, 480)
    assert (capture.sample_rate, capture.channels, capture.latency_frames) == (RATE, 2, 960)
    assert not windows.stream.is_running
    clock.advance(RATE)
    capture.start()
    assert (windows.stream.is_running, capture.written) == (True, 0)
    sound = np.random.default_rng(0).uniform(-1, 1, (480, 2)).astype(np.float32)
    clock.advance(480)
    assert windows.bring(sound) == (None, 0)
    clock.advance(RATE)
    assert 480 + RATE // 2 < capture.written < 480 + RATE
    windows.bring(sound[::-1])
    assert capture.written == 480 + RATE
    out = np.zeros((2, 480 + RATE), np.float32)
    assert capture.copy(0, out)
    np.testing.assert_array_equal(out[:, :480], sound.T)
    np.testing.assert_array_equal(out[:, -480:], sound[::-1].T)
    assert not out[:, 480:-480].any()


def test_surround_is_mixed_down(windows: Windows) -> None:
    clock = HandClock()
    capture = capture_of(clock, number=0)
    capture.start()
    clock.advance(480)
    sound = np.zeros((480, 8), np.float32)
    sound[:, 1] = 0.5
    windows.bring(sound)
    out = np.zeros((2, 480), np.float32)
    assert capture.copy(0, out)
    np.testing.assert_array_equal(out[1], 0.5)
    assert not out[0].any()


def test_faults_that_the_driver_tells_of_are_counted(windows: Windows) -> None:
    capture = capture_of(HandClock())
    capture.start()
    windows.bring(np.zeros((480, 2)), flags=2)
    windows.bring(np.zeros((480, 2)))
    assert capture.flags == 1


def test_silence_is_no_fault_and_an_output_that_goes_away_is(windows: Windows) -> None:
    clock = HandClock()
    capture = capture_of(clock)
    assert capture.error is None
    capture.start()
    clock.advance(60 * RATE)
    assert capture.error is None
    windows.is_active = False
    assert isinstance(capture.error, DeviceLostError)
    assert "'Display (HDMI) [Loopback]' was lost" in str(capture.error)
    windows.stream.close()
    assert isinstance(capture.error, DeviceLostError)
    assert capture.close(10.0)
    assert capture.close(10.0)
    assert capture.error is None
    assert windows.managers == 0


def test_a_refusal_is_told_in_one_line_and_leaves_nothing_open(windows: Windows) -> None:
    windows.refuses = True
    with pytest.raises(DeviceError, match=r"cannot be opened \(-9997 Invalid sample rate\): close programs"):
        capture_of(HandClock())
    assert windows.managers == 0


def test_a_loopback_that_is_gone_is_told(windows: Windows) -> None:
    (device, _) = list_loopback_devices(0)
    del windows.outputs[SPEAKERS]
    with pytest.raises(DeviceError, match="is gone: choose one that stemstream devices lists"):
        WasapiCapture(device, channels=2, block_frames=480)
    assert windows.managers == 0
