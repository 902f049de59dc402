"""Monitors through SoundCard: what is listed, what comes, and what happens when a sink or the server goes away."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine.errors import DeviceError, DeviceLostError
from streamer.audio.loopback import pulse
from streamer.audio.loopback.pulse import PulseCapture, list_monitors
from tests.streamer.audio.loopback.hand_clock import HandClock
from tests.streamer.audio.loopback.scripted_soundcard import ScriptedServer, soundcard_of
from tests.streamer.audio.loopback.signatures import parameters_of, parameters_written

F32 = npt.NDArray[np.float32]


def install(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    soundcard, pulseaudio = soundcard_of(server)
    monkeypatch.setitem(sys.modules, "soundcard", soundcard)
    monkeypatch.setitem(sys.modules, "soundcard.pulseaudio", pulseaudio)
    monkeypatch.setattr(pulse.atexit, "register", lambda function: None)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    server = ScriptedServer("speakers", "hdmi")
    server.sinks["hdmi"] = "Display"
    install(server, monkeypatch)
    yield server
    server.hang_up()


def noise(frames: int, seed: int = 0) -> F32:
    return np.random.default_rng(seed).standard_normal((frames, 2)).astype(np.float32)


def capture_of(server: ScriptedServer, clock: HandClock | None = None) -> PulseCapture:
    device = list_monitors(0)[0]
    return PulseCapture(device, sample_rate=44_100, channels=2, block_frames=256, clock=clock)


def test_each_sink_has_a_monitor_and_that_of_the_default_sink_is_the_default(server: ScriptedServer) -> None:
    server.default = "hdmi"
    speakers, hdmi = list_monitors(7)
    assert (speakers.index, speakers.name, speakers.key) == (7, "Monitor of Loudspeakers", "speakers.monitor")
    assert (hdmi.index, hdmi.sink, hdmi.backend) == (8, "Display", "soundcard")
    assert (speakers.is_default_loopback, hdmi.is_default_loopback) == (False, True)
    assert (hdmi.max_input_channels, hdmi.max_output_channels, hdmi.is_monitor) == (2, 0, True)


def test_monitors_of_one_name_are_told_apart_by_their_key(server: ScriptedServer) -> None:
    server.sinks["hdmi"] = server.sinks["speakers"]
    assert [device.name for device in list_monitors(0)] == [
        "Monitor of Loudspeakers (speakers.monitor)",
        "Monitor of Loudspeakers (hdmi.monitor)",
    ]


def test_a_server_without_sinks_has_no_monitors(server: ScriptedServer) -> None:
    server.sinks = {}
    assert list_monitors(0) == ()


def test_what_the_server_sends_is_what_is_heard_without_a_gap(server: ScriptedServer) -> None:
    sound = noise(1500)
    server.chunks = list(np.split(sound, [255, 510, 511]))
    capture = capture_of(server)
    capture.start()
    assert server.is_drained.wait(10.0)
    assert capture.written == 1500
    out = np.zeros((2, 1500), np.float32)
    assert capture.copy(0, out)
    np.testing.assert_array_equal(out, sound.T)
    assert not capture.copy(1, out)
    assert server.asked == [("speakers.monitor", 44_100, 2, 256)]
    assert (capture.sample_rate, capture.channels, capture.latency_frames) == (44_100, 2, 256)
    assert (capture.error, capture.flags) == (None, 0)
    server.hang_up()
    assert capture.close(10.0)
    assert capture.close(10.0)
    assert server.exits == 1
    assert capture.error is None


def test_a_thread_that_the_server_keeps_waiting_is_left_behind(server: ScriptedServer) -> None:
    capture = capture_of(server)
    capture.start()
    assert server.is_drained.wait(10.0)
    assert not capture.close(0.01)
    server.hang_up()
    assert capture.close(10.0)


@pytest.mark.parametrize(
    "fault", [RuntimeError("Recording failed, stream is in status FAILED"), ValueError("zero-dimensional\narrays")]
)
def test_a_server_that_dies_ends_the_capture_with_one_line(server: ScriptedServer, fault: Exception) -> None:
    server.chunks = [noise(100), fault]
    capture = capture_of(server)
    capture.start()
    capture._thread.join(10.0)
    assert isinstance(capture.error, DeviceLostError)
    said = str(capture.error)
    assert "'Monitor of Loudspeakers' was lost (SoundCard said: " in said
    assert "\n" not in said
    assert capture.written == 100
    assert server.exits == 1


def test_a_sink_that_goes_away_ends_the_capture_though_the_server_sends_another_source(
    server: ScriptedServer,
) -> None:
    clock = HandClock()
    capture = capture_of(server, clock)
    microphone = noise(24_000)

    class Later(list[F32]):
        def pop(self, at: int = 0) -> F32:  # type: ignore[override]
            if len(self) == 2:
                del server.sinks["speakers"]
            clock.advance(24_000)
            return super().pop(at)

    server.chunks = Later([noise(24_000), noise(24_000), microphone, microphone])  # type: ignore[assignment]
    capture.start()
    capture._thread.join(10.0)
    assert isinstance(capture.error, DeviceLostError)
    assert "its sink is gone" in str(capture.error)
    assert len(server.chunks) == 1


def test_a_refusal_is_told_in_one_line(server: ScriptedServer) -> None:
    capture = capture_of(server)
    server.refuses = True
    with pytest.raises(DeviceError, match="'Monitor of Loudspeakers' cannot be opened"):
        capture.start()
    assert capture.close(1.0)


def test_a_monitor_that_is_gone_is_not_replaced_by_a_similar_one(server: ScriptedServer) -> None:
    capture = capture_of(server)
    server.sinks = {"speakers2": "Other"}
    with pytest.raises(DeviceError, match="is gone: choose one that stemstream devices lists"):
        capture.start()


@pytest.mark.parametrize("is_checked", [True, False])
def test_a_server_that_was_started_again_is_connected_to_anew(server: ScriptedServer, is_checked: bool) -> None:
    server.is_checked = is_checked
    list_monitors(0)
    assert server.connections == 1
    server.is_alive = False
    for _ in range(2):
        with pytest.raises(DeviceError, match="none answers: start one") as caught:
            list_monitors(0)
        assert caught.value.exit_code == 3
    server.is_alive = True
    sys.modules["soundcard.pulseaudio"]._pulse.context = 5  # type: ignore[attr-defined]
    before = server.connections
    assert len(list_monitors(0)) == 2
    assert server.connections == before + 1


def test_a_server_that_dies_while_it_is_asked_does_not_end_the_process(server: ScriptedServer) -> None:
    list_monitors(0)
    sys.modules["soundcard.pulseaudio"]._pulse.context = 5  # type: ignore[attr-defined]
    sys.modules["soundcard.pulseaudio"]._pulse.ask()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImportError("no module"), "package soundcard, which is not installed: run pip install 'stemstream[loopback]'"),
        (OSError("cannot load library 'pulse'"), "libpulse, which was not found: apt install libpulse0"),
        (AssertionError(), "a PulseAudio or PipeWire server, and none answers"),
    ],
)
def test_a_missing_part_is_named(error: Exception, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "soundcard":
                raise error

    monkeypatch.delitem(sys.modules, "soundcard", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(DeviceError, match="loopback needs") as caught:
        list_monitors(0)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arguments_of_the_program_are_left_as_they_were(server: ScriptedServer) -> None:
    before = sys.argv
    list_monitors(0)
    assert sys.argv is before


@pytest.mark.parametrize(
    "name",
    [
        "all_microphones",
        "get_microphone",
        "default_speaker",
        "_PulseAudio.__init__",
        "_PulseAudio._shutdown",
        "_Microphone.recorder",
        "_Recorder.record",
    ],
)
def test_the_fake_has_the_signatures_of_the_package(name: str) -> None:
    spec = importlib.util.find_spec("soundcard")
    if spec is None or spec.origin is None:
        pytest.skip("soundcard is not installed: pip install 'stemstream[loopback]'")
    source = Path(spec.origin).with_name("pulseaudio.py")
    fake: object = soundcard_of(ScriptedServer("a"))[1]
    for part in name.split("."):
        fake = getattr(fake, part)
    assert parameters_of(fake) == parameters_written(source, name)  # type: ignore[arg-type]
    text = source.read_text()
    assert all(f"{word} = _lock(" in text for word in ("_pa_context_get_state", "_pa_operation_unref"))
