"""MDX23C checkpoints of random weights, see `streamer.bench.random_network`, and one that is next to no work."""

from __future__ import annotations

from dataclasses import replace

from streamer.bench.random_network import FULL, WINDOW_FRAMES, parameter_count, save_random

__all__ = ["FULL", "SMALL", "WINDOW_FRAMES", "parameter_count", "save_random"]

SMALL = replace(FULL, n_fft=2048, frequencies=256, width=4, growth=4, blocks=1, outputs=4)
"""The window of the public ones and four stems, and next to no work: for hours of audio, where only memory counts."""
