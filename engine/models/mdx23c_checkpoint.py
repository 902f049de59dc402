"""An MDX23C checkpoint and its config as they are read: checked against each other, with no network built."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engine.backends.torch_runtime import torch
from engine.checkpoint import check_finite, read_tensors
from engine.config import Mdx23cConfig, read_config
from engine.errors import ModelError
from engine.known_models import known_model
from engine.model_file import check_model_file
from engine.models.mdx23c_layout import Architecture, match_architecture
from engine.spec import ModelSpec

__all__ = ["Mdx23cCheckpoint", "find_config", "read_mdx23c"]

_LIVE_HOPS = 4  # each frame is in so many windows offline, where nothing else is asked for: the same cost live
_EDGE = 10  # the reference fades over a tenth of the window, so it trusts this part of it least


@dataclass(frozen=True)
class Mdx23cCheckpoint:
    """What a checkpoint and its config say.

    Attributes
    ----------
    architecture : Architecture
        What the network is built from.
    config : Mdx23cConfig
    tensors : dict of str to Tensor
        The weights by the names of `engine.models.mdx23c.Mdx23c`. They may lie in the file, which must not be changed
        while they are used.
    spec : ModelSpec
        See `engine.backends.torch_separator.TorchSeparator`.
    """

    architecture: Architecture
    config: Mdx23cConfig
    tensors: dict[str, torch.Tensor]
    spec: ModelSpec


def read_mdx23c(path: Path, config: str | os.PathLike[str] | None = None) -> Mdx23cCheckpoint:
    """Read a checkpoint and find its config, without executing anything in either.

    Parameters
    ----------
    path : Path
    config : str or path-like, optional
        As in `find_config`.

    Raises
    ------
    ModelError
        If the file or the config cannot be read, trusted or matched, or there is no config.
    """
    source = f"checkpoint {str(path)!r}"
    check_model_file(path, source, kind="checkpoint", remedy="download it again")
    settings, config_source, description = find_config(path, config)
    tensors = read_tensors(path, source)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    architecture = match_architecture(shapes, settings, file=source, config_source=config_source)
    check_finite(tensors, source)
    return Mdx23cCheckpoint(architecture, settings, tensors, _spec(architecture, settings, path.stem, description))


def find_config(path: Path, config: str | os.PathLike[str] | None) -> tuple[Mdx23cConfig, str, str]:
    """Give the config of a checkpoint, what to call it in errors, and a description of the model where one is known.

    Parameters
    ----------
    path : Path
    config : str or path-like, optional
        The YAML file that came with it. Default: the file of the same name with the suffix ``.yaml`` beside it, or
        else what is known of this file by its SHA-256.

    Raises
    ------
    ModelError
        If it cannot be read, or there is none.
    """
    beside = path.with_suffix(".yaml")
    if config is not None or beside.is_file():
        place = beside if config is None else Path(config)
        return read_config(place), f"config {str(place)!r}", ""
    known = known_model(path)
    if known is None:
        raise ModelError(
            f"checkpoint {str(path)!r} needs its config, which is not known for this file: name the YAML file that "
            f"came with it with --config (in Python config=...), or save it as {beside.name!r} beside the checkpoint"
        )
    return known.config, "the config that is known for it", known.title


def _spec(architecture: Architecture, config: Mdx23cConfig, name: str, description: str) -> ModelSpec:
    window = config.window_frames
    hop = window // _LIVE_HOPS
    return ModelSpec(
        name=name,
        sample_rate=config.audio.sample_rate,
        channels=architecture.channels,
        stems=config.stems,
        stateful=False,
        window_frames=window,
        hop_frames=hop,
        lookahead_frames=window // _EDGE,
        fade_frames=hop // 4,
        window_granularity_frames=architecture.hop_frames * architecture.column_step,
        overlap=config.inference.num_overlap,
        residual=config.residual,
        description=description or f"MDX23C network of {architecture.outputs} stems",
    )
