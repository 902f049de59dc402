"""The network of MDX23C models, TFC-TDF-UNet v3: a waveform in, the waveform of each stem out.

From Kim, Lee and Jung, "Sound Demixing Challenge 2023 Music Demixing Track Technical Report: TFC-TDF-UNet v3",
arXiv:2306.09382, and the facts of its public implementation (kuielab/sdx23, branch mdx_AB, MIT). Names of modules are
those of the tensors in the public checkpoints.
"""

from __future__ import annotations

from engine.backends.torch_runtime import torch
from engine.models.mdx23c_layout import Architecture

__all__ = ["Mdx23c", "SpectrumTransform"]

nn = torch.nn
functional = torch.nn.functional
Tensor = torch.Tensor


class SpectrumTransform:
    """A waveform's lowest bins as real channels, and back.

    The window is a periodic Hann window of ``n_fft`` frames; columns are centred on multiples of the hop, and the
    waveform is reflected at both ends by half a window.

    Parameters
    ----------
    n_fft, hop_frames : int
    bins : int
        Bins kept, from 0 up; the others count as zero on the way back.
    """

    def __init__(self, n_fft: int, hop_frames: int, bins: int) -> None:
        self._n_fft = n_fft
        self._hop = hop_frames
        self._bins = bins
        self._window = torch.hann_window(n_fft, periodic=True)

    def forward(self, audio: Tensor) -> Tensor:
        """Transform.

        Parameters
        ----------
        audio : float32, shape (batch, channels, frames)

        Returns
        -------
        float32, shape (batch, 2 * channels, bins, columns)
            Real and imaginary part of the first channel, then of the next.
        """
        batch, channels, frames = audio.shape
        spectrum = torch.stft(
            audio.reshape(batch * channels, frames),
            n_fft=self._n_fft,
            hop_length=self._hop,
            window=self._window,
            center=True,
            return_complex=True,
        )
        parts = torch.view_as_real(spectrum[:, : self._bins]).permute(0, 3, 1, 2)
        return parts.reshape(batch, 2 * channels, self._bins, -1)

    def inverse(self, parts: Tensor) -> Tensor:
        """Transform back: (batch, stems, 2 * channels, bins, columns) to (batch, stems, channels, frames)."""
        batch, stems, doubled, bins, columns = parts.shape
        rows = parts.reshape(batch * stems * doubled // 2, 2, bins, columns)
        rows = functional.pad(rows, (0, 0, 0, self._n_fft // 2 + 1 - bins))
        spectrum = torch.view_as_complex(rows.permute(0, 2, 3, 1).contiguous())
        audio: Tensor = torch.istft(spectrum, n_fft=self._n_fft, hop_length=self._hop, window=self._window, center=True)
        return audio.reshape(batch, stems, doubled // 2, -1)


class Mdx23c(nn.Module):
    """TFC-TDF-UNet v3: estimates the spectrum of each stem.

    A U-Net over the complex spectrum, whose frequency axis is folded into bands that become channels. Time is the
    height and frequency the width of its maps. The result is a spectrum, not a mask, but a bin that is zero in the
    mixture is zero in every stem. With InstanceNorm every output frame depends on the whole window.

    Parameters
    ----------
    architecture : Architecture
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        self._bands = a.bands
        self._outputs = a.outputs
        self._dtype: torch.dtype | None = None
        self.memory_format = torch.preserve_format
        """Order of the maps between the first layer and the last ones."""
        self.first_conv = nn.Conv2d(a.spectrum_channels, a.width, 1, bias=False)
        self.encoder_blocks = nn.ModuleList(_Encoder(a, n) for n in range(a.scales))
        channels, frequencies = a.level(a.scales)
        self.bottleneck_block = _TfcTdf(a, channels, channels, frequencies)
        self.decoder_blocks = nn.ModuleList(_Decoder(a, n) for n in reversed(range(a.scales)))
        self.final_conv = nn.Sequential(
            nn.Conv2d(a.width + a.spectrum_channels, a.width, 1, bias=False),
            _activation(a.act),
            nn.Conv2d(a.width, a.outputs * a.spectrum_channels, 1, bias=False),
        )

    def forward(self, spectrum: Tensor) -> Tensor:
        """Separate a spectrum.

        Parameters
        ----------
        spectrum : float32, shape (batch, 2 * channels, bins, columns)
            As `SpectrumTransform` gives it; a multiple of ``architecture.column_step`` columns.

        Returns
        -------
        float32, shape (batch, stems, 2 * channels, bins, columns)
        """
        batch, parts, bins, columns = spectrum.shape
        mixture = spectrum.reshape(batch, parts * self._bands, bins // self._bands, columns)
        first = self.first_conv(mixture)
        x = first.transpose(-1, -2).to(self._dtype or first.dtype, memory_format=self.memory_format)
        skipped = []
        for encoder in self.encoder_blocks:
            skip, x = encoder(x)
            skipped.append(skip)
        x = self.bottleneck_block(x)
        for decoder in self.decoder_blocks:
            x = decoder(x, skipped.pop())
        x = x.to(first.dtype).transpose(-1, -2) * first
        del first
        stems: Tensor = self.final_conv(torch.cat((mixture, x), dim=1))
        return stems.reshape(batch, self._outputs, parts, bins, columns)

    def reduce_to(self, dtype: torch.dtype) -> Mdx23c:
        """Let convolutions and layers between the first and the last ones work in ``dtype``; give this network.

        Norms keep their float32, and so do the ends, whose sums of many bins the smaller types cannot hold.
        """
        self._dtype = dtype
        inner = (self.encoder_blocks, self.bottleneck_block, self.decoder_blocks)
        for part in (module for block in inner for module in block.modules()):
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                part.to(dtype)
        return self


class _Encoder(nn.Module):
    """The blocks of one scale, and the way down to the next."""

    def __init__(self, a: Architecture, index: int) -> None:
        super().__init__()
        channels, frequencies = a.level(index)
        self.tfc_tdf = _TfcTdf(a, channels, channels, frequencies)
        self.downscale = _Rescale(a, nn.Conv2d(channels, a.level(index + 1)[0], a.scale, a.scale, bias=False))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.tfc_tdf(x)
        return skip, self.downscale(skip)


class _Decoder(nn.Module):
    """The way up to one scale, and its blocks, which also see what the encoder made there."""

    def __init__(self, a: Architecture, index: int) -> None:
        super().__init__()
        (channels, frequencies), below = a.level(index), a.level(index + 1)[0]
        self.upscale = _Rescale(a, nn.ConvTranspose2d(below, channels, a.scale, a.scale, bias=False))
        self.tfc_tdf = _TfcTdf(a, 2 * channels, channels, frequencies)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        result: Tensor = self.tfc_tdf(torch.cat((self.upscale(x), skip), dim=1))
        return result


class _Rescale(nn.Module):
    """Norm, activation, and a convolution whose stride is its size."""

    def __init__(self, a: Architecture, conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self.conv = _activated(a, conv.in_channels, conv)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(x)
        return result


class _TfcTdf(nn.Module):
    """Blocks one after the other."""

    def __init__(self, a: Architecture, given: int, made: int, frequencies: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(a, made if n else given, made, frequencies) for n in range(a.blocks))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class _Block(nn.Module):
    """Two convolutions over time and frequency with a bottleneck over all frequencies between them, and a shortcut."""

    def __init__(self, a: Architecture, given: int, made: int, frequencies: int) -> None:
        super().__init__()
        hidden = frequencies // a.bottleneck
        self.tfc1 = _activated(a, given, nn.Conv2d(given, made, 3, padding=1, bias=False))
        self.tdf = nn.Sequential(
            *_activated(a, made, nn.Linear(frequencies, hidden, bias=False)),
            *_activated(a, made, nn.Linear(hidden, frequencies, bias=False)),
        )
        self.tfc2 = _activated(a, made, nn.Conv2d(made, made, 3, padding=1, bias=False))
        self.shortcut = nn.Conv2d(given, made, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(x)
        x = self.tfc1(x)
        x = x + self.tdf(x)
        result: Tensor = self.tfc2(x) + shortcut
        return result


def _activated(a: Architecture, channels: int, layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(_norm(a.norm, channels), _activation(a.act), layer)


def _norm(name: str, channels: int) -> nn.Module:
    if name == "BatchNorm":
        return nn.BatchNorm2d(channels)
    if name == "InstanceNorm":
        return nn.InstanceNorm2d(channels, affine=True)
    if name:
        return nn.GroupNorm(int(name.removeprefix("GroupNorm")), channels)
    return nn.Identity()


def _activation(name: str) -> nn.Module:
    if name == "gelu":
        return nn.GELU()
    if name == "relu":
        return nn.ReLU()
    return nn.ELU(float(name.removeprefix("elu")))
