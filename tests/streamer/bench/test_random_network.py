"""Random networks are of the size that is said, and fit for their windows."""

from __future__ import annotations

import pytest

from engine.models.mdx23c_architecture import Architecture
from streamer.bench.random_network import (
    FULL,
    LIGHT,
    LIGHT_WINDOW_FRAMES,
    MATRIX,
    MATRIX_WINDOW_FRAMES,
    WINDOW_FRAMES,
    parameter_count,
)
from streamer.bench.shared_spectrum import aligned_overlap


@pytest.mark.parametrize(
    ("architecture", "frames", "least", "most"),
    [
        (FULL, WINDOW_FRAMES, 111.9e6, 112.1e6),
        (MATRIX, MATRIX_WINDOW_FRAMES, 2e6, 8e6),
        (LIGHT, LIGHT_WINDOW_FRAMES, 2e6, 8e6),
    ],
)
def test_sizes(architecture: Architecture, frames: int, least: float, most: float) -> None:
    assert least <= parameter_count(architecture) <= most
    columns, rest = divmod(frames, architecture.hop_frames)
    assert (rest, (columns + 1) % architecture.column_step) == (0, 0)
    # Or one of the ways to transform could not be measured.
    assert aligned_overlap(columns + 1) is not None
