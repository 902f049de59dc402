"""A ring that is too short is told of once, with a depth that works."""

from __future__ import annotations

from streamer.late_watch import LateWatch

RATE, BLOCK = 48_000, 64


def told(margins: tuple[int, ...], blocks: int = 3000, ring: int = 64) -> list[int]:
    watch = LateWatch(RATE, BLOCK, ring)
    found = [watch.look(margins[number % len(margins)]) for number in range(blocks)]
    return [depth for depth in found if depth]


def test_where_most_blocks_come_late_the_depth_that_is_needed_is_told_once() -> None:
    # Four blocks come at once, and the device takes 256 frames meanwhile.
    assert told((-192, -128, -64, 0)) == [5]


def test_some_late_blocks_are_no_short_ring() -> None:
    assert told((-64, 0, 0)) == []
    assert told((0,)) == []


def test_what_comes_late_afterwards_has_another_cause() -> None:
    watch = LateWatch(RATE, BLOCK, 64)
    assert not any(watch.look(10) for _ in range(1000))
    assert not any(watch.look(-500) for _ in range(5000))
