"""What the table of overhead itemises is where the code is."""

from __future__ import annotations

import pytest

from benchmarks.overhead import _PARTS, _ROWS, _at_once, _profiled


@pytest.mark.parametrize("row", _ROWS)
def test_every_part_takes_some_of_the_time(row: str) -> None:
    parts = _profiled(row, 6.0)["parts"]
    assert set(parts) == set(_PARTS)
    assert all(0 < share < 1 for share in parts.values())
    assert sum(parts.values()) < 1


def test_processor_time_is_told_for_a_second_of_audio() -> None:
    assert _at_once("short windows, equal rates", 1.0)["percent"] > 0
