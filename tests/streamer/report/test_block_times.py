"""Times of blocks in a bounded number of buckets."""

from __future__ import annotations

import pytest

from streamer.report.block_times import bucketed


def test_few_blocks_stand_for_themselves() -> None:
    times = bucketed([0.1, 0.3, 0.2], [1])
    assert (times.blocks_per_bucket, times.longest_s, times.missed) == (1, (0.1, 0.3, 0.2), (0, 1, 0))


@pytest.mark.parametrize("blocks", [0, 9, 10, 11, 99, 1001])
def test_many_blocks_keep_the_longest_and_every_miss(blocks: int) -> None:
    process_s = [float(block % 7) for block in range(blocks)]
    missed = list(range(0, blocks, 3))
    times = bucketed(process_s, missed, max_buckets=10)
    assert len(times.longest_s) == len(times.missed) <= 10
    assert max(times.longest_s, default=0.0) == max(process_s, default=0.0)
    assert sum(times.missed) == len(missed)
    assert len(times.longest_s) * times.blocks_per_bucket >= blocks
