"""MDX23C checkpoints of random weights: as large, and as fast, as real ones, and free to make anywhere."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import yaml

from engine.models.mdx23c_architecture import Architecture, tensor_shapes

__all__ = [
    "FULL",
    "LIGHT",
    "LIGHT_WINDOW_FRAMES",
    "MATRIX",
    "MATRIX_WINDOW_FRAMES",
    "WINDOW_FRAMES",
    "parameter_count",
    "save_random",
]

WINDOW_FRAMES = 261_120
"""Of the public models of voices and of four stems."""

FULL = Architecture(
    n_fft=8192,
    hop_frames=1024,
    channels=2,
    bands=4,
    frequencies=1024,
    width=128,
    growth=128,
    scales=5,
    blocks=2,
    scale=(2, 2),
    bottleneck=4,
    outputs=2,
    norm="InstanceNorm",
    act="gelu",
)
"""As MDX23C-8KFFT-InstVoc_HQ is: 112 million parameters."""

MATRIX = replace(FULL, n_fft=2048, hop_frames=512, frequencies=256, width=32, growth=32, scales=4, outputs=4)
"""A small one of four stems, 4 million parameters, on which a whole matrix of settings can be measured."""

MATRIX_WINDOW_FRAMES = 130_560
"""Three seconds."""

LIGHT = replace(MATRIX, n_fft=1024, frequencies=128)
"""As many parameters, and half the work."""

LIGHT_WINDOW_FRAMES = 81_408
"""Less than two seconds."""

_STEMS = ("vocals", "bass", "drums", "other")


def parameter_count(architecture: Architecture) -> int:
    """Count the numbers in all tensors."""
    return sum(math.prod(shape) for shape in tensor_shapes(architecture).values())


def save_random(architecture: Architecture, folder: Path, window_frames: int = WINDOW_FRAMES) -> tuple[Path, Path]:
    """Write a checkpoint and its config; give their paths.

    Weights of a layer are normal, with the variance that keeps the level of what goes through it; norms are as they
    are before training. So every map is of the size of music's, and nothing is denormal or overflows.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in tensor_shapes(architecture).items():
        if len(shape) == 1:
            tensors[name] = torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
        else:
            inputs = shape[0] if ".upscale." in name else math.prod(shape[1:])
            tensors[name] = torch.randn(shape, generator=generator) / math.sqrt(inputs)
    checkpoint, config = folder / "random.ckpt", folder / "random.yaml"
    torch.save(tensors, checkpoint)
    config.write_text(yaml.safe_dump(_config(architecture, window_frames)), encoding="utf-8")
    return checkpoint, config


def _config(architecture: Architecture, window_frames: int) -> dict[str, dict[str, object]]:
    a = architecture
    return {
        "audio": {
            "chunk_size": window_frames,
            "dim_f": a.bins,
            "hop_length": a.hop_frames,
            "n_fft": a.n_fft,
            "num_channels": a.channels,
            "sample_rate": 44_100,
        },
        "model": {"act": a.act, "norm": a.norm},
        "training": {"instruments": ["vocals", "other"] if a.outputs == 2 else list(_STEMS[: a.outputs])},
        "inference": {"batch_size": 1, "num_overlap": 2},
    }
