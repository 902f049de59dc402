"""``stemstream live`` from its options to its exit code, on a device in virtual time."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from streamer import LiveSession
from streamer.cli import live_desk, live_status
from streamer.cli.live_keys import KEYS_HELP
from tests.engine.onnx_models import describe, gains
from tests.engine.onnx_models import save as save_model
from tests.streamer.cli.conftest import Command, Ended
from tests.streamer.scripted_device import RATE, STATED, ScriptedDevice
from tests.streamer.scripted_session import PATIENCE_S, processor_on

HOP_S = 1024 / RATE


class Stage:
    """Where the command plays: its sessions run in the device's time, and so does its own clock."""

    def __init__(self, device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
        self.device = device
        self.sessions: list[LiveSession] = []
        self.run_s: Sequence[float] = ()
        """What the first model is measured to take."""
        self.later_run_s: Sequence[float] = ()
        """And those after it."""
        self.is_heard = threading.Event()
        stage = self

        class Session(LiveSession):
            def __init__(self, processor: Any, **options: Any) -> None:
                scripted = {"clock": device, "engine": "callback", "freezes": False, "priority": False}
                super().__init__(processor, **(options | scripted))
                stage.sessions.append(self)

            def wait(self, timeout_s: float | None = None) -> bool:
                stage.is_heard.set()
                return super().wait(timeout_s)

        def processor(separator: Any, *, realtime: bool, priority: bool, plan: Any) -> Any:
            assert realtime
            return processor_on(
                device, separator, run_s=stage.later_run_s if stage.sessions else stage.run_s, plan=plan
            )

        monkeypatch.setattr("streamer.live.LiveSession", Session)
        monkeypatch.setattr("streamer.processor.StemProcessor", processor)
        monkeypatch.setattr(live_desk, "time", SimpleNamespace(monotonic=device.now))

    @property
    def session(self) -> LiveSession:
        """The one that was begun last."""
        return self.sessions[-1]

    def at(self, frame: int, do: Callable[[], object]) -> None:
        """Do something when the device is there, not before the command waits for the end."""

        def act() -> None:
            assert self.is_heard.wait(PATIENCE_S)
            do()

        self.device.events[frame] = act


@pytest.fixture
def stage(device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(device, monkeypatch)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quarter of the input, half of it, and the rest, at the device's rate."""
    made = describe(
        gains(0.25, 0.5, 0.25),
        name="parts",
        sample_rate=RATE,
        stems=["vocals", "drums", "other"],
        window_frames=2048,
        hop_frames=1024,
    )
    return save_model(tmp_path_factory.mktemp("model") / "parts.onnx", made)


@pytest.fixture
def live(command: Command, stage: Stage, model: Path) -> Command:
    """Run the command with the small model."""

    def run(*options: str | Path) -> Ended:
        return command("live", "-m", model, *options)

    return run


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], object]]:
    """Type on a terminal that stands in for standard input."""
    far_end, descriptor = os.openpty()
    with os.fdopen(descriptor, "r", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        yield lambda text: os.write(far_end, text.encode())
    os.close(far_end)


def told(out: str) -> dict[str, str]:
    """Read a report by the first word of its lines."""
    return {line[:10].strip(): line[10:] for line in out.splitlines()}


# How it ends


def test_after_its_duration_it_reports_and_ends_with_0(live: Command, stage: Stage) -> None:
    ended = live("--duration", "1")
    assert ended.code == 0, ended.err
    stats = stage.session.stats()
    assert stats.frames >= RATE
    lines = told(ended.out)
    assert lines["latency"] == str(stage.session.latency)
    assert lines["misses"] == f"0 of {stats.blocks} blocks"
    assert lines["coverage"] == "100.00 % of the sound was separated"
    assert ended.err.splitlines() == [
        "from 0 loop (virtual, 2 in, 2 out) to 0 loop (virtual, 2 in, 2 out)",
        f"latency {stage.session.latency}",
    ]


def test_what_is_heard_is_what_comes_in(live: Command, stage: Stage) -> None:
    assert live("--duration", "1").code == 0
    device = stage.device
    assert device.sound is not None
    delay = stage.session.latency.total_frames - sum(STATED)
    played = device.played[:, delay : RATE // 2]
    np.testing.assert_allclose(played, device.sound[:, : played.shape[1]], atol=1e-6)


def test_ctrl_c_reports_and_ends_with_130(live: Command, stage: Stage) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        stage.at(RATE, lambda: os.kill(os.getpid(), signal.SIGINT))
        ended = live()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.code == 130
    assert ended.err.splitlines()[-1] == "interrupted"
    assert ended.errors == []
    assert told(ended.out)["length"].endswith("1 epoch(s)")
    # The sound ended as it should, and all is let go of.
    assert stage.session.wait(0.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--latency-ms", "fast"], "--latency-ms 'fast' is no latency"),
        (["--latency-ms", "20"], "--latency-ms 20: 20 ms from end to end are too little for 'parts'"),
        (["--gain", "vocals"], "--gain 'vocals' is not STEM=DB"),
        (["--gain", "vocals=40"], "gain_db of vocals is 40.0"),
        (["--mute", "piano"], "stem 'piano' is unknown"),
        (["--stem-outputs", "piano=1"], "stem 'piano' is unknown"),
        (["--stem-outputs", "vocals=1", "drums=1"], "output channel 1 is used twice"),
        (["mic", "loopback"], "sources mic, loopback were given: give one"),
        (["line"], "source 'line' is not known: use mic, mic:NAME"),
        (["--stem-outputs", "vocals=1", "drums=x", "mic:loop"], "output 'drums=x' has 'x' for a channel"),
        (["--device-latency", "fast"], "--device-latency 'fast' is not known"),
        (["--hop-ms", "nan"], "--hop-ms nan is no time between two windows"),
        (["--hop-ms", "1000"], "is too long: it must be at most window - look-ahead"),
        (["-b", "0"], "error: --block-frames 0 is not supported"),
        (["--ring-blocks", "0"], "error: --ring-blocks 0 is not supported"),
        (["-r", "1"], "error: --sample-rate 1 is not supported"),
        (["--no-such-option"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_allowed_ends_with_2_and_one_line(live: Command, options: list[str], said: str) -> None:
    ended = live("--duration", "0.1", *options)
    assert ended.code == 2
    assert said in ended.error
    assert ended.out == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "piano"], "output device 'piano' was not found"),
        (["mic:piano"], "input device 'piano' was not found"),
        (["--stem-outputs", "vocals=1,2", "drums=3,4"], "'loop' has 2 channel(s), and channel 4 was asked for"),
        (["-r", "22050"], "rates taken are 44100, 48000; use one as --sample-rate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_the_device_does_not_do_ends_with_3_and_one_line(
    live: Command, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    if "-r" in options:
        refuse_the_rate(monkeypatch)
    ended = live("--duration", "0.1", *options)
    assert ended.code == 3
    assert said in ended.error
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("duration", ["-1", "nan"])
def test_what_is_no_length_ends_with_2(live: Command, duration: str) -> None:
    ended = live("--duration", duration)
    assert ended.code == 2
    assert f"--duration {duration} is no length: give seconds, 0 or more" in ended.error


def refuse_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = sys.modules["sounddevice"]

    def refuse(**options: Any) -> None:
        raise module.PortAudioError("Invalid sample rate", -9997)

    monkeypatch.setattr(module, "Stream", refuse)


def test_a_microphone_that_would_howl_ends_with_3(live: Command) -> None:
    hosts = ({"name": "ALSA", "default_input_device": 0, "default_output_device": 0},)
    sys.modules["sounddevice"].query_hostapis = lambda: hosts  # type: ignore[attr-defined]
    ended = live("--duration", "1")
    assert ended.code == 3
    assert "allow it with --allow-feedback" in ended.error
    assert live("--duration", "1", "--allow-feedback").code == 0


def test_a_model_that_is_too_slow_ends_with_4_and_what_would_work(live: Command, stage: Stage) -> None:
    stage.run_s = [1.5 * HOP_S] * 200
    ended = live("--duration", "1")
    assert ended.code == 4
    assert "'parts' takes 32.0 ms (p99 of 200 runs) of the 21.3 ms between two windows" in ended.error
    assert "a lighter model such as 'spatial'" in ended.error
    assert ended.out == ""


def test_a_model_that_has_little_time_is_warned_of(live: Command, stage: Stage) -> None:
    stage.run_s = [0.8 * HOP_S] * 200
    ended = live("--duration", "1")
    assert ended.code == 0
    assert [line for line in ended.err.splitlines() if line.startswith("warning: ")] == [
        "warning: 'parts' takes 17.1 ms (p99 of 200 runs) of the 21.3 ms between two windows, 80 % of it: "
        "expect misses when the machine has other work"
    ]


def test_a_model_that_is_not_there_ends_with_4(command: Command, stage: Stage) -> None:
    ended = command("live", "-m", "no-such-model")
    assert ended.code == 4
    assert "no-such-model" in ended.error


def test_a_folder_that_takes_no_recording_ends_with_1(live: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = live("--record", tmp_path / "file")
    assert ended.code == 1
    assert "cannot take a recording" in ended.error


def test_with_standard_error_closed_it_plays_and_reports_all_the_same(
    live: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    ended = live("--duration", "0.5")
    assert ended.code == 0
    assert told(ended.out)["coverage"] == "100.00 % of the sound was separated"


# An input that gives nothing


def test_a_microphone_that_gives_nothing_ends_with_3_and_one_line(live: Command, stage: Stage) -> None:
    stage.device.sound = np.zeros((2, RATE), np.float32)
    ended = live("--duration", "10")
    assert ended.code == 3
    assert ended.error.startswith("error: the input has given nothing but digital silence for 3 s: check that")
    assert "--allow-silence" in ended.error
    # After the two lines of the start.
    assert len(ended.err.splitlines()) == 3
    assert ended.out == ""


def test_silence_may_be_allowed(live: Command, stage: Stage) -> None:
    stage.device.sound = np.zeros((2, RATE), np.float32)
    ended = live("--allow-silence", "--duration", "4")
    assert ended.code == 0
    assert "warning: the input has given nothing but digital silence for 3 s" in ended.err.splitlines()


def test_a_loopback_may_be_silent(live: Command, stage: Stage) -> None:
    module: Any = sys.modules["sounddevice"]
    (entry,) = module.query_devices()
    module.query_devices = lambda: [entry | {"name": "Monitor of loop"}]
    stage.device.sound = np.zeros((2, RATE), np.float32)
    ended = live("mic:Monitor", "--allow-feedback", "--duration", "4")
    assert ended.code == 0
    assert "warning: the input has given nothing but digital silence for 3 s" in ended.err.splitlines()


# What its options do


def test_json_holds_the_whole_report(live: Command, stage: Stage) -> None:
    ended = live("--duration", "1", "--json", "--latency-ms", "200", "--record", "takes")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["operating_point"] == "200 ms"
    assert result["input"]["name"] == result["output"]["name"] == "loop"
    assert result["latency"]["total_frames"] == sum(result["latency"]["parts_frames"].values()) == RATE // 5
    assert result["latency"]["device_is_measured"] is False
    assert result["measured"]["total_frames"] == RATE // 5
    assert result["counters"]["coverage"] == 1.0
    assert result["counters"]["misses"] == result["xruns"] == result["clipped_samples"] == 0
    assert (result["epochs"], result["returns"], result["skipped_frames"]) == (1, 0, 0)
    assert result["frames"] == 256 * result["blocks"]
    assert result["recording"]["state"] == "closed"
    assert result["hop_s"] == pytest.approx(HOP_S)
    assert (result["capacity"], result["drift"], result["priorities"], result["events"]) == (None, None, [], [])


def test_what_is_recorded_is_what_was_heard(live: Command, stage: Stage) -> None:
    ended = live("--duration", "1", "--record", "takes", "--mute", "vocals")
    assert ended.code == 0
    vocals = soundfile.read("takes/take-001/vocals.wav", dtype="float32")[0].T
    assert stage.device.sound is not None
    np.testing.assert_allclose(vocals, 0.25 * stage.device.sound[:, : vocals.shape[1]], atol=1e-6)
    assert told(ended.out)["recorded"] == f"{vocals.shape[1] / RATE:.1f} s, 0 frames lost"


def test_stems_begin_as_they_are_set_and_come_out_where_they_are_sent(live: Command, stage: Stage) -> None:
    ended = live(
        "--duration",
        "1",
        "--stem-outputs",
        "drums=2",
        "mix=1",
        "--mute",
        "vocals",
        "--gain",
        f"drums={-20 * np.log10(2)}",
    )
    assert ended.code == 0, ended.err
    device = stage.device
    assert device.sound is not None
    delay = stage.session.latency.total_frames - sum(STATED)
    played = device.played[:, delay : RATE // 2]
    middle = device.sound[:, : played.shape[1]].mean(axis=0)
    np.testing.assert_allclose(played[0], 0.5 * middle, atol=1e-6)
    np.testing.assert_allclose(played[1], 0.25 * middle, atol=1e-6)


def test_a_model_that_fits_the_latency_is_chosen(command: Command, stage: Stage) -> None:
    # Too little for the usual one.
    ended = command("live", "--latency-ms", "60", "--duration", "0.5", "--json")
    assert ended.code == 0, ended.err
    assert [session._processor.spec.name for session in stage.sessions] == ["spatial", "spatial-low"]
    assert json.loads(ended.out)["latency"]["total_frames"] == 60 * RATE // 1000


def test_a_latency_that_no_model_has_is_refused_with_one_that_works(command: Command, stage: Stage) -> None:
    ended = command("live", "--latency-ms", "20", "--duration", "0.1")
    assert ended.code == 2
    (smallest,) = re.findall(r"the smallest that works here is ([0-9.]+) ms", ended.error)
    assert command("live", "--latency-ms", smallest, "--duration", "0.5").code == 0


@pytest.mark.parametrize(
    ("options", "asked"),
    [([], "low"), (["--latency-ms", "quality"], "high"), (["--device-latency", "0.05"], 0.05)],
)
def test_the_driver_is_asked_for_what_goes_with_the_operating_point(
    live: Command, options: list[str], asked: str | float
) -> None:
    assert live("--duration", "0.2", *options).code == 0
    assert sys.modules["sounddevice"].opened[-1]["latency"] == asked  # type: ignore[attr-defined]


def test_devices_are_listed(command: Command, stage: Stage) -> None:
    listed = command("live", "--list-devices")
    assert listed.code == 0
    assert listed.out == command("devices").out
    assert "loop" in listed.out
    assert json.loads(command("live", "-l", "--json").out)["devices"][0]["name"] == "loop"
    assert stage.sessions == []


# While it runs


def test_what_happens_is_told_as_it_happens_and_in_the_report(live: Command, stage: Stage) -> None:
    device = stage.device
    stage.at(RATE, lambda: setattr(device, "is_alive", False))
    device.events[4 * RATE] = lambda: setattr(device, "is_alive", True)
    ended = live("--duration", "6", "--json")
    assert ended.code == 0
    warnings = [line for line in ended.err.splitlines() if line.startswith("warning: ")]
    assert "has stood still for 1 s" in warnings[0]
    assert "is back" in warnings[-1]
    events = json.loads(ended.out)["events"]
    assert (events[0]["kind"], events[-1]["kind"]) == ("lost", "returned")
    assert [f"warning: {event['text']}" for event in events] == warnings


def test_a_recording_that_ends_is_told_once_and_the_sound_goes_on_and_the_code_is_1(
    live: Command, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.files.writer.AudioWriter.write", fail)
    ended = live("--duration", "2", "--record", "takes")
    assert ended.code == 1
    assert ended.errors == []
    warnings = [line for line in ended.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: the sound goes on, the recording does not: ")
    assert told(ended.out)["coverage"].startswith("100.00 %")


def test_looking_for_what_happened_does_not_count_everything_each_time(
    live: Command, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[bool] = []
    stats = LiveSession.stats

    def counting(session: LiveSession) -> Any:
        counted.append(session.wait(0.0))
        return stats(session)

    monkeypatch.setattr(LiveSession, "stats", counting)
    assert live("--duration", "2", "--record", "takes").code == 0
    # For the report, when nothing has to be on time any more.
    assert counted
    assert all(counted)


def test_keys_set_the_mixer_and_q_leaves(
    live: Command, stage: Stage, keys: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys("1@\x1b[C\x1b[B\x1b[B q")
    ended = live()
    assert ended.code == 0
    assert KEYS_HELP in ended.err.splitlines()
    mixer = stage.session.mixer
    assert [mixer[stem].mute for stem in mixer] == [True, False, False]
    assert [mixer[stem].solo for stem in mixer] == [False, True, False]
    assert [mixer[stem].gain_db for stem in mixer] == [0.0, -2.0, 0.0]
    assert mixer.bypass


def test_m_goes_to_the_next_operating_point_and_says_so(
    command: Command, stage: Stage, keys: Callable[[str], object]
) -> None:
    # From the usual one to the one with most time, and on to the quickest.
    keys("1mmq")
    ended = command("live", "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert (result["operating_point"], result["model"], result["device_latency"]) == ("low", "spatial-low", "low")
    first, second = (event["text"] for event in result["events"])
    told = r"spatial took over \(quality, the device's buffers as they were opened\): [0-9.]+ ms became 150\.0 ms"
    assert re.fullmatch(told, first)
    assert second.startswith("spatial-low took over (low): 150.0 ms became ")
    assert {first, second} <= set(ended.err.splitlines())
    assert stage.session.mixer["vocals"].mute
    assert len(stage.sessions) == 1


def test_m_keeps_the_model_and_comes_back_to_the_latency_that_was_asked_for(
    live: Command, stage: Stage, keys: Callable[[str], object]
) -> None:
    keys("mmmmq")
    ended = live("--latency-ms", "200", "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["operating_point"] == "200 ms"
    names = [re.match(r"(\S+) took over \(([^,)]+)", event["text"]) for event in result["events"]]
    assert [found.groups() for found in names if found] == [
        ("parts", "low"),
        ("parts", "balanced"),
        ("parts", "quality"),
        ("parts", "200 ms"),
    ]
    assert result["latency"]["total_frames"] == RATE // 5


@pytest.mark.parametrize("way", ["q", "ctrl-c"])
def test_the_end_is_heard_while_a_model_gets_ready(
    live: Command, stage: Stage, keys: Callable[[str], object], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    is_over, begun = threading.Event(), threading.Event()
    stop, change = LiveSession.stop, LiveSession.change

    def ready_only_after_the_end(session: LiveSession, *arguments: Any, **options: Any) -> Any:
        begun.set()
        if way == "q":
            keys("q")
        else:
            os.kill(os.getpid(), signal.SIGINT)
        assert is_over.wait(PATIENCE_S), "the end was not heard before the model was ready"
        return change(session, *arguments, **options)

    def stopped(session: LiveSession) -> None:
        is_over.set()
        stop(session)

    monkeypatch.setattr(LiveSession, "change", ready_only_after_the_end)
    monkeypatch.setattr(LiveSession, "stop", stopped)
    keys("m")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        ended = live("--json")
    finally:
        signal.signal(signal.SIGINT, before)
    assert begun.is_set()
    assert ended.code == (0 if way == "q" else 130)
    assert json.loads(ended.out)["operating_point"] == "balanced"
    assert not any(thread.name == "stemstream-change" for thread in threading.enumerate())


def test_a_change_that_is_refused_is_told_and_the_session_stays(
    command: Command, stage: Stage, keys: Callable[[str], object]
) -> None:
    keys("mq")
    stage.later_run_s = [1.0] * 20
    ended = command("live", "--json")
    assert ended.code == 0
    result = json.loads(ended.out)
    assert (result["operating_point"], result["events"]) == ("balanced", [])
    (warning,) = [line for line in ended.err.splitlines() if line.startswith("warning: ")]
    assert warning.startswith("warning: stays as it is: 'spatial' takes 1000.0 ms")


def test_a_change_to_a_model_with_little_time_is_warned_of(
    command: Command, stage: Stage, keys: Callable[[str], object]
) -> None:
    keys("mq")
    stage.later_run_s = [0.009] * 20
    ended = command("live", "--json")
    assert json.loads(ended.out)["operating_point"] == "quality"
    (warning,) = [line for line in ended.err.splitlines() if line.startswith("warning: ")]
    assert "'spatial' takes 9.0 ms" in warning


def test_the_status_is_shown_where_standard_error_is_a_terminal(
    live: Command, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_shown = threading.Event()

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            if "misses" in text:
                is_shown.set()
            return super().write(text)

    stage.at(RATE // 2, lambda: is_shown.wait(PATIENCE_S))
    screen = Screen()
    monkeypatch.setattr(live_status, "sys", SimpleNamespace(stderr=screen))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "300")
    assert live("--duration", "1", "--mute", "drums").code == 0
    shown = [line.rstrip("\r") for line in screen.getvalue().split("\x1b[K")]
    assert any(" | misses 0 | " in line and line.endswith("[1 vocals]  2 drums muted  3 other") for line in shown)
    # The line is gone before anything else is written.
    assert screen.getvalue().endswith("\r\x1b[K")
