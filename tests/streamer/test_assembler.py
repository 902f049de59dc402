"""Blocks of stems are put together from what is known, faded where need be, and copied straight where not."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.assembler import Assembler
from streamer.feed import Result
from streamer.timeline import Admission

FRAMES = 512


def assembler(residual_index: int, *, modelled: bool, channels: int) -> Assembler:
    made = Assembler(
        stems=4,
        residual_index=residual_index,
        channels=channels,
        max_block_frames=FRAMES,
        known_frames=4 * FRAMES,
        residual_is_modelled=modelled,
    )
    rng = np.random.default_rng(1)
    for start, join_at in ((0, -1), (FRAMES, FRAMES + 100)):
        stems = rng.uniform(-1, 1, (len(made.carried), channels, 2 * FRAMES)).astype(np.float32)
        made.keep(Result(stems, first=start, final=start + FRAMES, known=start + 2 * FRAMES), Admission(start, join_at))
    return made


@pytest.mark.parametrize("residual_index", [0, 2, 3])
@pytest.mark.parametrize("modelled", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("cursor", [0, FRAMES, FRAMES + 77])
def test_what_is_copied_straight_is_what_full_levels_give(
    residual_index: int, modelled: bool, channels: int, cursor: int
) -> None:
    mixture = np.random.default_rng(2).uniform(-1, 1, (channels, FRAMES)).astype(np.float32)
    levels = np.ones(FRAMES, np.float32)
    slow, straight = np.zeros((2, 4, channels, FRAMES), np.float32)
    assembler(residual_index, modelled=modelled, channels=channels).render(cursor, levels, mixture, slow)
    assembler(residual_index, modelled=modelled, channels=channels).render(
        cursor, levels, mixture, straight, is_whole=True
    )
    assert slow.any()
    np.testing.assert_array_equal(straight, slow)
