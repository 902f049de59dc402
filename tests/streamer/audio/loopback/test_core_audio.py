"""Taps of Core Audio against catap's interface as 0.6.0 has it; not tried on macOS."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine.errors import DeviceError, DeviceLostError
from streamer.audio.loopback.core_audio import TapCapture, list_taps
from tests.streamer.audio.loopback.hand_clock import RATE, HandClock
from tests.streamer.audio.loopback.signatures import parameters_of

F32 = npt.NDArray[np.float32]

SIGNATURES = {
    "record_system_audio": (
        "output_path=, *, exclude=, mute=, mono=, visible=, on_buffer=, max_pending_buffers=, "
        "drift_compensation_quality="
    ),
    "record_device": (
        "device, output_path=, *, stream=, include=, exclude=, mute=, visible=, on_buffer=, max_pending_buffers=, "
        "drift_compensation_quality="
    ),
    "find_process_by_pid": "pid",
    "list_audio_processes": "",
    "list_audio_devices": "",
    "find_audio_device_by_uid": "uid",
    "RecordingSession.start": "self",
    "RecordingSession.close": "self",
}
"""Of catap 0.6.0: session.py, bindings/process.py, bindings/device.py."""


@dataclass
class Mac:
    """What the fake asks, and what it was asked."""

    outputs: dict[str, int] = field(default_factory=lambda: {"MacBook Pro Speakers": 2, "Interface": 4})
    is_known: bool = True
    refuses: Exception | None = None
    is_float: bool = True
    has_failed: bool = False
    heard_only_zeros: bool = False
    plays: bool = False
    session: Any = None

    def bring(self, sound: F32) -> None:
        """Give a buffer, shape (frames, channels), as catap does: interleaved bytes."""
        form = SimpleNamespace(sample_rate=float(RATE), num_channels=sound.shape[1], bits_per_sample=32)
        buffer = SimpleNamespace(
            data=sound.astype(np.float32).tobytes(), frame_count=len(sound), format=form, input_sample_time=None
        )
        self.session.on_buffer(buffer)


def catap_of(mac: Mac) -> ModuleType:
    module: Any = ModuleType("catap")

    class RecordingSession:
        def __init__(self, channels: int, exclude: list[Any], on_buffer: Any) -> None:
            self.channels, self.exclude, self.on_buffer = channels, exclude, on_buffer
            self.stream_format: Any = None
            self.closes = 0
            mac.session = self

        def start(self) -> None:
            if mac.refuses is not None:
                raise mac.refuses
            self.stream_format = SimpleNamespace(
                sample_rate=float(RATE), num_channels=self.channels, is_float=mac.is_float
            )

        def close(self) -> None:
            self.closes += 1

        @property
        def capture_failed(self) -> bool:
            return mac.has_failed

        @property
        def captured_only_silence(self) -> bool:
            return mac.heard_only_zeros

    def record_system_audio(
        output_path: Any = None,
        *,
        exclude: Any = (),
        mute: Any = False,
        mono: bool = False,
        visible: bool = False,
        on_buffer: Any = None,
        max_pending_buffers: int = 256,
        drift_compensation_quality: Any = None,
    ) -> RecordingSession:
        return RecordingSession(2, list(exclude), on_buffer)

    def record_device(
        device: Any,
        output_path: Any = None,
        *,
        stream: int | None = None,
        include: Any = (),
        exclude: Any = (),
        mute: Any = False,
        visible: bool = False,
        on_buffer: Any = None,
        max_pending_buffers: int = 256,
        drift_compensation_quality: Any = None,
    ) -> RecordingSession:
        return RecordingSession(device.output_streams[0].num_channels, list(exclude), on_buffer)

    def find_process_by_pid(pid: int) -> Any:
        return SimpleNamespace(pid=pid, name="python") if mac.is_known else None

    def list_audio_processes() -> list[Any]:
        return [
            SimpleNamespace(pid=os.getpid(), is_outputting=True),
            SimpleNamespace(pid=1, is_outputting=mac.plays),
        ]

    def list_audio_devices() -> list[Any]:
        microphone = SimpleNamespace(name="Microphone", uid="mic", output_streams=(), is_default_output=False)
        outputs = [
            SimpleNamespace(
                name=name,
                uid=f"uid:{name}",
                is_default_output=number == 0,
                output_streams=(SimpleNamespace(num_channels=channels, sample_rate=44_100.0 + 3_900 * number),),
            )
            for number, (name, channels) in enumerate(mac.outputs.items())
        ]
        return [microphone, *outputs]

    def find_audio_device_by_uid(uid: str) -> Any:
        return next((device for device in list_audio_devices() if device.uid == uid), None)

    for part in (
        RecordingSession,
        record_system_audio,
        record_device,
        find_process_by_pid,
        list_audio_processes,
        list_audio_devices,
        find_audio_device_by_uid,
    ):
        setattr(module, part.__name__, part)
    found: ModuleType = module
    return found


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> Mac:
    mac = Mac()
    monkeypatch.setitem(sys.modules, "catap", catap_of(mac))
    return mac


def capture_of(clock: HandClock, number: int = 0) -> TapCapture:
    return TapCapture(list_taps(0)[number], channels=2, clock=clock)


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_fake_has_the_signatures_of_the_package(name: str) -> None:
    fake: Any = catap_of(Mac())
    for part in name.split("."):
        fake = getattr(fake, part)
    assert parameters_of(fake) == SIGNATURES[name]


def test_there_is_a_tap_of_everything_and_one_of_each_output(mac: Mac) -> None:
    everything, speakers, interface = list_taps(3)
    assert (everything.index, everything.name, everything.key, everything.sink) == (3, "System audio", "", "")
    assert everything.is_default_loopback
    assert everything.default_sample_rate == 44_100
    assert (speakers.name, speakers.sink) == ("Tap of MacBook Pro Speakers", "MacBook Pro Speakers")
    assert (interface.index, interface.key, interface.max_input_channels) == (5, "uid:Interface", 4)
    assert all(device.is_monitor and device.skips_own_sound for device in (everything, speakers, interface))


def test_where_this_program_is_not_known_as_a_player_its_sound_is_not_said_to_be_left_out(mac: Mac) -> None:
    mac.is_known = False
    assert not any(device.skips_own_sound for device in list_taps(0))
    capture_of(HandClock())
    assert mac.session.exclude == []


def test_what_this_program_plays_is_left_out(mac: Mac) -> None:
    for number in (0, 1):
        capture_of(HandClock(), number)
        assert [process.pid for process in mac.session.exclude] == [os.getpid()]


def test_a_tap_that_could_not_leave_it_out_any_more_is_refused(mac: Mac) -> None:
    device = list_taps(0)[0]
    mac.is_known = False
    with pytest.raises(DeviceError, match="its sound cannot be left out"):
        TapCapture(device, channels=2)


def test_frames_count_from_the_start_and_silence_stands_for_buffers_that_do_not_come(mac: Mac) -> None:
    clock = HandClock()
    capture = capture_of(clock)
    assert (capture.sample_rate, capture.channels, capture.written) == (RATE, 2, 0)
    sound = np.random.default_rng(0).uniform(-1, 1, (512, 2)).astype(np.float32)
    clock.advance(RATE)
    mac.bring(sound)
    assert capture.written == 0
    capture.start()
    clock.advance(512)
    mac.bring(sound)
    assert capture.written == 512
    clock.advance(RATE)
    mac.bring(sound[::-1])
    assert capture.written == 512 + RATE
    out = np.zeros((2, 512 + RATE), np.float32)
    assert capture.copy(0, out)
    np.testing.assert_array_equal(out[:, :512], sound.T)
    np.testing.assert_array_equal(out[:, -512:], sound[::-1].T)


def test_an_output_with_more_channels_is_mixed_down(mac: Mac) -> None:
    clock = HandClock()
    capture = capture_of(clock, 2)
    capture.start()
    clock.advance(512)
    mac.bring(np.tile(np.array([0.1, 0.2, 0.0, 0.0], np.float32), (512, 1)))
    out = np.zeros((2, 512), np.float32)
    assert capture.copy(0, out)
    np.testing.assert_allclose(out[:, 0], [0.1, 0.2])


def test_an_output_that_goes_away_ends_the_capture(mac: Mac) -> None:
    capture = capture_of(HandClock())
    capture.start()
    assert (capture.error, capture.flags) == (None, 0)
    mac.has_failed = True
    assert isinstance(capture.error, DeviceLostError)
    assert capture.flags == 1
    assert capture.close(10.0)
    assert capture.close(10.0)
    assert mac.session.closes == 1
    assert capture.error is None


@pytest.mark.parametrize(
    "error", [OSError("AudioHardwareCreateProcessTap failed\nwith status 560947818"), ValueError()]
)
def test_a_refusal_says_where_to_allow_it(mac: Mac, error: Exception) -> None:
    mac.refuses = error
    with pytest.raises(
        DeviceError, match=r"'System audio' cannot be tapped .*Screen & System Audio Recording"
    ) as caught:
        capture_of(HandClock())
    assert "\n" not in str(caught.value)


def test_samples_of_another_kind_are_refused(mac: Mac) -> None:
    mac.is_float = False
    with pytest.raises(DeviceError, match="gives no float samples"):
        capture_of(HandClock())
    assert mac.session.closes == 1


def test_an_output_that_is_gone_is_told(mac: Mac) -> None:
    device = list_taps(0)[1]
    mac.outputs = {}
    with pytest.raises(DeviceError, match="is gone: choose one that stemstream devices lists"):
        TapCapture(device, channels=2)


@pytest.mark.parametrize(("zeros", "plays", "warns"), [(True, True, True), (True, False, False), (False, True, False)])
def test_silence_while_another_program_plays_is_doubted_once(
    mac: Mac, zeros: bool, plays: bool, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    mac.heard_only_zeros, mac.plays = zeros, plays
    clock = HandClock()
    capture = capture_of(clock)
    capture.start()
    with caplog.at_level(logging.WARNING):
        for _ in range(12):
            clock.advance(RATE)
            mac.bring(np.zeros((RATE, 2), np.float32))
    assert [("gives only silence" in record.message) for record in caplog.records] == [True] * warns


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("no module"), "package catap, which is not installed: run pip install 'stemstream[loopb"),
        (
            ImportError("catap requires macOS 14.2 or later. Detected macOS 13.6."),
            "macOS 14.2 or later (catap requires macOS 14.2 or later. Detected macOS 13.6.): install a loopback driver",
        ),
    ],
)
def test_a_missing_part_is_named(error: Exception, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "catap":
                raise error

    monkeypatch.delitem(sys.modules, "catap", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(DeviceError, match="loopback needs") as caught:
        list_taps(0)
    assert words in str(caught.value)
