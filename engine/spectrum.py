"""The spectrum of a window and back with NumPy alone, for networks that take and give spectra."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

__all__ = ["WindowSpectrum"]

F32 = npt.NDArray[np.float32]
_LEAST = 1e-11


class WindowSpectrum:
    """A waveform's lowest bins as real channels, and back, with buffers of its own: nothing is allocated in between.

    The convention is that of `engine.models.mdx23c.SpectrumTransform`: a periodic Hann window, columns centred on
    multiples of the hop, the waveform reflected at both ends by half a window, and on the way back columns added up
    and divided by the sum of their squared windows. All of it is float32. Belongs to one thread.

    Parameters
    ----------
    n_fft : int
        Even.
    hop_frames : int
    bins : int
        Bins kept, from 0 up; the others count as zero on the way back.
    frames : int
        Length of a window: a multiple of the hop, and more than half of ``n_fft``.

    Attributes
    ----------
    columns : int
    """

    def __init__(self, n_fft: int, hop_frames: int, bins: int, frames: int) -> None:
        self.columns = columns = frames // hop_frames + 1
        self._n_fft, self._bins, self._frames = n_fft, bins, frames
        self._half = half = n_fft // 2
        hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)
        self._window: F32 = hann.astype(np.float32)
        self._scaled_window: F32 = (n_fft * hann).astype(np.float32)
        self._hops = [slice(n, min(n + hop_frames, n_fft)) for n in range(0, n_fft, hop_frames)]
        places = columns - 1 + len(self._hops)
        self._padded: F32 = np.zeros(places * hop_frames, np.float32)
        step = self._padded.itemsize
        self._views = as_strided(self._padded, (columns, n_fft), (hop_frames * step, step), writeable=False)
        self._by_place = self._padded.reshape(places, hop_frames)
        # NumPy's stubs know double precision alone for what a transform is written to.
        self._columns: npt.NDArray[Any] = np.empty((columns, n_fft), np.float32)
        self._spectrum: npt.NDArray[Any] = np.empty((columns, half + 1), np.complex64)
        squares = np.zeros((places, hop_frames))
        for n, hop in enumerate(self._hops):
            squares[n : n + columns, : hop.stop - hop.start] += hann[hop] ** 2
        overlapped = squares.reshape(-1)[half : half + frames]
        self._normaliser: F32 = (1.0 / np.maximum(overlapped, _LEAST)).astype(np.float32)

    def forward(self, audio: F32, out: F32) -> None:
        """Transform.

        Parameters
        ----------
        audio : ndarray of float32, shape (channels, frames)
        out : ndarray of float32, shape (2 * channels, bins, columns)
            Takes the real and the imaginary part of the first channel, then of the next.
        """
        half, end = self._half, self._half + self._frames
        for channel, heard in enumerate(audio):
            self._padded[half:end] = heard
            self._padded[:half] = heard[half:0:-1]
            self._padded[end : end + half] = heard[-2 : -2 - half : -1]
            np.multiply(self._views, self._scaled_window, out=self._columns)
            # Without a factor NumPy works in double precision, on copies. This one is in the window already.
            np.fft.rfft(self._columns, axis=-1, norm="forward", out=self._spectrum)
            kept = self._spectrum[:, : self._bins].T
            out[2 * channel] = kept.real
            out[2 * channel + 1] = kept.imag

    def inverse(self, parts: F32, out: F32) -> None:
        """Transform back: (2 * channels, bins, columns) to (channels, frames)."""
        self._spectrum[:, self._bins :] = 0.0
        kept = self._spectrum[:, : self._bins].T
        for channel, heard in enumerate(out):
            kept.real = parts[2 * channel]
            kept.imag = parts[2 * channel + 1]
            np.fft.irfft(self._spectrum, self._n_fft, axis=-1, out=self._columns)
            self._columns *= self._window
            self._padded[:] = 0.0
            for n, hop in enumerate(self._hops):
                self._by_place[n : n + self.columns, : hop.stop - hop.start] += self._columns[:, hop]
            np.multiply(self._padded[self._half : self._half + self._frames], self._normaliser, out=heard)
