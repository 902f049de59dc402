"""The time that each block took, in a bounded number of buckets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BlockTimes", "bucketed"]


@dataclass(frozen=True)
class BlockTimes:
    """Blocks in the order they came, some at a time.

    Attributes
    ----------
    blocks_per_bucket : int
    longest_s : tuple of float
        The longest time that a block of the bucket took.
    missed : tuple of int
        How many blocks of the bucket were missed.
    """

    blocks_per_bucket: int
    longest_s: tuple[float, ...]
    missed: tuple[int, ...]


def bucketed(process_s: Sequence[float], missed_blocks: Sequence[int], *, max_buckets: int = 4000) -> BlockTimes:
    """Put blocks into at most so many buckets, each with its longest time and its misses.

    Parameters
    ----------
    process_s : sequence of float
        Time by block.
    missed_blocks : sequence of int
        Indices into it.
    max_buckets : int
    """
    size = max(1, -(-len(process_s) // max_buckets))
    longest = tuple(max(process_s[start : start + size]) for start in range(0, len(process_s), size))
    missed = [0] * len(longest)
    for block in missed_blocks:
        missed[block // size] += 1
    return BlockTimes(size, longest, tuple(missed))
