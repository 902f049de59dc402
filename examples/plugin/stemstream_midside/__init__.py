"""A stemstream model that splits a stereo mixture into its centre and its sides."""

from __future__ import annotations

import numpy as np

from engine.separator import F32, Separator, StateArrays
from engine.spec import ModelSpec

__all__ = ["MidSideSeparator", "load"]


class MidSideSeparator(Separator):
    """Gives what both channels share as ``centre``, and the rest as ``sides``: their sum is the mixture."""

    spec = ModelSpec(
        name="midside",
        sample_rate=44_100,
        channels=2,
        stems=("centre", "sides"),
        stateful=False,
        window_frames=1024,
        hop_frames=512,
        fade_frames=128,
        window_granularity_frames=1,  # each frame is separated by itself, so any window will do
        residual="sides",
        description="centre and sides of a stereo mixture",
    )

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        """Separate a batch: ``(batch, 2, frames)`` in, ``(batch, 2 stems, 2, frames)`` out, both float32."""
        centre = np.broadcast_to(windows.mean(axis=1, keepdims=True), windows.shape)
        return np.stack((centre, windows - centre), axis=1), ()


def load() -> MidSideSeparator:
    """Load the model. The package's entry point names this function."""
    return MidSideSeparator()
