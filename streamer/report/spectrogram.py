"""A spectrogram that grows with the sound and not with its length."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["Spectrogram", "levels"]

F32 = npt.NDArray[np.float32]

_LOW_HZ, _HIGH_HZ = 30.0, 16_000.0
_BANDS_PER_OCTAVE = 12
_COLUMNS_PER_S = 60
_WINDOW_S = 0.064
"""Long enough to part two bass notes, short enough that a drum hit stays a line."""


class Spectrogram:
    """Power of several signals by time and pitch, taken in block after block.

    Bands lie a semitone apart from 30 Hz to 16 kHz or half the rate. Columns begin 1/60 s apart; whenever there would
    be more than ``max_columns``, each two neighbours become their mean, so that memory is bounded and energy is kept.

    One thread.

    Parameters
    ----------
    signals, channels : int
        Shape of what will come; the power of a signal is the mean over its channels.
    sample_rate : int
        In Hz.
    max_columns : int
        Even.

    Attributes
    ----------
    band_hz : ndarray of float, shape (bands,)
        Centres of the bands, rising.
    """

    def __init__(self, signals: int, channels: int, sample_rate: int, *, max_columns: int = 1200) -> None:
        size = 1 << math.ceil(math.log2(_WINDOW_S * sample_rate))
        self._hop = max(1, round(sample_rate / _COLUMNS_PER_S))
        window = np.hanning(size + 1)[:size]
        # A sine of full scale has a power of 1.
        self._window = (window * 2.0 / window.sum()).astype(np.float32)
        self.band_hz = _band_centres(sample_rate)
        self._bins, self._weights, self._starts = _triangles(self.band_hz, sample_rate / size, size // 2 + 1)
        self._power = np.zeros((signals, len(self.band_hz), max_columns), np.float32)
        self._columns = 0
        self._hops_per_column = 1
        self._sum = np.zeros(self._power.shape[:2], np.float64)
        self._summed_hops = 0
        # Begun with silence, so that each column is in the middle of the sound it stands for.
        self._heard = np.zeros((signals, channels, size), np.float32)
        self._fill = (size - self._hop) // 2
        self._frames = 0
        self._hops = 0

    @property
    def column_frames(self) -> int:
        """Frames that a column stands for; the last one may stand for fewer."""
        return self._hop * self._hops_per_column

    @property
    def power(self) -> F32:
        """What was taken in, shape (signals, bands, columns); a sine of full scale has 1. A view until more comes."""
        return self._power[..., : self._columns]

    def add(self, audio: F32) -> None:
        """Take in the next frames.

        Parameters
        ----------
        audio : ndarray of float32, shape (signals, channels, frames)
        """
        self._frames += audio.shape[-1]
        self._take(audio)

    def finish(self) -> None:
        """Complete the columns that reach past the end; nothing may be added any more."""
        missing = -(-self._frames // self._hop) - self._hops
        size = self._heard.shape[-1]
        silence = missing * self._hop + size - self._fill - self._hop
        if missing > 0:
            self._take(np.zeros((*self._heard.shape[:2], silence), np.float32))
        if self._summed_hops:
            if self._columns == self._power.shape[-1]:
                self._merge_columns()
            self._close_column()

    def _take(self, audio: F32) -> None:
        size, done = self._heard.shape[-1], 0
        while done < audio.shape[-1]:
            n = min(size - self._fill, audio.shape[-1] - done)
            self._heard[..., self._fill : self._fill + n] = audio[..., done : done + n]
            self._fill += n
            done += n
            if self._fill == size:
                self._add_hop()
                self._heard[..., : -self._hop] = self._heard[..., self._hop :]
                self._fill -= self._hop

    def _add_hop(self) -> None:
        spectrum = np.fft.rfft(self._heard * self._window)
        power = np.mean(spectrum.real**2 + spectrum.imag**2, axis=1)
        self._sum += np.add.reduceat(power[:, self._bins] * self._weights, self._starts, axis=1)
        self._summed_hops += 1
        self._hops += 1
        if self._summed_hops < self._hops_per_column:
            return
        if self._columns < self._power.shape[-1]:
            self._close_column()
        else:
            self._merge_columns()

    def _merge_columns(self) -> None:
        """Halve the columns; what is summed is half of one then."""
        self._columns //= 2
        self._power[..., : self._columns] = 0.5 * (self._power[..., 0::2] + self._power[..., 1::2])
        self._hops_per_column *= 2

    def _close_column(self) -> None:
        self._power[..., self._columns] = self._sum / self._summed_hops
        self._columns += 1
        self._sum[...] = 0.0
        self._summed_hops = 0


def levels(power: F32, reference: float, range_db: float) -> npt.NDArray[np.uint8]:
    """Give power in dB below a reference as bytes: 255 for the reference and above, 0 for ``range_db`` below it.

    Parameters
    ----------
    power : ndarray of float32
    reference : float
        Zero where all is silence: then everything is 0.
    range_db : float
    """
    if reference <= 0.0:
        return np.zeros(power.shape, np.uint8)
    db = 10.0 * np.log10(np.maximum(power / reference, 1e-20))
    return np.asarray(np.rint(255.0 * np.clip(1.0 + db / range_db, 0.0, 1.0)), np.uint8)


def _band_centres(sample_rate: int) -> npt.NDArray[np.float64]:
    high = min(_HIGH_HZ, sample_rate / 2)
    steps = math.floor(_BANDS_PER_OCTAVE * math.log2(high / _LOW_HZ))
    return np.asarray(_LOW_HZ * 2.0 ** (np.arange(steps + 1) / _BANDS_PER_OCTAVE))


def _triangles(
    centres: npt.NDArray[np.float64], bin_hz: float, bins: int
) -> tuple[npt.NDArray[np.intp], F32, npt.NDArray[np.intp]]:
    """Weights of the bins in each band, end to end, and where each band begins.

    A triangle reaches to the neighbouring bands, but at least one bin far: low bands share bins, and none is empty.
    """
    hz = np.arange(bins) * bin_hz
    half = np.maximum(centres * (2.0 ** (1.0 / _BANDS_PER_OCTAVE) - 1.0), bin_hz)
    weights = np.maximum(0.0, 1.0 - np.abs(hz - centres[:, None]) / half[:, None])
    band, index = np.nonzero(weights)
    starts = np.searchsorted(band, np.arange(len(centres)))
    return index, weights[band, index].astype(np.float32), starts
