"""Stamps sum up what the newest blocks measured, and cost no array."""

from __future__ import annotations

import tracemalloc

import pytest

from engine.errors import ConfigurationError
from streamer.audio.stamps import BlockStamps, MeasuredLatency


def test_before_the_first_block_there_is_nothing() -> None:
    assert BlockStamps(48_000).snapshot() == MeasuredLatency(48_000, 0, 0, 0, 0, 0, 0, 0)


def test_the_ring_is_what_lies_between_capture_and_place_in_the_output() -> None:
    stamps = BlockStamps(48_000)
    for captured, ring, margin in ((0, 768, 500), (256, 768, -10), (512, 770, 400)):
        stamps.stamp(captured, captured + ring, margin)
    measured = stamps.snapshot()
    assert measured == MeasuredLatency(48_000, 2, 1, 768, 768, 770, 400, -10)
    assert measured.total_frames(processor_frames=3_000, device_frames=256) == 768 + 3_000 + 256


def test_what_came_late_was_not_played_and_measures_nothing() -> None:
    stamps = BlockStamps(48_000)
    for captured, ring, margin in ((0, 768, 0), (256, 900, -1), (512, 100, -256)):
        stamps.stamp(captured, captured + ring, margin)
    assert stamps.snapshot() == MeasuredLatency(48_000, 1, 2, 768, 768, 768, -1, -256)
    stamps = BlockStamps(48_000)
    stamps.stamp(0, 768, -1)
    assert stamps.snapshot() == MeasuredLatency(48_000, 0, 1, 0, 0, 0, -1, -1)


def test_only_the_newest_blocks_count() -> None:
    stamps = BlockStamps(48_000, newest_blocks=4)
    for ring in (1, 1, 1, 5, 6, 7, 8):
        stamps.stamp(0, ring, 0)
    measured = stamps.snapshot()
    assert (measured.blocks, measured.shortest_ring_frames, measured.longest_ring_frames) == (4, 5, 8)


def test_a_stamp_allocates_nothing_to_speak_of() -> None:
    stamps = BlockStamps(48_000)
    stamps.stamp(0, 1, 2)
    tracemalloc.start()
    try:
        for block in range(10_000):
            stamps.stamp(block, block + 1, 2)
        assert tracemalloc.get_traced_memory()[1] < 2_000
    finally:
        tracemalloc.stop()


def test_a_place_for_no_block_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="1 or more"):
        BlockStamps(48_000, newest_blocks=0)
