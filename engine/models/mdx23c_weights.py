"""The weights of an MDX23C network in the forms in which a processor runs them fastest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.backends.torch_runtime import torch
from engine.models.mdx23c_architecture import Architecture
from engine.models.winograd import DirectConv, WinogradConv

__all__ = ["BlockWeights", "Conv", "FusedWeights", "Norm", "RescaleWeights", "can_fuse"]

Tensor = torch.Tensor
Norm = tuple[Tensor, Tensor]
"""Gains and offsets, float32."""
Conv = WinogradConv | DirectConv

_REPEATED_NUMBERS = 1 << 18


def can_fuse(architecture: Architecture) -> bool:
    """Whether the network is built as all public ones are: instance norms, exact GELU, scales of two by two."""
    a = architecture
    return a.norm == "InstanceNorm" and a.act == "gelu" and a.scale == (2, 2)


@dataclass(frozen=True)
class BlockWeights:
    """Weights of one block.

    Attributes
    ----------
    norms, shortcuts : tuple
        One each for every map that the block sees: its gains, and a matrix (given, made).
    tfc1, tfc2 : Conv
    inner_norm, narrow, narrow_norm, wide, outer_norm
        Of the way over frequencies between the two: matrices (narrow, frequencies) and (frequencies, narrow), each
        repeated (times, ...) for as many columns as are multiplied at once.
    """

    norms: tuple[Norm, ...]
    shortcuts: tuple[Tensor, ...]
    tfc1: Conv
    inner_norm: Norm
    narrow: Tensor
    narrow_norm: Norm
    wide: Tensor
    outer_norm: Norm
    tfc2: Conv


@dataclass(frozen=True)
class RescaleWeights:
    """Weights of a step between two scales: four neighbours to one pixel, or one to four, as one matrix."""

    norm: Norm
    matrix: Tensor


class FusedWeights:
    """All weights of a network. Immutable: any number of networks share them.

    Parameters
    ----------
    architecture : Architecture
        One that `can_fuse` accepts.
    tensors : mapping of str to Tensor
        By their names in the checkpoint, in any precision. None of them is held afterwards.
    dtype : torch.dtype
        float32 or bfloat16, of maps and products. Norms, sums, and the first and last layers are float32 always.
    columns : int
        Of the usual window: the way of each convolution depends on the size of its map.
    """

    def __init__(
        self, architecture: Architecture, tensors: Mapping[str, Tensor], dtype: torch.dtype, columns: int
    ) -> None:
        a = architecture
        self.architecture = a
        self.dtype = dtype
        tensors = {name: tensor.float() for name, tensor in tensors.items()}
        folded = a.spectrum_channels
        self.first = _matrix(tensors["first_conv.weight"])
        self.final_mixture = _matrix(tensors["final_conv.0.weight"][:, :folded])
        self.final_map = _matrix(tensors["final_conv.0.weight"][:, folded:])
        self.final = _matrix(tensors["final_conv.2.weight"])
        self.encoders: list[tuple[list[BlockWeights], RescaleWeights]] = []
        self.decoders: list[tuple[RescaleWeights, list[BlockWeights]]] = []
        for level in range(a.scales):
            channels = a.level(level)[0]
            encoder, decoder = f"encoder_blocks.{level}", f"decoder_blocks.{a.scales - 1 - level}"
            down = tensors[f"{encoder}.downscale.conv.2.weight"]  # (below, above, time, frequency)
            up = tensors[f"{decoder}.upscale.conv.2.weight"]  # (below, above, time, frequency)
            self.encoders.append(
                (
                    _blocks(self, tensors, f"{encoder}.tfc_tdf", level, columns, (channels,)),
                    RescaleWeights(
                        _norm(tensors, f"{encoder}.downscale.conv.0"),
                        _own(down.permute(2, 3, 1, 0).reshape(-1, down.shape[0]), dtype),
                    ),
                )
            )
            self.decoders.append(
                (
                    RescaleWeights(
                        _norm(tensors, f"{decoder}.upscale.conv.0"),
                        _own(up.permute(0, 2, 3, 1).reshape(up.shape[0], -1), dtype),
                    ),
                    _blocks(self, tensors, f"{decoder}.tfc_tdf", level, columns, (channels, channels)),
                )
            )
        lowest = a.level(a.scales)[0]
        self.bottleneck = _blocks(self, tensors, "bottleneck_block", a.scales, columns, (lowest,))


def _blocks(
    weights: FusedWeights,
    tensors: Mapping[str, Tensor],
    name: str,
    level: int,
    columns: int,
    given: tuple[int, ...],
) -> list[BlockWeights]:
    a = weights.architecture
    channels, frequencies = a.level(level)
    times = columns // a.scale[0] ** level
    dtype = weights.dtype
    blocks = []
    for n in range(a.blocks):
        block = f"{name}.blocks.{n}"
        maps = list(given) if n == 0 else [channels]
        gains, offsets = (torch.split(each, maps) for each in _norm(tensors, f"{block}.tfc1.0"))
        shortcuts = torch.split(tensors[f"{block}.shortcut.weight"], maps, dim=1)
        blocks.append(
            BlockWeights(
                norms=tuple(zip(gains, offsets, strict=True)),
                shortcuts=tuple(_own(_matrix(part), dtype) for part in shortcuts),
                tfc1=_conv(tensors[f"{block}.tfc1.2.weight"], dtype, times, frequencies),
                inner_norm=_norm(tensors, f"{block}.tdf.0"),
                narrow=_repeated(tensors[f"{block}.tdf.2.weight"], dtype, times),
                narrow_norm=_norm(tensors, f"{block}.tdf.3"),
                wide=_repeated(tensors[f"{block}.tdf.5.weight"], dtype, times),
                outer_norm=_norm(tensors, f"{block}.tfc2.0"),
                tfc2=_conv(tensors[f"{block}.tfc2.2.weight"], dtype, times, frequencies),
            )
        )
    return blocks


def _conv(weight: Tensor, dtype: torch.dtype, height: int, width: int) -> Conv:
    if dtype is torch.float32 and WinogradConv.pays(weight, height, width):
        return WinogradConv(weight)
    return DirectConv(weight.to(dtype), height, width)


def _norm(tensors: Mapping[str, Tensor], name: str) -> Norm:
    return tensors[f"{name}.weight"].clone(), tensors[f"{name}.bias"].clone()


def _matrix(weight: Tensor) -> Tensor:
    """Turn the weight of a convolution of 1x1, (made, given, 1, 1), into a matrix (given, made)."""
    return weight[:, :, 0, 0].t().clone(memory_format=torch.contiguous_format)


def _repeated(weight: Tensor, dtype: torch.dtype, times: int) -> Tensor:
    """Give a weight (times, made, given) for products of several columns at once."""
    # oneDNN copies a weight that is only expanded, every time; MKL takes it as it is.
    count = 1 if dtype is torch.float32 else min(times, max(1, _REPEATED_NUMBERS // weight.numel()))
    return _own(weight.expand(count, -1, -1), dtype)


def _own(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.to(dtype, memory_format=torch.contiguous_format, copy=True)
