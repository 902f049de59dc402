"""One transform for all windows of a stream: what two windows see alike is transformed once."""

from __future__ import annotations

from engine.backends.torch_runtime import torch
from engine.models.buffered_spectrum import BufferedSpectrum
from engine.models.mdx23c_architecture import Architecture

__all__ = ["SharedSpectrum", "aligned_overlap"]

Tensor = torch.Tensor
_OVERLAPS = (2, 3, 4, 5, 6, 8)


def aligned_overlap(columns: int) -> int | None:
    """Give the least usual overlap at which windows begin at columns of one another; None if there is none."""
    return next((overlap for overlap in _OVERLAPS if (columns - 1) % overlap == 0), None)


class SharedSpectrum(BufferedSpectrum):
    """The transform of a stream's windows, which come in turn. Used by one thread.

    Columns near the ends of a window hear its reflection, and are its own. The others are kept for the windows to come:
    only as many are transformed as a window has that none before had.

    Parameters
    ----------
    architecture : Architecture
    window_frames : int
    hop_columns : int
        Columns from one window's beginning to the next one's.
    """

    def __init__(self, architecture: Architecture, window_frames: int, hop_columns: int) -> None:
        super().__init__(architecture, window_frames)
        self._hop_columns = hop_columns
        self._own = -(-architecture.n_fft // 2 // architecture.hop_frames)
        bins = architecture.n_fft // 2 + 1
        self._kept, self._next = (
            torch.zeros(architecture.channels, self.columns, bins, dtype=torch.complex64) for _ in range(2)
        )
        self._is_first = True

    def forward(self, window: Tensor, mixture: Tensor) -> None:
        """Transform the next window of the stream; see `BufferedSpectrum.forward`."""
        columns = self._cut_columns(window)
        shared = self.columns - 2 * self._own - self._hop_columns
        if self._is_first or shared <= 0:
            self._transform(columns, 0, self.columns)
            self._is_first = False
        else:
            begin, end = self._own, self._own + shared
            self._next[:, begin:end].copy_(self._kept[:, begin + self._hop_columns : end + self._hop_columns])
            self._transform(columns, 0, begin)
            self._transform(columns, end, self.columns)
        self._kept, self._next = self._next, self._kept
        self._fold(self._kept, mixture)

    def _transform(self, columns: Tensor, begin: int, end: int) -> None:
        cut = self._cut[: len(columns), begin:end]
        torch.mul(columns[:, begin:end], self._window, out=cut)
        self._next[:, begin:end] = torch.fft.rfft(cut)
