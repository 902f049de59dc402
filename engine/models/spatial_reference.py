"""The embedded separator in NumPy: the plain statement of what the shipped graph computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.models.spatial_design import F64, SpatialDesign
from engine.separator import Separator, StateArrays

__all__ = ["Levels", "SpatialReference"]

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Levels:
    """What each transform says by itself, without those before it.

    Attributes
    ----------
    energies : ndarray of float64, shape (any, 2, bins)
        Of mid and side.
    level, wide, narrow : ndarray of float64, shape (any, bins)
        The level of each bin in nepers of energy, and its means over many and over a few neighbours.
    """

    energies: F64
    level: F64
    wide: F64
    narrow: F64


class SpatialReference(Separator):
    """The ``spatial`` separator in double precision, without ONNX Runtime.

    It is the reference for tests and a place to try another design. It takes the interpreter's lock for each of its
    array operations, so in a live stream beside other Python threads the graph is the one to use.

    Parameters
    ----------
    design : SpatialDesign
        Lengths and constants.
    """

    def __init__(self, design: SpatialDesign | None = None) -> None:
        self.design = design if design is not None else SpatialDesign()
        self.spec = self.design.spec()
        self._analysis = self.design.analysis_window
        self._synthesis = self.design.synthesis_window
        self._bass = self.design.bass_register
        self._voice = self.design.voice_register
        self._sharpness = self.design.sharpness
        self._partial_weight = self.design.partial_weight

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        """Separate one hop of each stream.

        Parameters
        ----------
        windows : ndarray of float32, shape (batch, 2, hop_frames)
        states : tuple of ndarray of float32
            ``past`` (batch, 2, n_fft - hop), ``tail`` (batch, 3, 2, n_fft - hop), ``harmonic`` and
            ``partial`` (batch, bins) and ``energies`` (batch, 2, bins), those of mid and side; zeros are silence before
            the start.

        Returns
        -------
        stems : ndarray of float32, shape (batch, 4, 2, hop_frames)
            Vocals, drums, bass and other, which sum to the input of ``n_fft - hop_frames`` frames earlier.
        states : tuple of ndarray of float32
        """
        design = self.design
        hop = design.hop_frames
        past, tail, *before = states
        frame = np.concatenate((past, windows), axis=2)
        delayed = frame[:, :, :hop]
        magnitude = np.abs(frame)
        audible = (magnitude >= np.float32(design.quietest)) & (magnitude <= np.float32(design.loudest))
        spectrum = np.fft.rfft(np.where(audible, frame, 0.0) * self._analysis)

        masks, following = self.masks(spectrum, *before)
        separated = np.fft.irfft(masks[:, :, None] * spectrum[:, None]) * self._synthesis
        separated[..., : design.past_frames] += tail
        ready = separated[..., :hop].astype(np.float32)
        rest = delayed[:, None] - np.sum(ready, axis=1, keepdims=True)
        stems = np.concatenate((ready, rest), axis=1)
        tails = separated[..., hop:].astype(np.float32)
        return stems, (frame[:, :, hop:], tails, *(state.astype(np.float32) for state in following))

    def masks(
        self,
        spectrum: npt.NDArray[np.complex128],
        harmonic: npt.NDArray[Any],
        partial: npt.NDArray[Any],
        energies: npt.NDArray[Any],
    ) -> tuple[F64, tuple[F64, F64, F64]]:
        """Masks of vocals, drums and bass for one transform; ``other`` has what they leave of one.

        Parameters
        ----------
        spectrum : ndarray of complex, shape (batch, 2, bins)
        harmonic, partial : ndarray, shape (batch, bins)
        energies : ndarray, shape (batch, 2, bins)
            The states before this hop.

        Returns
        -------
        masks : ndarray of float64, shape (batch, 3, bins)
            Each in [0, 1], and so is their sum.
        states : tuple of ndarray of float64
            ``harmonic``, ``partial`` and ``energies`` after this hop.
        """
        levels = self.levels(spectrum)
        states = self.follow(levels, harmonic, partial, energies)
        return self.masks_from(levels.wide, *states), states

    def levels(self, spectrum: npt.NDArray[np.complex128]) -> Levels:
        """Measure transforms, each for itself: any number of streams or of hops, shape (any, 2, bins)."""
        design = self.design
        left, right = spectrum[:, 0], spectrum[:, 1]
        now = np.abs(np.stack((left + right, left - right), axis=1)) ** 2 / 2.0
        level = np.log1p(np.sum(now, axis=1) / design.energy_floor)
        wide = _mean_of_neighbours(level, design.neighbours)
        narrow = _mean_of_neighbours(level, design.partial_bins)
        return Levels(now, level, wide, narrow)

    def follow(
        self, levels: Levels, harmonic: npt.NDArray[Any], partial: npt.NDArray[Any], energies: npt.NDArray[Any]
    ) -> tuple[F64, F64, F64]:
        """Give the states ``harmonic``, ``partial`` and ``energies`` after one hop of each stream from those before."""
        design = self.design
        change = levels.level - harmonic
        speed = np.where(change > 0.0, design.smoothing(design.attack_s), design.smoothing(design.release_s))
        held = np.maximum(harmonic + speed * change - design.level_leak, 0.0)
        falling = np.maximum(partial - levels.narrow, 0.0) * (1.0 - design.smoothing(design.partial_decay_s))
        narrow = np.maximum(levels.narrow + falling - design.level_leak, 0.0)
        weight = design.smoothing(design.panning_s)
        smooth = np.maximum(energies + weight * (levels.energies - energies) - design.energy_leak, 0.0)
        return held, narrow, smooth

    def masks_from(self, wide: F64, harmonic: F64, partial: F64, energies: F64) -> F64:
        """Give the masks of any number of streams or of hops from their levels and the states after them.

        Parameters
        ----------
        wide, harmonic, partial : ndarray of float64, shape (any, bins)
        energies : ndarray of float64, shape (any, 2, bins)

        Returns
        -------
        ndarray of float64, shape (any, 3, bins)
        """
        design = self.design
        standing_out = partial - wide
        percussive = _sigmoid(self._sharpness * (wide - harmonic - design.margin) - self._partial_weight * standing_out)
        mid, side = energies[:, 0], energies[:, 1]
        centred = np.maximum(mid - side, 0.0) / (mid + side + design.energy_floor)
        tonal = 1.0 - percussive
        voiced = _sigmoid(design.voice_contrast * standing_out + design.voice_bias)
        return np.stack((tonal * self._voice * centred * voiced, percussive, tonal * self._bass), axis=1)


def _sigmoid(logit: F64) -> F64:
    return 1.0 / (1.0 + np.exp(-logit))


def _mean_of_neighbours(values: F64, count: int) -> F64:
    """Mean over ``count`` bins around each one; at the edges over those that exist."""
    bins = values.shape[-1]
    reach = count // 2
    sums = np.concatenate((np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)), axis=-1)
    first = np.maximum(np.arange(bins) - reach, 0)
    last = np.minimum(np.arange(bins) + reach + 1, bins)
    means: F64 = (sums[..., last] - sums[..., first]) / (last - first)
    return means
