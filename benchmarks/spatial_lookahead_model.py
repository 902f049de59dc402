"""The embedded separator over whole recordings, with more look-ahead than it ships with.

All transforms of a recording are made at once and weighed by the functions of the NumPy reference; only the followers
go hop by hop. Without extra look-ahead the result is the reference's.

With it, the masks of a hop wait for some hops more. The harmonic level becomes the mean of the causal follower and of
the plain mean of the levels that follow: a tone that begins will be there later too, a click will not. The energies of
mid and side are read later, by the look-ahead or by half of their time constant, whichever is less. Near the end of the
recording what is missing is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from engine import separate
from engine.models.spatial_design import F64, SpatialDesign
from engine.models.spatial_reference import Levels, SpatialReference

__all__ = ["Analysis", "Variant", "largest_difference"]

F32 = npt.NDArray[np.float32]
# Half of the time constant of the mid and side energies: about the delay of their average.
_PANNING_DELAY_S = 0.06


@dataclass(frozen=True)
class Variant:
    """The design, how far ahead it looks and what is taken from it.

    Attributes
    ----------
    design : SpatialDesign
    extra_hops : int
        Hops after its own that a mask waits for.
    is_binary : bool
        Every bin goes to the stem with the largest mask.
    hears_panning : bool
        False: everything counts as centred.
    """

    design: SpatialDesign
    extra_hops: int = 0
    is_binary: bool = False
    hears_panning: bool = True

    @property
    def latency_frames(self) -> int:
        """Frames from the input to the output: an output frame knows no input that is this much later."""
        return self.design.n_fft + self.extra_hops * self.design.hop_frames

    @property
    def latency_ms(self) -> float:
        """The same in ms."""
        return 1e3 * self.latency_frames / self.design.sample_rate


class Analysis:
    """All of the separation of a recording that does not depend on the margin.

    Parameters
    ----------
    mixture : ndarray of float32, shape (2, frames)
    variant : Variant
    """

    def __init__(self, mixture: F32, variant: Variant) -> None:
        self._mixture, self._variant = mixture, variant
        reference = SpatialReference(variant.design)
        self._spectrum = _transforms(mixture, variant.design)
        levels = reference.levels(self._spectrum)
        self._wide = levels.wide
        self._held, self._narrow, self._energies = _follow(reference, levels)
        if variant.extra_hops:
            self._held = _with_future(self._held, levels.level, variant.extra_hops)
            self._energies = _later(self._energies, variant)
        if not variant.hears_panning:
            self._energies[:, 1] = 0.0

    def separate(self, margin: float) -> F32:
        """Give the stems, shape (4, 2, frames), that a margin leads to: vocals, drums, bass and other."""
        mixture, variant = self._mixture, self._variant
        reference = SpatialReference(replace(variant.design, margin=margin))
        masks = reference.masks_from(self._wide, self._held, self._narrow, self._energies)
        if variant.is_binary:
            masks = _winners(masks)
        made = [_sound(mask[:, None] * self._spectrum, variant.design) for mask in masks.transpose(1, 0, 2)]
        ready = np.stack([audio[:, : mixture.shape[1]] for audio in made]).astype(np.float32)
        return np.concatenate((ready, mixture - np.sum(ready, axis=0, keepdims=True)))


def largest_difference(mixture: F32, design: SpatialDesign) -> float:
    """Give the largest difference between a recording's stems made here and those of the NumPy reference."""
    expected = separate(SpatialReference(design), mixture, design.sample_rate)
    given = Analysis(mixture, Variant(design)).separate(design.margin)
    return float(np.max(np.abs(given - expected)))


def _transforms(mixture: F32, design: SpatialDesign) -> npt.NDArray[np.complex128]:
    """Transform every hop, shape (hops, 2, bins), silence before the first frame and after the last."""
    magnitude = np.abs(mixture)
    audible = (magnitude >= np.float32(design.quietest)) & (magnitude <= np.float32(design.loudest))
    hops = -(-(mixture.shape[1] + design.past_frames) // design.hop_frames)
    padded = np.zeros((2, (hops - 1) * design.hop_frames + design.n_fft))
    padded[:, design.past_frames : design.past_frames + mixture.shape[1]] = np.where(audible, mixture, 0.0)
    frames = np.lib.stride_tricks.sliding_window_view(padded, design.n_fft, axis=1)[:, :: design.hop_frames]
    spectrum: npt.NDArray[np.complex128] = np.fft.rfft(frames * design.analysis_window).transpose(1, 0, 2)
    return spectrum


def _sound(spectrum: npt.NDArray[np.complex128], design: SpatialDesign) -> F64:
    """Transform back and add what overlaps; the first frame is the recording's, silence may follow its last."""
    hops, hop = len(spectrum), design.hop_frames
    frames = np.fft.irfft(spectrum) * design.synthesis_window
    parts = frames.reshape(hops, 2, -1, hop).transpose(2, 1, 0, 3)
    added = np.zeros((2, hops + len(parts) - 1, hop))
    for late, part in enumerate(parts):
        added[:, late : late + hops] += part
    return added.reshape(2, -1)[:, design.past_frames :]


def _follow(reference: SpatialReference, levels: Levels) -> tuple[F64, F64, F64]:
    """Give the states after every hop, the first one after silence."""
    followed = tuple(np.empty_like(each) for each in (levels.level, levels.narrow, levels.energies))
    states = tuple(np.zeros_like(each[:1]) for each in followed)
    for hop in range(len(levels.level)):
        now = slice(hop, hop + 1)
        one = Levels(levels.energies[now], levels.level[now], levels.wide[now], levels.narrow[now])
        states = reference.follow(one, *states)
        for each, state in zip(followed, states, strict=True):
            each[now] = state
    held, narrow, energies = followed
    return held, narrow, energies


def _with_future(held: F64, level: F64, extra_hops: int) -> F64:
    """Average the followed level with the mean of the next levels; the last hop, which has no next, keeps its own."""
    hops = len(level)
    sums = np.concatenate((np.zeros((1, level.shape[1])), np.cumsum(level, axis=0)))
    first = np.arange(1, hops)
    last = np.minimum(first + extra_hops, hops)
    future = (sums[last] - sums[first]) / (last - first)[:, None]
    return np.concatenate(((held[:-1] + future) / 2.0, held[-1:]))


def _later(energies: F64, variant: Variant) -> F64:
    design = variant.design
    hops = min(variant.extra_hops, round(_PANNING_DELAY_S * design.sample_rate / design.hop_frames))
    later: F64 = energies[np.minimum(np.arange(len(energies)) + hops, len(energies) - 1)]
    return later


def _winners(masks: F64) -> F64:
    """Give each bin to the largest of the three masks and of what they leave."""
    rest = 1.0 - np.sum(masks, axis=1, keepdims=True)
    largest = np.argmax(np.concatenate((masks, rest), axis=1), axis=1)
    return (largest[:, None] == np.arange(masks.shape[1])[:, None]).astype(np.float64)
