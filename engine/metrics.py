"""How well a stem was separated, where the true stem is known: SDR and SI-SDR, for recordings of any length."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from engine.errors import ConfigurationError

__all__ = ["StemScore", "sdr_db", "si_sdr_db"]

_Audio = npt.NDArray[np.floating]


class StemScore:
    """Sums from which the SDR and the SI-SDR of one estimate follow, block after block.

    The SDR is the energy of the truth over that of what the estimate lacks or adds, as in the Music Demixing
    Challenge [1]_; every frame and channel counts alike, and nothing is filtered or shifted. The SI-SDR [2]_ is the
    same after the truth has been scaled by the one gain that suits the estimate best, so that being quiet wins
    nothing; the mean is left in, and both channels share the gain.

    One thread.

    References
    ----------
    .. [1] Y. Mitsufuji et al., "Music Demixing Challenge 2021", Frontiers in Signal Processing 1, 2022.
    .. [2] J. Le Roux, S. Wisdom, H. Erdogan, J. R. Hershey, "SDR - half-baked or well done?", Proc. ICASSP, 2019.
    """

    def __init__(self) -> None:
        self._truth = self._estimate = self._both = self._error = 0.0

    def add(self, truth: _Audio, estimate: _Audio) -> None:
        """Take in the next frames.

        Parameters
        ----------
        truth, estimate : ndarray of float, shape (channels, frames)

        Raises
        ------
        ConfigurationError
            If the shapes differ.
        """
        if truth.shape != estimate.shape:
            raise ConfigurationError(
                f"the truth has shape {truth.shape} and the estimate {estimate.shape}: they must agree"
            )
        true, given = (np.asarray(audio, np.float64).ravel() for audio in (truth, estimate))
        self._truth += float(true @ true)
        self._estimate += float(given @ given)
        self._both += float(true @ given)
        error = true - given
        self._error += float(error @ error)

    @property
    def has_truth(self) -> bool:
        """The truth was not silence all along: without that there is nothing to score."""
        return self._truth > 0.0

    @property
    def sdr_db(self) -> float:
        """In dB: infinite for the truth itself, zero for silence, not a number where the truth is silence."""
        return _ratio_db(self._truth, self._error) if self.has_truth else math.nan

    @property
    def si_sdr_db(self) -> float:
        """In dB: minus infinity for what has nothing of the truth, not a number where the truth is silence."""
        if not self.has_truth:
            return math.nan
        target = self._both * self._both / self._truth
        return _ratio_db(target, max(self._estimate - target, 0.0))


def sdr_db(truth: _Audio, estimate: _Audio) -> float:
    """Give the SDR in dB of one estimate, shape (channels, frames) like its truth: see `StemScore`."""
    score = StemScore()
    score.add(truth, estimate)
    return score.sdr_db


def si_sdr_db(truth: _Audio, estimate: _Audio) -> float:
    """Give the SI-SDR in dB of one estimate, shape (channels, frames) like its truth: see `StemScore`."""
    score = StemScore()
    score.add(truth, estimate)
    return score.si_sdr_db


def _ratio_db(wanted: float, unwanted: float) -> float:
    if not math.isfinite(unwanted):
        return math.nan
    if wanted <= 0.0:
        return -math.inf
    return 10.0 * math.log10(wanted / unwanted) if unwanted > 0.0 else math.inf
