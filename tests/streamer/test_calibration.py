"""What was measured of a device is kept for that device and these settings, and never trusted blindly."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import OutputError
from streamer.audio.stream import DeviceLatency, StreamFormat
from streamer.calibration import (
    Calibration,
    CalibrationKey,
    calibration_file,
    calibrations_folder,
    forget_calibration,
    load_calibration,
    store_calibration,
)
from tests.streamer.scripted_device import LOOP

KEY = CalibrationKey.of(StreamFormat(LOOP, LOOP, 48_000, 2, 2, 256, 3), DeviceLatency(32, 64))
FOUND = Calibration(1023, 1, 20, "2026-01-02T03:04:05+00:00", {"stemstream": "0.1.0"})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMSTREAM_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_nothing_is_known_at_first() -> None:
    assert load_calibration(KEY) is None


def test_what_is_stored_is_found_again_in_the_folder_that_was_named(folder: Path) -> None:
    path = store_calibration(KEY, FOUND)
    assert path == calibration_file(KEY)
    assert path.parent == folder / "calibrations"
    assert load_calibration(KEY) == FOUND
    assert sorted(folder.rglob("*.part")) == []


def test_without_a_name_it_lies_in_the_data_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    import platformdirs

    monkeypatch.delenv("STEMSTREAM_DATA")
    assert calibrations_folder().is_relative_to(platformdirs.user_data_path("stemstream", appauthor=False))


def test_a_later_one_takes_the_place_of_an_earlier_one() -> None:
    store_calibration(KEY, FOUND)
    store_calibration(KEY, replace(FOUND, device_frames=2000))
    found = load_calibration(KEY)
    assert found is not None
    assert found.device_frames == 2000


@pytest.mark.parametrize(
    "other",
    [
        {"host_api": "JACK"},
        {"input": "microphone"},
        {"output": "headphones"},
        {"sample_rate": 44_100},
        {"block_frames": 128},
        {"device_latency": "high"},
        {"stated_input_frames": 33},
        {"stated_output_frames": 65},
    ],
)
def test_it_holds_for_nothing_else(other: dict[str, object]) -> None:
    store_calibration(KEY, FOUND)
    assert load_calibration(replace(KEY, **other)) is None  # type: ignore[arg-type]


def damaged(text: str) -> bytes:
    values = json.loads(text)
    values["calibration"]["device_frames"] = "many"
    return json.dumps(values).encode()


@pytest.mark.parametrize("how", ["cut", "no text", "empty", "wrong type", "another version"])
def test_a_damaged_file_is_named_and_left_aside(how: str, caplog: pytest.LogCaptureFixture) -> None:
    path = store_calibration(KEY, FOUND)
    text = path.read_text()
    path.write_bytes(
        {
            "cut": text[:-20].encode(),
            "no text": b"\xff\x00\xfe",
            "empty": b"",
            "wrong type": damaged(text),
            "another version": text.replace('"version": 1', '"version": 2').encode(),
        }[how]
    )
    with caplog.at_level(logging.WARNING, "stemstream"):
        assert load_calibration(KEY) is None
    (record,) = caplog.records
    assert path.name in record.getMessage()
    store_calibration(KEY, FOUND)
    assert load_calibration(KEY) == FOUND


def test_a_file_under_the_wrong_name_is_not_taken() -> None:
    store_calibration(KEY, FOUND).rename(calibration_file(replace(KEY, sample_rate=44_100)))
    assert load_calibration(replace(KEY, sample_rate=44_100)) is None


def test_it_can_be_forgotten() -> None:
    store_calibration(KEY, FOUND)
    assert forget_calibration(KEY)
    assert load_calibration(KEY) is None
    assert not forget_calibration(KEY)


def test_a_folder_that_cannot_be_made_is_told(folder: Path) -> None:
    folder.write_text("in the way")
    with pytest.raises(OutputError, match="STEMSTREAM_DATA"):
        store_calibration(KEY, FOUND)


def test_a_key_is_what_was_asked_and_what_the_driver_states() -> None:
    assert CalibrationKey("virtual", "loop", "loop", 48_000, 256, "low", 32, 64) == KEY
