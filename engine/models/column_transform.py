"""The transforms of a waveform as a device runs them: whole batches, nothing that waits, and so fit for a graph."""

from __future__ import annotations

import math

from engine.backends.torch_runtime import torch
from engine.models.mdx23c_architecture import COMPLEX

__all__ = ["ColumnTransform", "add_columns"]

Tensor = torch.Tensor


class ColumnTransform:
    """What `engine.models.mdx23c.SpectrumTransform` computes, without a look at the result on the way.

    ``torch.istft`` asks the device whether its windows cover every frame, for which the processor waits and which no
    graph can hold. Here that is known beforehand: it depends on the lengths alone.

    Parameters
    ----------
    n_fft, hop_frames : int
    bins : int
        Bins kept, from 0 up; the others count as zero on the way back.
    device : torch.device
        Where the audio is.
    """

    def __init__(self, n_fft: int, hop_frames: int, bins: int, *, device: torch.device) -> None:
        self._n_fft = n_fft
        self._hop = hop_frames
        self._bins = bins
        self._reach = n_fft // 2
        self._device = device
        self._hann = torch.hann_window(n_fft, periodic=True)
        self._window = self._hann.to(device)
        self._normalisers: dict[int, Tensor] = {}

    def forward(self, audio: Tensor) -> Tensor:
        """Transform (batch, channels, frames), float32, to (batch, 2 * channels, bins, columns)."""
        padded = torch.nn.functional.pad(audio, (self._reach, self._reach), mode="reflect")
        spectrum = torch.fft.rfft(padded.unfold(-1, self._n_fft, self._hop) * self._window)
        parts = torch.view_as_real(spectrum[..., : self._bins]).permute(0, 1, 4, 3, 2)
        return parts.flatten(1, 2).contiguous()

    def inverse(self, parts: Tensor) -> Tensor:
        """Transform back: (batch, stems, 2 * channels, bins, columns) to (batch, stems, channels, frames)."""
        batch, stems, doubled, bins, columns = parts.shape
        rows = parts.reshape(-1, COMPLEX, bins, columns).permute(0, 3, 2, 1).contiguous()
        # Bins that are not there count as zero.
        cut = torch.fft.irfft(torch.view_as_complex(rows), n=self._n_fft) * self._window
        summed = cut.new_zeros(len(cut), self._padded_frames(columns))
        add_columns(cut, summed, 0, self._hop)
        frames = (columns - 1) * self._hop
        audio: Tensor = summed[:, self._reach : self._reach + frames] * self.normaliser(columns)
        return audio.view(batch, stems, doubled // COMPLEX, frames)

    def normaliser(self, columns: int) -> Tensor:
        """Give what each frame is multiplied by after windows of so many columns were added up; made once."""
        if columns not in self._normalisers:
            # On the processor, and the copy is waited for: whichever stream reads it, it is there.
            summed = torch.zeros(1, self._padded_frames(columns))
            add_columns(self._hann.square().expand(1, columns, -1).contiguous(), summed, 0, self._hop)
            frames = (columns - 1) * self._hop
            made = summed[0, self._reach : self._reach + frames].reciprocal().contiguous()
            self._normalisers[columns] = made.to(self._device)
        return self._normalisers[columns]

    def _padded_frames(self, columns: int) -> int:
        # Hops that do not divide the transform end in one that is filled up.
        return (columns - 1 + math.ceil(self._n_fft / self._hop)) * self._hop


def add_columns(cut: Tensor, summed: Tensor, begin: int, hop_frames: int) -> None:
    """Add columns (rows, count, n_fft), the first of which is number ``begin``, at their places in ``summed``.

    Parameters
    ----------
    cut : Tensor
        Contiguous.
    summed : Tensor, shape (rows, frames)
        Its frames are a multiple of the hop.
    begin, hop_frames : int
    """
    count, n_fft = cut.shape[1:]
    if n_fft % hop_frames == 0:
        hops = summed.view(len(summed), -1, hop_frames)
        pieces = cut.view(len(cut), count, -1, hop_frames)
        for n in range(n_fft // hop_frames):
            hops[:, begin + n : begin + n + count].add_(pieces[:, :, n])
        return
    for column in range(count):
        start = (begin + column) * hop_frames
        summed[:, start : start + n_fft].add_(cut[:, column])
