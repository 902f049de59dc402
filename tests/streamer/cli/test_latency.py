"""``stemstream latency`` tells the round trip by parts, keeps what it measured, and says when nothing came back."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from streamer import measuring
from tests.streamer.cli.conftest import Command
from tests.streamer.scripted_device import ScriptedDevice, sounddevice_of
from tests.streamer.scripted_rtmixer import rtmixer_of

LOOPED = ("latency", "-i", "loop", "-o", "loop", "-m")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMSTREAM_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> ScriptedDevice:
    """States 32 and 64 frames, and loops back after 480; time passes when somebody waits."""
    device = ScriptedDevice(delay=480)
    monkeypatch.setitem(sys.modules, "sounddevice", sounddevice_of(device))
    monkeypatch.setitem(sys.modules, "rtmixer", rtmixer_of(device))
    opened = measuring.open_stream
    monkeypatch.setattr(measuring, "open_stream", lambda asked, engine: opened(asked, engine, clock=device))
    return device


def told(out: str) -> dict[str, str]:
    lines = (re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in out.splitlines())
    return {line[0]: line[-1] for line in lines}


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-b", "128"),
        ("-b", "480", "-r", "44100"),
        ("-r", "16000", "-b", "64"),
        ("--latency-ms", "150"),
        ("--probes", "30", "--ring-blocks", "1"),
    ],
    ids=" ".join,
)
def test_simulated_what_is_promised_is_what_is_measured(command: Command, options: tuple[str, ...]) -> None:
    ended = command("latency", "--simulate", "--json", *options)
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["simulated"] is True
    assert result["probes"]["found"] == result["probes"]["sent"] >= 20
    assert result["difference_frames"] == 0
    assert {trip["total_frames"] for trip in result["trips"]} == {result["promised"]["total_frames"]}
    assert result["calibration_file"] is None


def test_the_latency_asked_for_is_from_plug_to_plug(command: Command) -> None:
    result = json.loads(command("latency", "--simulate", "--json", "--latency-ms", "150").out)
    assert result["measured"]["total"]["median_frames"] == 7_200


def test_the_table_has_every_part_and_adds_up(command: Command, tiny: Path) -> None:
    lines = told(command("latency", "--simulate", "-m", str(tiny)).out)
    parts = (
        "device",
        "ring",
        "processor",
        "rate bridge",
        "delivery",
        "look-ahead",
        "dispatch",
        "compute",
        "guard",
        "total",
    )
    frames = {part: int(lines[part].split()[0]) for part in (*parts, "device in", "device out")}
    assert frames["device in"] + frames["device out"] == frames["device"]
    assert frames["device"] + frames["ring"] + frames["processor"] == frames["total"]
    assert lines["against"] == "as promised, to the frame"
    assert lines["probes"] == "20 of 20 came back"
    assert lines["round trip"].startswith(f"median {frames['total'] / 48:.2f} ms, spread (p5 to p95) 0.00 ms, p95 ")
    assert "the device is made up" in lines["simulated"]


def test_a_device_that_has_more_than_it_states_is_measured_and_remembered(
    command: Command, device: ScriptedDevice, tiny: Path, data: Path
) -> None:
    first = command(*LOOPED, tiny)
    assert first.code == 0, first.err
    lines = told(first.out)
    assert lines["device"].split()[0] == "96"
    assert "stated by driver" in lines["device"]
    assert lines["against"] == "384 frames, 8.00 ms more than promised"
    (kept,) = data.rglob("*.json")
    assert lines["calibration"] == f"stored in {kept}"
    second = told(command(*LOOPED, tiny).out)
    assert "measured before" in second["device"]
    assert second["against"] == "as promised, to the frame"


def test_what_was_measured_is_not_kept_where_that_was_asked(
    command: Command, device: ScriptedDevice, tiny: Path, data: Path
) -> None:
    assert told(command(*LOOPED, tiny, "--no-store").out)["calibration"] == "not stored: as asked"
    assert not data.exists()


def test_where_nothing_comes_back_it_says_what_to_do(
    command: Command, device: ScriptedDevice, tiny: Path, data: Path
) -> None:
    device.delay = 40 * 48_000
    ended = command(*LOOPED, tiny)
    assert ended.code == 3
    assert "no probe came back: connect the output to the input with a cable" in ended.error
    assert "--simulate" in ended.error
    assert told(ended.out)["probes"] == "0 of 20 came back"
    assert not data.exists()


def test_a_device_whose_delay_changes_is_not_kept(
    command: Command, device: ScriptedDevice, tiny: Path, data: Path
) -> None:
    device.events[96_000] = lambda: setattr(device, "delay", 2_000)
    ended = command(*LOOPED, tiny)
    assert ended.code == 0
    assert "not stored: the delays differ by more than a block" in ended.out
    assert not data.exists()


def test_the_report_is_written_whole(command: Command, device: ScriptedDevice, tiny: Path, tmp_path: Path) -> None:
    page = tmp_path / "latency.html"
    ended = command(*LOOPED, tiny, "--report", page)
    assert told(ended.out)["report"] == str(page)
    assert "Latency of loop" in page.read_text(encoding="utf-8")


def test_a_bare_name_is_an_input_also_one_that_is_called_loopback(
    command: Command, device: ScriptedDevice, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = sys.modules["sounddevice"]
    (entry,) = module.query_devices()
    monkeypatch.setitem(entry, "name", "loopback")
    for name in ("loopback", "0", "mic:loopback"):
        assert command("latency", "-i", name, "-o", "loopback", "-m", tiny).code == 0, name


@pytest.mark.parametrize(
    ("options", "told_of"),
    [
        (("--simulate", "-i", "mic"), "--simulate has no device"),
        (("--simulate", "--probes", "5"), "20 to"),
        (("--simulate", "--level-db", "3"), "-60 to 0 dB"),
        (("--simulate", "--report", "page.txt"), "'.txt'"),
        (("--simulate", "-b", "0"), "0"),
        (("--simulate", "--ring-blocks", "0"), "ring_blocks=0"),
        (("--simulate", "--latency-ms", "10"), "--latency-ms 10"),
        (("--simulate", "--device-latency", "soon"), "low, high, or seconds"),
    ],
)
def test_what_is_not_allowed_is_told_in_a_line(command: Command, options: tuple[str, ...], told_of: str) -> None:
    ended = command("latency", *options)
    assert ended.code == 2
    assert told_of in ended.error


def test_a_device_that_is_not_there_is_told_in_a_line(command: Command, device: ScriptedDevice, tiny: Path) -> None:
    ended = command("latency", "-i", "missing", "-m", tiny)
    assert ended.code == 3
    assert "'missing' was not found" in ended.error


def test_the_page_of_the_documentation_shows_what_is_told(command: Command) -> None:
    page = (Path(__file__).parents[3] / "docs" / "measuring.md").read_text(encoding="utf-8")
    shown = page.split("```text\n")[1].split("```")[0]
    assert shown in command("latency", "--simulate").out
