"""The ceiling of every separator that scales the mixture's spectrum: ratio masks made from the true stems.

Of each time and frequency of the mixture a stem gets the share that its power ``|S_j|^2`` has in the sum of the powers
of all true stems [1]_, in each channel by itself, with the phase of the mixture. What the mixture holds beside the true
stems counts as one more stem. Windows of 4096 frames (Hann), a quarter apart. A separator that makes its own phases can
do better.

References
----------
.. [1] A. Liutkus, R. Badeau, "Generalized Wiener filtering with fractional power spectrograms", Proc. ICASSP, 2015.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from quality_excerpts import Excerpt
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

__all__ = ["oracle_stems"]

F32 = npt.NDArray[np.float32]
_WINDOW_FRAMES = 4096
_HOP_FRAMES = 1024
_PIECE_FRAMES = 1 << 19
"""Spectra are held for pieces of this length; a whole number of hops, so that all pieces have the same windows."""


def oracle_stems(excerpt: Excerpt, stems: Iterable[str]) -> dict[str, F32]:
    """Separate an excerpt by masks made from its true stems.

    Parameters
    ----------
    excerpt : Excerpt
    stems : iterable of str
        Which to give; those that do not play are silence.

    Returns
    -------
    dict of str to ndarray of float32, shape (channels, frames)
    """
    frames = excerpt.mixture.shape[1]
    separated = {stem: np.zeros_like(excerpt.mixture) for stem in stems}
    playing = [stem for stem in separated if stem in excerpt.truths]
    truths, remainder = excerpt.truths, excerpt.remainder
    for start in range(0, frames, _PIECE_FRAMES):
        stop = min(start + _PIECE_FRAMES, frames)
        first, last = max(0, start - _WINDOW_FRAMES), min(stop + _WINDOW_FRAMES, frames)
        piece = {stem: truth[:, first:last] for stem, truth in truths.items()}
        masked = _mask(excerpt.mixture[:, first:last], piece, remainder[:, first:last], playing)
        for stem, given in masked.items():
            separated[stem][:, start:stop] = given[:, start - first : stop - first]
    return separated


def _mask(
    mixture: F32, truths: dict[str, F32], remainder: npt.NDArray[np.float64], stems: list[str]
) -> dict[str, npt.NDArray[np.float64]]:
    frames = mixture.shape[1]
    # The transform refuses less than half a window; what is added behind is cut off again.
    missing = max(0, _WINDOW_FRAMES - frames)
    transform = ShortTimeFFT(hann(_WINDOW_FRAMES, sym=False), _HOP_FRAMES, fs=1.0)

    def spectrum(audio: npt.NDArray[np.floating]) -> npt.NDArray[np.complex128]:
        return transform.stft(np.pad(audio, ((0, 0), (0, missing))))

    powers = {stem: np.abs(spectrum(truth)) ** 2 for stem, truth in truths.items()}
    total = sum(powers.values()) + np.abs(spectrum(remainder)) ** 2
    whole = spectrum(mixture)
    # Where no stem has any power the mixture has none either.
    gain = np.divide(whole, total, out=np.zeros_like(whole), where=total > 0.0)
    return {stem: transform.istft(powers[stem] * gain, k1=frames + missing)[:, :frames] for stem in stems}
