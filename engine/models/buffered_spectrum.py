"""The transform of MDX23C models into buffers that are there, between a window and the folded maps of the network.

What `engine.models.mdx23c.SpectrumTransform` computes, for one window at a time and without allocating: columns are
cut from the reflected window by strides, transformed by batched real transforms, and put together again by adding
hops, under a normaliser that is known beforehand.
"""

from __future__ import annotations

import math

from engine.backends.torch_runtime import torch
from engine.models.mdx23c_architecture import COMPLEX, Architecture

__all__ = ["BufferedSpectrum"]

Tensor = torch.Tensor


class BufferedSpectrum:
    """Buffers for windows of one length. Used by one thread at a time.

    Parameters
    ----------
    architecture : Architecture
    window_frames : int
        ``hop_frames * (columns - 1)``.
    """

    def __init__(self, architecture: Architecture, window_frames: int) -> None:
        a = architecture
        self._architecture = a
        self._frames = window_frames
        self._reach = a.n_fft // 2
        self.columns = window_frames // a.hop_frames + 1
        rows = max(1, a.outputs) * a.channels
        bins = a.n_fft // 2 + 1
        self._window = torch.hann_window(a.n_fft, periodic=True)
        padded = window_frames + 2 * self._reach
        # Hops that do not divide the transform leave columns that end before the padding does.
        self._padded = torch.empty(a.channels, padded)
        self._summed = torch.zeros(rows, self._hops * a.hop_frames)
        self._cut = torch.empty(rows, self.columns, a.n_fft)
        self._spectrum = torch.zeros(rows, self.columns, bins, dtype=torch.complex64)
        self._normaliser = self._make_normaliser()

    @property
    def _hops(self) -> int:
        """Hops that all columns together reach over, the last one filled up."""
        a = self._architecture
        return self.columns - 1 + math.ceil(a.n_fft / a.hop_frames)

    def forward(self, window: Tensor, mixture: Tensor) -> None:
        """Transform ``window`` (channels, frames) into ``mixture`` (columns, frequencies, channels * 2 * bands)."""
        cut, spectrum = self._cut[: len(window)], self._spectrum[: len(window)]
        torch.mul(self._cut_columns(window), self._window, out=cut)
        torch.fft.rfft(cut, out=spectrum)
        self._fold(spectrum, mixture)

    def inverse(self, stems: Tensor, windows: Tensor) -> None:
        """Transform ``stems`` (columns, frequencies, stems * channels * 2 * bands) into ``windows``.

        They are (stems, channels, frames).
        """
        a = self._architecture
        spectrum = torch.view_as_real(self._spectrum)
        # The channels of the mixture were transformed here: what they left above the bins that count is no stem's.
        spectrum[:, :, a.bins :].zero_()
        parts = spectrum[:, :, : a.bins].view(-1, self.columns, a.bands, a.frequencies, COMPLEX)
        given = stems.view(self.columns, a.frequencies, a.outputs * a.channels, COMPLEX, a.bands)
        parts.copy_(given.permute(2, 0, 4, 1, 3))
        torch.fft.irfft(self._spectrum, n=a.n_fft, out=self._cut)
        self._cut.mul_(self._window)
        self._add_columns(self._cut, self._summed)
        summed = self._summed[:, self._reach : self._reach + self._frames]
        torch.mul(summed.view(windows.shape), self._normaliser, out=windows)

    def _cut_columns(self, window: Tensor) -> Tensor:
        """Give the columns (channels, columns, n_fft) of a window, which is reflected at both ends."""
        a, reach, padded = self._architecture, self._reach, self._padded
        padded[:, reach : reach + self._frames].copy_(window)
        padded[:, :reach].copy_(window[:, 1 : reach + 1].flip(1))
        padded[:, reach + self._frames :].copy_(window[:, -reach - 1 : -1].flip(1))
        return padded.as_strided((a.channels, self.columns, a.n_fft), (padded.stride(0), a.hop_frames, 1))

    def _fold(self, spectrum: Tensor, mixture: Tensor) -> None:
        """Put (channels, columns, bins) into (columns, frequencies, channels, parts, bands)."""
        a = self._architecture
        parts = torch.view_as_real(spectrum)[:, :, : a.bins]
        parts = parts.view(a.channels, self.columns, a.bands, a.frequencies, COMPLEX).permute(1, 3, 0, 4, 2)
        mixture.view(parts.shape).copy_(parts)

    def _add_columns(self, cut: Tensor, summed: Tensor) -> None:
        a = self._architecture
        hop = a.hop_frames
        summed.zero_()
        if a.n_fft % hop == 0:
            hops = summed.view(len(summed), -1, hop)
            pieces = cut.view(len(cut), self.columns, -1, hop)
            for n in range(a.n_fft // hop):
                hops[:, n : n + self.columns].add_(pieces[:, :, n])
            return
        for column in range(self.columns):
            summed[:, column * hop : column * hop + a.n_fft].add_(cut[:, column])

    def _make_normaliser(self) -> Tensor:
        cut = self._window.square().expand(1, self.columns, -1).contiguous()
        summed = torch.zeros(1, self._summed.shape[1])
        self._add_columns(cut, summed)
        return summed[0, self._reach : self._reach + self._frames].reciprocal()
