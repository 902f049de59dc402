"""The transform of MDX23C models into buffers that are there, between a window and the folded maps of the network.

What `engine.models.mdx23c.SpectrumTransform` computes, for one window at a time and a few columns at once, which stay
in the cache: cut from the reflected window by strides, transformed by batched real transforms, and put together again
by adding hops, under a normaliser that is known beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from engine.backends.torch_runtime import torch
from engine.models.column_transform import add_columns
from engine.models.mdx23c_architecture import COMPLEX, Architecture

__all__ = ["BufferedSpectrum"]

Tensor = torch.Tensor
_SLAB_FLOATS = 1 << 18
"""Samples of the columns that are transformed at once: a megabyte, as much as a library may allocate on the way."""


class BufferedSpectrum:
    """Buffers for windows of one length. Used by one thread at a time.

    Parameters
    ----------
    architecture : Architecture
    window_frames : int
        ``hop_frames * (columns - 1)``.

    Attributes
    ----------
    columns : int
        Of each window.
    """

    def __init__(self, architecture: Architecture, window_frames: int) -> None:
        a = architecture
        self._architecture = a
        self._frames = window_frames
        self._reach = a.n_fft // 2
        self.columns = window_frames // a.hop_frames + 1
        rows = a.outputs * a.channels
        self._slab = min(self.columns, max(1, _SLAB_FLOATS // (max(rows, a.channels) * a.n_fft)))
        self._window = torch.hann_window(a.n_fft, periodic=True)
        self._padded = torch.empty(a.channels, window_frames + 2 * self._reach)
        # Hops that do not divide the transform end in one that is filled up.
        hops = self.columns - 1 + math.ceil(a.n_fft / a.hop_frames)
        self._summed = torch.empty(rows, hops * a.hop_frames)
        self._cut_in = torch.empty(a.channels, self._slab, a.n_fft)
        self._cut_out = torch.empty(rows, self._slab, a.n_fft)
        self._spectrum_in = torch.empty(a.channels, self._slab, a.n_fft // 2 + 1, dtype=torch.complex64)
        # Bins that the network does not know stay zero.
        self._spectrum_out = torch.zeros(rows, self._slab, a.n_fft // 2 + 1, dtype=torch.complex64)
        self._normaliser = self._make_normaliser()

    def forward(self, window: Tensor, mixture: Tensor) -> None:
        """Transform ``window`` (channels, frames) into ``mixture`` (columns, frequencies, channels * 2 * bands)."""
        a, reach, padded = self._architecture, self._reach, self._padded
        padded[:, reach : reach + self._frames].copy_(window)
        padded[:, :reach].copy_(window[:, 1 : reach + 1].flip(1))
        padded[:, reach + self._frames :].copy_(window[:, -reach - 1 : -1].flip(1))
        columns = padded.as_strided((a.channels, self.columns, a.n_fft), (padded.stride(0), a.hop_frames, 1))
        folded = mixture.view(self.columns, a.frequencies, a.channels, COMPLEX, a.bands)
        for begin, end in self._slabs():
            count = end - begin
            cut, spectrum = self._cut_in[:, :count], self._spectrum_in[:, :count]
            torch.mul(columns[:, begin:end], self._window, out=cut)
            torch.fft.rfft(cut, out=spectrum)
            parts = torch.view_as_real(spectrum)[:, :, : a.bins]
            parts = parts.view(a.channels, count, a.bands, a.frequencies, COMPLEX)
            folded[begin:end].copy_(parts.permute(1, 3, 0, 4, 2))

    def inverse(self, stems: Tensor, windows: Tensor) -> None:
        """Transform ``stems`` (columns, frequencies, stems * channels * 2 * bands) into ``windows``.

        They are (stems, channels, frames).
        """
        a = self._architecture
        folded = stems.view(self.columns, a.frequencies, a.outputs * a.channels, COMPLEX, a.bands)
        self._summed.zero_()
        for begin, end in self._slabs():
            count = end - begin
            cut, spectrum = self._cut_out[:, :count], self._spectrum_out[:, :count]
            parts = torch.view_as_real(spectrum)[:, :, : a.bins]
            parts = parts.view(-1, count, a.bands, a.frequencies, COMPLEX)
            parts.copy_(folded[begin:end].permute(2, 0, 4, 1, 3))
            torch.fft.irfft(spectrum, n=a.n_fft, out=cut)
            cut.mul_(self._window)
            add_columns(cut, self._summed, begin, a.hop_frames)
        summed = self._summed[:, self._reach : self._reach + self._frames]
        torch.mul(summed.view(windows.shape), self._normaliser, out=windows)

    def _slabs(self) -> Iterator[tuple[int, int]]:
        for begin in range(0, self.columns, self._slab):
            yield begin, min(begin + self._slab, self.columns)

    def _make_normaliser(self) -> Tensor:
        cut = self._window.square().expand(1, self.columns, -1).contiguous()
        summed = torch.zeros(1, self._summed.shape[1])
        add_columns(cut, summed, 0, self._architecture.hop_frames)
        return summed[0, self._reach : self._reach + self._frames].reciprocal()
