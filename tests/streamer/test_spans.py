"""Sets of frames, against sets of numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.spans import Spans

CHANGES = st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 12)), max_size=12)


@given(changes=CHANGES)
def test_frames_are_those_that_were_added_and_not_removed_since(changes: list[tuple[bool, int, int]]) -> None:
    spans, frames = Spans(), set[int]()
    for adds, begin, length in changes:
        span = range(begin, begin + length)
        (spans.add if adds else spans.remove)(span.start, span.stop)
        frames = frames | set(span) if adds else frames - set(span)
    assert {frame for run in spans.runs for frame in range(*run)} == frames
    assert spans.frames == len(frames)
    assert all(left[1] < right[0] for left, right in pairwise(spans.runs))
    for frame in range(60):
        end = next(n for n in range(frame, 80) if n not in frames)
        assert spans.end_at(frame) == end
        assert spans.next_at(frame) == min((n for n in frames if n >= frame), default=None)


@pytest.mark.parametrize("change", ["add", "remove"])
def test_a_change_leaves_what_was_asked_for_before_as_it_was(change: str) -> None:
    spans = Spans()
    spans.add(0, 10)
    before = spans.runs
    getattr(spans, change)(5, 20)
    assert before == ((0, 10),)
