"""The batch size to take: one, unless more are worth their memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.bench.tables import batches
from tests.streamer.bench.plans import SIZE, measured_as, plan_of


@pytest.mark.parametrize(
    ("ratios", "best"),
    [
        ({1: (2.0, 2.0), 2: (2.06, 2.06)}, 1),
        ({1: (2.0, 2.0), 2: (2.07, 2.07)}, 2),
        # One pair in which something else was at work says nothing.
        ({1: (2.0, 2.0), 2: (1.9, 9.0)}, 1),
        ({1: (2.0, 2.0), 2: (1.0, 1.0)}, 1),
        ({1: (), 2: (3.0, 3.0)}, 2),
        ({1: (), 2: ()}, None),
    ],
)
def test_a_larger_batch_must_be_more_than_three_percent_faster_in_each_pair(
    ratios: dict[int, tuple[float, ...]], best: int | None
) -> None:
    plan = plan_of()
    rows = {batch: plan.alone("fp32", batch) for batch in SIZE.batches}
    measured = {row.key: measured_as(row, *ratios[batch]) for batch, row in rows.items()}
    assert batches.best_batch(plan, measured, "fp32") == best


def test_of_sizes_that_are_alike_the_smallest_is_taken() -> None:
    size = replace(SIZE, batches=(1, 2, 4, 8))
    plan = plan_of(size)
    ratios = {1: 1.0, 2: 1.2, 4: 1.49, 8: 1.5}
    rows = {batch: plan.alone("fp16", batch) for batch in size.batches}
    measured = {row.key: measured_as(row, *2 * [ratios[batch]]) for batch, row in rows.items()}
    assert batches.best_batch(plan, measured, "fp16") == 4
