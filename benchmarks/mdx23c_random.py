"""MDX23C checkpoints of random weights, see `streamer.bench.random_network`, and one that is next to no work."""

from __future__ import annotations

from engine.models.mdx23c_architecture import Architecture
from streamer.bench.random_network import FULL, WINDOW_FRAMES, parameter_count, save_random

__all__ = ["FULL", "SMALL", "WINDOW_FRAMES", "parameter_count", "save_random"]

SMALL = Architecture(
    n_fft=2048,
    hop_frames=1024,
    channels=2,
    bands=4,
    frequencies=256,
    width=4,
    growth=4,
    scales=5,
    blocks=1,
    scale=(2, 2),
    bottleneck=4,
    outputs=4,
    norm="InstanceNorm",
    act="gelu",
)
"""The window of the public ones and four stems, and next to no work: for hours of audio, where only memory counts."""
