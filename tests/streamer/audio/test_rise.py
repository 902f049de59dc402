"""A rise of a count is noticed once."""

from __future__ import annotations

from streamer.audio.rise import Rise


def test_only_what_rises_after_the_first_look_is_news() -> None:
    rise = Rise()
    assert [rise.look(count) for count in (3, 3, 4, 4, 9, 0, 0, 1)] == [
        False, False, True, False, True, False, False, True,
    ]  # fmt: skip
