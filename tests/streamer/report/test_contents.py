"""What a report shows, as plain values."""

from __future__ import annotations

import base64
import json
from dataclasses import fields

import pytest

from streamer.latency import LatencyReport
from streamer.report.contents import LATENCY_PARTS, RUNGS
from streamer.stats import ProcessorStats
from tests.streamer.report.reports import BLOCK, RATE, contents


def test_every_part_of_the_latency_is_explained() -> None:
    assert set(LATENCY_PARTS) == set(LatencyReport(48_000, 1, 2, 3, 4, 5, 6).parts)


def test_every_rung_is_explained() -> None:
    counted = {field.name.removesuffix("_frames") for field in fields(ProcessorStats) if field.name.endswith("_frames")}
    assert set(RUNGS) == counted


def test_the_parts_of_the_latency_add_up() -> None:
    latency = contents()["latency"]
    assert sum(part["frames"] for part in latency["parts"]) == latency["frames"]
    assert sum(part["ms"] for part in latency["parts"]) == pytest.approx(latency["ms"])


def test_misses_stand_at_their_blocks() -> None:
    made = contents(missed=[3, 4, 250])
    assert [block for block, count in enumerate(made["block_times"]["missed"]) if count] == [3, 4, 250]
    assert made["process_ms"]["deadline"] == pytest.approx(1000 * BLOCK / RATE)


def test_the_real_time_factor_is_time_spent_over_time_played() -> None:
    assert contents(seconds=3.0, is_realtime=False, slow=0.25)["real_time_factor"] == pytest.approx(0.25, abs=0.01)
    assert contents(seconds=1.0)["longest_lag_ms"] == pytest.approx(1.2)


def test_scores_that_are_no_numbers_can_be_written_as_json() -> None:
    made = contents(("one",), with_truth=True)
    (score,) = json.loads(json.dumps(made["scores"], allow_nan=False))
    assert score["stem"] == "one"
    assert score["si_sdr_db"] in ("Infinity", pytest.approx(score["si_sdr_db"]))


@pytest.mark.parametrize("channels", [1, 2])
def test_levels_have_the_shape_that_is_named(channels: int) -> None:
    for signal in contents(channels=channels)["signals"]:
        assert len(base64.b64decode(signal["levels"])) == signal["bands"] * signal["columns"]


def test_a_recording_of_no_length_has_contents() -> None:
    made = contents(seconds=0.0)
    assert made["duration_s"] == 0.0
    assert made["listening"] == {"seconds": 0.0, "sample_rate": RATE, "is_cut": False}
    json.dumps(made, allow_nan=False)
