"""The tables: which rows each has, and what is told of them."""

from __future__ import annotations

from streamer.bench.tables import backends, batches, memory, overlaps, parallel, precisions, transforms

__all__ = ["TABLES"]

TABLES = {
    1: batches,
    2: overlaps,
    3: memory,
    4: backends,
    5: precisions,
    6: transforms,
    7: parallel,
}
"""By their numbers. Each gives ``rows(plan)`` and ``table(plan, measured)``."""
