"""Small MDX23C checkpoints for tests: golden ones, and random ones of any architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from engine.config import read_config
from engine.models.mdx23c import Mdx23c, SpectrumTransform
from engine.models.mdx23c_layout import Architecture, match_architecture, tensor_shapes
from engine.separator import F32, Separator, StateArrays
from engine.spec import ModelSpec

GOLDEN = Path(__file__).parents[1] / "data" / "mdx23c"
GOLDEN_NAMES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())
STRIDE = 7
"""Of the expected stems every so many-th frame is kept."""

TINY = Architecture(
    n_fft=32,
    hop_frames=8,
    channels=2,
    bands=2,
    frequencies=8,
    width=4,
    growth=2,
    scales=2,
    blocks=2,
    scale=(2, 2),
    bottleneck=2,
    outputs=2,
    norm="InstanceNorm",
    act="gelu",
)
WINDOW = 8 * (4 * 4 - 1)
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Golden:
    """A checkpoint, its config, and what the reference gives for it."""

    name: str

    @property
    def checkpoint(self) -> Path:
        return GOLDEN / self.name / "model.ckpt"

    @property
    def config(self) -> Path:
        return GOLDEN / self.name / "config.yaml"

    @property
    def chunk(self) -> tuple[F32, F32]:
        with np.load(GOLDEN / self.name / "expected.npz") as arrays:
            return arrays["chunk_in"], arrays["chunk_out"]

    @property
    def tracks(self) -> list[tuple[int, F32, F32]]:
        """Overlap, the track, and its stems."""
        with np.load(GOLDEN / self.name / "expected.npz") as arrays:
            return [
                (int(key.rpartition("_")[2]), arrays[f"{key.split('_overlap_')[0]}_in"], arrays[key])
                for key in arrays
                if "_overlap_" in key
            ]


class GoldenNetwork(Separator):
    """The network of a golden checkpoint without any back-end around it, in single or in double precision.

    Random weights amplify rounding, and in which order a processor adds decides what is rounded: in single precision
    two machines differ by more than what is allowed to differ from the reference. In double precision they agree.
    """

    def __init__(self, golden: Golden, spec: ModelSpec, precision: torch.dtype) -> None:
        self.spec = spec
        self._precision = precision
        tensors = torch.load(golden.checkpoint, weights_only=True)
        shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
        a = match_architecture(shapes, read_config(golden.config), file="f", config_source="c")
        self._transform = SpectrumTransform(a.n_fft, a.hop_frames, a.bins)
        self._transform._window = self._transform._window.to(precision)
        self._network = Mdx23c(a).eval()
        self._network.load_state_dict(tensors)
        self._network.to(precision)

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        with torch.inference_mode():
            rows = [torch.from_numpy(np.array(window))[None].to(self._precision) for window in windows]
            stems = [self._transform.inverse(self._network(self._transform.forward(row)))[0] for row in rows]
        return np.stack([each.float().numpy() for each in stems]), ()


def random_tensors(architecture: Architecture, seed: int = 0) -> Tensors:
    """Weights that keep the level, with norms away from their defaults."""
    generator = torch.Generator().manual_seed(seed)
    tensors: Tensors = {}
    for name, shape in tensor_shapes(architecture).items():
        values = torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(3)
        elif name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
            tensors[name] = 1 + 0.1 * values.abs()
        elif len(shape) == 1:
            tensors[name] = 0.1 * values
        else:
            tensors[name] = values / max(1, values[0].numel()) ** 0.5
    return tensors


def config_data(architecture: Architecture, *, window: int = WINDOW, **sections: Mapping[str, Any]) -> dict[str, Any]:
    """Give the config that belongs to an architecture, with other values where ``sections`` has some."""
    a = architecture
    data: dict[str, dict[str, Any]] = {
        "audio": {
            "chunk_size": window,
            "dim_f": a.bins,
            "dim_t": window // a.hop_frames + 1,
            "hop_length": a.hop_frames,
            "n_fft": a.n_fft,
            "num_channels": a.channels,
            "sample_rate": 44_100,
            "min_mean_abs": 0.001,
        },
        "model": {
            "act": a.act,
            "bottleneck_factor": a.bottleneck,
            "growth": a.growth,
            "norm": a.norm or None,
            "num_blocks_per_scale": a.blocks,
            "num_channels": a.width,
            "num_scales": a.scales,
            "num_subbands": a.bands,
            "scale": list(a.scale),
        },
        "training": {
            "instruments": ["vocals", "other", "drums", "bass", "piano"][: a.outputs],
            "target_instrument": None,
            "lr": 9.0e-05,
        },
        "inference": {"batch_size": 1, "num_overlap": 4},
    }
    for section, values in sections.items():
        data[section] |= values
    return data


def save_model(
    path: Path,
    architecture: Architecture = TINY,
    *,
    tensors: Any = None,
    config: Mapping[str, Any] | None = None,
    has_config: bool = True,
) -> Path:
    """Write a checkpoint, and its config under the same name beside it."""
    torch.save(random_tensors(architecture) if tensors is None else tensors, path)
    if has_config:
        text = yaml.safe_dump(dict(config_data(architecture) if config is None else config))
        path.with_suffix(".yaml").write_text(text, encoding="utf-8")
    return path


def tiny(**changes: Any) -> Architecture:
    """Give the tiny architecture with some of it changed."""
    return replace(TINY, **changes)
