"""The plain way to separate with an MDX23C checkpoint: what every figure of speed and memory is compared with.

PyTorch as it comes: eager, float32, one window at a time. The whole track is in memory, beside it the sums of all
stems and, as large as they are, the sums of the weights; every window gets fresh buffers. The network, the cut into
windows and the crossfade are those of the widespread training program, and nothing of the project's engine runs but
the reader of configs. Its flaws are kept too: with one window over each frame, the two frames at each joint are lost.
On a GPU that program works under automatic float16, and so does this.

InstanceNorm and GELU only, which is what all public checkpoints have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from engine.config import Mdx23cConfig, read_config
from engine.errors import UnavailableError

__all__ = ["Baseline", "Network", "demix"]

_FADE = 10  # the crossfade takes this part of a window


class Baseline:
    """A checkpoint and its config, loaded.

    Parameters
    ----------
    checkpoint : Path
        A bare state dict.
    config : Path
    device : str, optional
        Where the network runs; the track and the sums are in the machine's memory.

    Attributes
    ----------
    config : Mdx23cConfig
    windows : int
        Windows that were run.
    """

    def __init__(self, checkpoint: Path, config: Path, device: str = "cpu") -> None:
        self.config = read_config(config)
        weights = torch.load(checkpoint, map_location="cpu", weights_only=True)
        self.network = Network(self.config, weights).eval()
        self.network.load_state_dict(weights)
        self.network.to(device)
        self.windows = 0
        self._device = torch.device(device)

    def __call__(self, window: Tensor) -> Tensor:
        """Separate one window, shape (channels, frames), into (stems, channels, frames)."""
        self.windows += 1
        with torch.autocast(self._device.type, torch.float16, enabled=self._device.type == "cuda"):
            result: Tensor = self.network(window[None].to(self._device))[0]
        return result.to(window)


def demix(model: Baseline, audio: npt.NDArray[Any], overlap: int | None = None) -> dict[str, npt.NDArray[np.float32]]:
    """Separate a track that is in memory, and all its stems at once.

    Parameters
    ----------
    model : Baseline
    audio : ndarray of float32, shape (channels, frames)
    overlap : int, optional
        Windows over each frame; default the config's.

    Returns
    -------
    dict of str to ndarray of float32, shape (channels, frames)
        By stem, in the config's order.
    """
    size = model.config.window_frames
    hop = size // (model.config.inference.num_overlap if overlap is None else overlap)
    border, fade = size - hop, size // _FADE
    track = torch.tensor(audio, dtype=torch.get_default_dtype())
    is_bordered = 0 < 2 * border < track.shape[1]
    if is_bordered:
        track = nn.functional.pad(track, (border, border), mode="reflect")
    frames = track.shape[1]
    ramp = torch.linspace(0.0, 1.0, fade)
    with torch.inference_mode():
        sums = torch.zeros((len(model.config.stems), *track.shape))
        counter = torch.zeros_like(sums)
        for start in range(0, frames, hop):
            weights = torch.ones(size)
            if start > 0:
                weights[:fade] = ramp
            # The reference opens the fade-out of the last window, but not where it is the first one too.
            if start == 0 or start + hop < frames:
                weights[size - fade :] = ramp.flip(0)
            part = track[:, start : start + size]
            heard = part.shape[1]
            mode = "reflect" if heard > size // 2 else "constant"
            stems = model(nn.functional.pad(part, (0, size - heard), mode=mode))
            sums[..., start : start + heard] += (stems * weights)[..., :heard]
            counter[..., start : start + heard] += weights[:heard]
        quotient = np.nan_to_num((sums / counter).numpy(), copy=False, nan=0.0)
    if is_bordered:
        quotient = quotient[..., border : frames - border]
    return dict(zip(model.config.stems, quotient, strict=True))


class Network(nn.Module):
    """TFC-TDF-UNet v3 with its transforms: (batch, channels, frames) to (batch, stems, channels, frames).

    From the facts of the public implementation (kuielab/sdx23, branch mdx_AB, MIT), apart from the engine's network, so
    that the two can be held against each other. Sizes come from the shapes of the weights.

    Parameters
    ----------
    config : Mdx23cConfig
    weights : mapping of str to Tensor
    """

    _window: Tensor

    def __init__(self, config: Mdx23cConfig, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        if (config.model.norm, config.model.act) != ("InstanceNorm", "gelu"):
            raise UnavailableError(
                "the baseline knows networks with InstanceNorm and gelu, and this one has "
                f"{config.model.norm or 'no norm'} and {config.model.act}: measure another"
            )
        width, folded = weights["first_conv.weight"].shape[:2]
        self._n_fft, self._hop = config.audio.n_fft, config.audio.hop_length
        self._parts = 2 * config.audio.num_channels
        self._bands = folded // self._parts
        self.register_buffer("_window", torch.hann_window(self._n_fft), persistent=False)
        self.first_conv = nn.Conv2d(folded, width, 1, bias=False)
        frequencies = weights["encoder_blocks.0.tfc_tdf.blocks.0.tdf.2.weight"].shape[1]
        self._bins = frequencies * self._bands
        scales = range(sum(name.endswith("downscale.conv.2.weight") for name in weights))
        self.encoder_blocks = nn.ModuleList(_Scale(f"encoder_blocks.{n}", "downscale", weights) for n in scales)
        self.bottleneck_block = _TfcTdf("bottleneck_block", weights)
        self.decoder_blocks = nn.ModuleList(_Scale(f"decoder_blocks.{n}", "upscale", weights) for n in scales)
        self.final_conv = nn.Sequential(
            nn.Conv2d(width + folded, width, 1, bias=False),
            nn.GELU(),
            nn.Conv2d(width, len(config.stems) * folded, 1, bias=False),
        )

    def forward(self, audio: Tensor) -> Tensor:
        """Separate a batch of windows."""
        batch, channels, frames = audio.shape
        spectrum = torch.stft(
            audio.reshape(-1, frames), self._n_fft, self._hop, window=self._window, center=True, return_complex=True
        )
        bins, columns = self._bins, spectrum.shape[-1]
        parts = torch.view_as_real(spectrum[:, :bins]).permute(0, 3, 1, 2)
        mixture = parts.reshape(batch, self._parts * self._bands, bins // self._bands, columns)
        stems = self._separate(mixture).reshape(-1, 2, bins, columns)
        whole = torch.zeros((stems.shape[0], 2, self._n_fft // 2 + 1, columns), device=stems.device)
        whole[:, :, :bins] = stems
        result = torch.istft(
            torch.complex(whole[:, 0], whole[:, 1]), self._n_fft, self._hop, window=self._window, center=True
        )
        return result.reshape(batch, -1, channels, result.shape[-1])

    def _separate(self, mixture: Tensor) -> Tensor:
        first = self.first_conv(mixture)
        x = first.transpose(-1, -2)
        skips = []
        for encoder in self.encoder_blocks:
            x = encoder.get_submodule("tfc_tdf")(x)
            skips.append(x)
            x = encoder.get_submodule("downscale")(x)
        x = self.bottleneck_block(x)
        for decoder in self.decoder_blocks:
            upscaled = decoder.get_submodule("upscale")(x)
            x = decoder.get_submodule("tfc_tdf")(torch.cat([upscaled, skips.pop()], 1))
        x = x.transpose(-1, -2) * first
        result: Tensor = self.final_conv(torch.cat([mixture, x], 1))
        return result


class _Scale(nn.Module):
    """The blocks of one scale, and the way to it or from it."""

    def __init__(self, name: str, way: str, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.tfc_tdf = _TfcTdf(f"{name}.tfc_tdf", weights)
        setattr(self, way, _Rescale(weights[f"{name}.{way}.conv.2.weight"], is_up=way == "upscale"))


class _Rescale(nn.Module):
    """Norm, activation, and a convolution whose stride is its size."""

    def __init__(self, weight: Tensor, *, is_up: bool) -> None:
        super().__init__()
        one, other, *_ = weight.shape
        size = weight.shape[2], weight.shape[3]
        conv: nn.Module
        if is_up:
            conv = nn.ConvTranspose2d(one, other, size, size, bias=False)
        else:
            conv = nn.Conv2d(other, one, size, size, bias=False)
        self.conv = _layer(one if is_up else other, conv)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(x)
        return result


class _TfcTdf(nn.Module):
    """The blocks of one scale, one after the other."""

    def __init__(self, name: str, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        count = sum(key.startswith(f"{name}.blocks.") and key.endswith(".shortcut.weight") for key in weights)
        self.blocks = nn.Sequential(*(_Block(f"{name}.blocks.{n}", weights) for n in range(count)))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.blocks(x)
        return result


class _Block(nn.Module):
    """Two convolutions with a bottleneck over all frequencies between them, and a shortcut."""

    def __init__(self, name: str, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        made, given = weights[f"{name}.tfc1.2.weight"].shape[:2]
        hidden, frequencies = weights[f"{name}.tdf.2.weight"].shape
        self.tfc1 = _layer(given, nn.Conv2d(given, made, 3, padding=1, bias=False))
        self.tdf = nn.Sequential(
            *_layer(made, nn.Linear(frequencies, hidden, bias=False)),
            *_layer(made, nn.Linear(hidden, frequencies, bias=False)),
        )
        self.tfc2 = _layer(made, nn.Conv2d(made, made, 3, padding=1, bias=False))
        self.shortcut = nn.Conv2d(given, made, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(x)
        x = self.tfc1(x)
        x = x + self.tdf(x)
        result: Tensor = self.tfc2(x) + shortcut
        return result


def _layer(channels: int, layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.InstanceNorm2d(channels, affine=True), nn.GELU(), layer)
