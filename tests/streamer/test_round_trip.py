"""What was measured is put beside what was promised, part by part, and adds up."""

from __future__ import annotations

import pytest

from streamer.round_trip import Statistics
from tests.streamer.round_trips import PROCESSOR, RING, made_up

PROMISED = 256 + RING + PROCESSOR.total_frames


def test_what_comes_back_as_promised_differs_by_nothing() -> None:
    trip = made_up([PROMISED] * 20)
    assert (trip.found, trip.difference_frames) == (20, 0)
    assert trip.total == Statistics(20, PROMISED, PROMISED, PROMISED, PROMISED, PROMISED)
    assert trip.device == Statistics(20, *5 * [256])


def test_the_devices_part_is_the_whole_less_ring_and_processor() -> None:
    trip = made_up([PROMISED + 100] * 20, device_frames=300)
    assert trip.difference_frames == 100 - 44
    assert trip.device is not None
    assert trip.device.median_frames == 356


def test_a_clock_bridge_is_no_part_of_the_device() -> None:
    trip = made_up([PROMISED + 500] * 20, clock_bridge_frames=500)
    assert trip.difference_frames == 0
    assert trip.device is not None
    assert trip.device.median_frames == 256
    assert [row.name for row in trip.rows][3:6] == ["ring, clocks", "clock bridge", "ring"]


def test_lines_without_a_margin_add_up_to_the_total_and_the_others_to_the_line_before_them() -> None:
    for trip in (made_up([PROMISED] * 20), made_up([PROMISED] * 20, clock_bridge_frames=77)):
        *rows, total = trip.rows
        assert total.name == "total"
        assert sum(row.promised_frames for row in rows if row.depth == 0) == total.promised_frames
        by_name = {row.name: row.promised_frames for row in rows}
        inside = ("rate bridge", "delivery", "look-ahead", "dispatch", "compute", "guard")
        assert sum(by_name[name] for name in inside) == by_name["processor"]


def test_statistics_are_delays_that_occurred() -> None:
    delays = [100] * 12 + [110] * 6 + [150, 200]
    found = Statistics.of(delays)
    assert found is not None
    assert (found.median_frames, found.p5_frames, found.p95_frames) == (100, 100, 150)
    assert (found.min_frames, found.max_frames, found.spread_frames) == (100, 200, 50)


def test_probes_that_did_not_come_back_count_for_nothing_but_that() -> None:
    trip = made_up([PROMISED, None] * 10)
    assert (trip.found, len(trip.trips), trip.difference_frames) == (10, 20, 0)
    nothing = made_up([None] * 20)
    assert (nothing.found, nothing.total, nothing.device, nothing.difference_frames) == (0, None, None, None)
    assert nothing.as_dict()["measured"]["total"] is None


@pytest.mark.parametrize("key", ["sample_rate", "probes", "promised", "measured", "trips", "xruns", "blocks"])
def test_json_holds_everything(key: str) -> None:
    assert made_up([PROMISED] * 20).as_dict()[key] is not None
