"""What an MDX23C network is built from, and the names and shapes of its tensors."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BATCH", "COMPLEX", "Architecture", "tensor_shapes"]

BATCH = "BatchNorm"
"""The norm that has running statistics."""

COMPLEX = 2
"""Parts of a number of a spectrum."""


@dataclass(frozen=True)
class Architecture:
    """Everything that a TFC-TDF-UNet v3 is built from.

    Attributes
    ----------
    n_fft, hop_frames : int
        Of the transform.
    channels : int
        Audio channels.
    bands : int
        Parts into which the frequency axis is folded.
    frequencies : int
        Bins in one of them.
    width, growth : int
        Feature channels at the first scale, and how many more each further scale has.
    scales, blocks : int
        Scales, and blocks at each.
    scale : tuple of int
        By what the time and the frequency axis shrink from scale to scale.
    bottleneck : int
        By what the frequency axis shrinks inside a TDF.
    outputs : int
        Stems.
    norm : str
        ``InstanceNorm``, ``BatchNorm``, ``GroupNormN`` or empty for none.
    act : str
        ``gelu``, ``relu`` or ``eluALPHA``.
    """

    n_fft: int
    hop_frames: int
    channels: int
    bands: int
    frequencies: int
    width: int
    growth: int
    scales: int
    blocks: int
    scale: tuple[int, int]
    bottleneck: int
    outputs: int
    norm: str
    act: str

    @property
    def bins(self) -> int:
        """Bins of the transform that the network sees, from 0 up."""
        return self.bands * self.frequencies

    @property
    def spectrum_channels(self) -> int:
        """Channels of a folded spectrum: audio channels, real and imaginary part, bands."""
        return self.channels * COMPLEX * self.bands

    @property
    def column_step(self) -> int:
        """The number of columns of a window must be a multiple of this."""
        return int(self.scale[0] ** self.scales)

    def level(self, index: int) -> tuple[int, int]:
        """Feature channels and frequencies at a scale; ``scales`` is the one below the last."""
        return self.width + index * self.growth, self.frequencies // int(self.scale[1] ** index)


def tensor_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a network, as in the public files."""
    a = architecture
    shapes: dict[str, tuple[int, ...]] = {"first_conv.weight": (a.width, a.spectrum_channels, 1, 1)}
    for n in range(a.scales):
        (above, frequencies), (below, _) = a.level(n), a.level(n + 1)
        encoder, decoder = f"encoder_blocks.{n}", f"decoder_blocks.{a.scales - 1 - n}"
        shapes |= _blocks(f"{encoder}.tfc_tdf", above, above, frequencies, a)
        shapes |= _norm(f"{encoder}.downscale.conv.0", above, a.norm)
        shapes[f"{encoder}.downscale.conv.2.weight"] = (below, above, *a.scale)
        shapes |= _norm(f"{decoder}.upscale.conv.0", below, a.norm)
        shapes[f"{decoder}.upscale.conv.2.weight"] = (below, above, *a.scale)
        shapes |= _blocks(f"{decoder}.tfc_tdf", 2 * above, above, frequencies, a)
    channels, frequencies = a.level(a.scales)
    shapes |= _blocks("bottleneck_block", channels, channels, frequencies, a)
    shapes["final_conv.0.weight"] = (a.width, a.width + a.spectrum_channels, 1, 1)
    shapes["final_conv.2.weight"] = (a.outputs * a.spectrum_channels, a.width, 1, 1)
    return shapes


def _blocks(prefix: str, given: int, made: int, frequencies: int, a: Architecture) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    hidden = frequencies // a.bottleneck
    for n in range(a.blocks):
        block, taken = f"{prefix}.blocks.{n}", made if n else given
        shapes |= _norm(f"{block}.tfc1.0", taken, a.norm)
        shapes[f"{block}.tfc1.2.weight"] = (made, taken, 3, 3)
        shapes |= _norm(f"{block}.tdf.0", made, a.norm)
        shapes[f"{block}.tdf.2.weight"] = (hidden, frequencies)
        shapes |= _norm(f"{block}.tdf.3", made, a.norm)
        shapes[f"{block}.tdf.5.weight"] = (frequencies, hidden)
        shapes |= _norm(f"{block}.tfc2.0", made, a.norm)
        shapes[f"{block}.tfc2.2.weight"] = (made, made, 3, 3)
        shapes[f"{block}.shortcut.weight"] = (made, taken, 1, 1)
    return shapes


def _norm(prefix: str, channels: int, norm: str) -> dict[str, tuple[int, ...]]:
    if not norm:
        return {}
    names = ("weight", "bias", "running_mean", "running_var") if norm == BATCH else ("weight", "bias")
    count = {f"{prefix}.num_batches_tracked": ()} if norm == BATCH else {}
    return {**{f"{prefix}.{name}": (channels,) for name in names}, **count}
