"""One transform for all windows of a stream: what two windows see alike is transformed once."""

from __future__ import annotations

from engine.backends.torch_runtime import torch
from engine.models.mdx23c_architecture import COMPLEX, Architecture

__all__ = ["SharedSpectrum", "aligned_overlap"]

Tensor = torch.Tensor
_OVERLAPS = (2, 3, 4, 5, 6, 8)


def aligned_overlap(columns: int) -> int | None:
    """Give the least usual overlap at which windows begin at columns of one another; None if there is none."""
    return next((overlap for overlap in _OVERLAPS if (columns - 1) % overlap == 0), None)


class SharedSpectrum:
    """The transform of a stream's windows, which come in turn. Used by one thread.

    Columns near the ends of a window hear its reflection, and are its own. The others are kept for the windows to come:
    only as many are transformed as a window has that none before had. What is given is what
    `engine.models.buffered_spectrum.BufferedSpectrum` gives.

    Parameters
    ----------
    architecture : Architecture
    window_frames : int
    hop_columns : int
        Columns from one window's beginning to the next one's.
    """

    def __init__(self, architecture: Architecture, window_frames: int, hop_columns: int) -> None:
        a = architecture
        self._architecture = a
        self._hop_columns = hop_columns
        self._reach = a.n_fft // 2
        self._columns = window_frames // a.hop_frames + 1
        self._own = -(-self._reach // a.hop_frames)
        self._window = torch.hann_window(a.n_fft, periodic=True)
        self._padded = torch.empty(a.channels, window_frames + 2 * self._reach)
        self._cut = torch.empty(a.channels, self._columns, a.n_fft)
        self._kept, self._next = (
            torch.zeros(a.channels, self._columns, a.n_fft // 2 + 1, dtype=torch.complex64) for _ in range(2)
        )
        self._is_first = True

    def forward(self, window: Tensor, mixture: Tensor) -> None:
        """Transform the next ``window`` into ``mixture`` (columns, frequencies, channels * 2 * bands)."""
        a, reach, padded = self._architecture, self._reach, self._padded
        padded[:, reach:-reach].copy_(window)
        padded[:, :reach].copy_(window[:, 1 : reach + 1].flip(1))
        padded[:, -reach:].copy_(window[:, -reach - 1 : -1].flip(1))
        columns = padded.as_strided((a.channels, self._columns, a.n_fft), (padded.stride(0), a.hop_frames, 1))
        begin, end = self._own, self._columns - self._own - self._hop_columns
        if self._is_first or end <= begin:
            self._transform(columns, 0, self._columns)
            self._is_first = False
        else:
            self._next[:, begin:end].copy_(self._kept[:, begin + self._hop_columns : end + self._hop_columns])
            self._transform(columns, 0, begin)
            self._transform(columns, end, self._columns)
        self._kept, self._next = self._next, self._kept
        parts = torch.view_as_real(self._kept)[:, :, : a.bins]
        parts = parts.view(a.channels, self._columns, a.bands, a.frequencies, COMPLEX).permute(1, 3, 0, 4, 2)
        mixture.view(parts.shape).copy_(parts)

    def _transform(self, columns: Tensor, begin: int, end: int) -> None:
        cut = self._cut[:, begin:end]
        torch.mul(columns[:, begin:end], self._window, out=cut)
        self._next[:, begin:end] = torch.fft.rfft(cut)
