"""The constants of the embedded separator: lengths, time constants and the curves made from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.errors import ModelError
from engine.spec import ModelSpec, StateSpec

__all__ = ["SpatialDesign"]

F64 = npt.NDArray[np.float64]

_STEMS = ("vocals", "drums", "bass", "other")
# Below -160 dBFS, under the last bit of 24-bit audio, a sample is left to `other`: so every energy is either zero or
# a normal float32 number, and a fade into silence costs what music costs.
_QUIETEST = 1e-8
# +120 dBFS: the square of a louder sample's spectrum would leave float32.
_LOUDEST = 1e6
_ENERGY_FLOOR = 1e-12
# Taken from a decaying state at every hop, so that it ends at exactly zero instead of among denormal numbers.
_LEVEL_LEAK = 1e-6
_ENERGY_LEAK = 1e-20


@dataclass(frozen=True)
class SpatialDesign:
    """Lengths, time constants and registers of the ``spatial`` separator.

    Four soft masks that sum to one are laid on a short-time Fourier transform of both channels:

    - *percussive against harmonic*: the level of each bin averaged over its neighbours in frequency, against the same
      level followed through time. A click is wide and new, a held tone narrow and old. This is the median filtering of
      [1]_ with a mean of levels in place of one median and a one-sided follower in place of the other, which makes it
      causal and recursive, as the complementary diffusion of [2]_ is.
    - *panning and coherence*: ``(mid - side) / (mid + side)`` of smoothed energies, which is one for a centred source
      and zero or less for one that is at one side, out of phase or incoherent; the similarity measure of [3]_.
    - *register*: fixed curves over frequency for bass and voice.

    The harmonic part of the low register becomes ``bass``, of the centred middle register ``vocals``; the percussive
    part becomes ``drums`` and the rest ``other``.

    Parameters
    ----------
    n_fft : int
        Length of the transform in frames: a power of two.
    hop_frames : int
        Frames between two transforms: a divisor of ``n_fft``, at most half of it.
    sample_rate : int
        In Hz.
    attack_s, release_s : float
        Time constants of the follower that holds the harmonic level, rising and falling.
    neighbourhood_hz : float
        Width of the average over frequency that is the percussive level.
    sharpness : float
        Power of the ratio between percussive and harmonic energy; 0.5 compares magnitudes.
    margin : float
        How far, in nepers of energy, the percussive level must exceed the harmonic one for a mask of one half.
    panning_s : float
        Time constant of the mid and side energies.
    bass_hz, voice_low_hz, voice_high_hz : float
        Where the registers are cut.

    Raises
    ------
    ModelError
        If ``n_fft`` or ``hop_frames`` is not allowed.

    References
    ----------
    .. [1] D. Fitzgerald, "Harmonic/percussive separation using median filtering", Proc. DAFx-10, 2010.
    .. [2] N. Ono, K. Miyamoto, J. Le Roux, H. Kameoka, S. Sagayama, "Separation of a monaural audio signal into
       harmonic/percussive components by complementary diffusion on spectrogram", Proc. EUSIPCO, 2008.
    .. [3] C. Avendano, J.-M. Jot, "A frequency-domain approach to multichannel upmix", J. Audio Eng. Soc. 52 (7/8),
       2004.
    """

    n_fft: int = 2048
    hop_frames: int = 512
    sample_rate: int = 44100
    attack_s: float = 0.12
    release_s: float = 0.04
    neighbourhood_hz: float = 300.0
    sharpness: float = 0.5
    margin: float = 1.5
    panning_s: float = 0.12
    bass_hz: float = 220.0
    voice_low_hz: float = 120.0
    voice_high_hz: float = 8000.0

    def __post_init__(self) -> None:
        if self.n_fft < 64 or self.n_fft & (self.n_fft - 1):
            raise ModelError(f"n_fft is {self.n_fft}: use a power of two of at least 64, for instance 2048")
        if not 1 <= self.hop_frames <= self.n_fft // 2 or self.n_fft % self.hop_frames:
            raise ModelError(
                f"hop_frames is {self.hop_frames} with n_fft {self.n_fft}: use a divisor of n_fft of at most half of it"
            )

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems in output order; the last one is made by subtraction."""
        return _STEMS

    @property
    def past_frames(self) -> int:
        """Input frames that a transform needs from earlier hops: also the look-ahead."""
        return self.n_fft - self.hop_frames

    @property
    def bins(self) -> int:
        """Number of frequencies from zero to half the sample rate."""
        return self.n_fft // 2 + 1

    @property
    def priming_frames(self) -> int:
        """Input after which a fresh state gives what one that heard everything gives, within -60 dB of the mixture.

        Eight of the longest time constants, for music whose level does not fall by tens of decibels meanwhile. Found
        by starting fresh in the middle of music and of synthetic notes over noise: the last hop that differs by
        more ended 30,700 to 42,000 frames after the start.
        """
        hops = math.ceil(8.0 * max(self.attack_s, self.release_s, self.panning_s) * self.sample_rate / self.hop_frames)
        return self.n_fft + hops * self.hop_frames

    @property
    def quietest(self) -> float:
        """Magnitude below which a sample is left to the last stem."""
        return _QUIETEST

    @property
    def loudest(self) -> float:
        """Magnitude above which a sample is left to the last stem."""
        return _LOUDEST

    @property
    def energy_floor(self) -> float:
        """Energy of a bin that counts as silence, in full-scale units: -120 dB."""
        return _ENERGY_FLOOR

    @property
    def level_leak(self) -> float:
        """What the harmonic level loses at every hop, in nepers."""
        return _LEVEL_LEAK

    @property
    def energy_leak(self) -> float:
        """What the mid and side energies lose at every hop."""
        return _ENERGY_LEAK

    @property
    def analysis_window(self) -> F64:
        """Root of a periodic Hann window, shape ``(n_fft,)``, scaled so that white noise keeps its variance."""
        window = self._root_hann()
        scaled: F64 = window / np.sqrt(np.sum(window**2))
        return scaled

    @property
    def synthesis_window(self) -> F64:
        """What makes analysis, synthesis and overlap-add the identity, shape ``(n_fft,)``."""
        window = self._root_hann()
        overlapped = np.sum((window * self.analysis_window).reshape(-1, self.hop_frames), axis=0)
        scaled: F64 = window / np.tile(overlapped, self.n_fft // self.hop_frames)
        return scaled

    @property
    def neighbours(self) -> int:
        """Odd number of bins whose mean level is the percussive level."""
        return 2 * round(self.neighbourhood_hz * self.n_fft / self.sample_rate / 2) + 1

    @property
    def bass_register(self) -> F64:
        """Share of the harmonic part that is bass, shape ``(bins,)``, from one down to zero."""
        return 1.0 / (1.0 + (self._frequencies() / self.bass_hz) ** 8)

    @property
    def voice_register(self) -> F64:
        """Share of the centred harmonic part that is voice, shape ``(bins,)``: what bass leaves of a band-pass."""
        frequencies = self._frequencies()
        low = (frequencies / self.voice_low_hz) ** 4
        high = 1.0 / (1.0 + (frequencies / self.voice_high_hz) ** 4)
        return low / (1.0 + low) * high * (1.0 - self.bass_register)

    def smoothing(self, time_constant_s: float) -> float:
        """Weight of the newest value in a one-pole average with that time constant, run once a hop."""
        return -math.expm1(-self.hop_frames / (self.sample_rate * time_constant_s))

    def spec(self, name: str = "spatial") -> ModelSpec:
        """Describe the model: one hop in, one hop of every stem out, later by ``n_fft - hop_frames``."""
        past = self.past_frames
        return ModelSpec(
            name=name,
            sample_rate=self.sample_rate,
            channels=2,
            stems=self.stems,
            stateful=True,
            window_frames=self.hop_frames,
            hop_frames=self.hop_frames,
            lookahead_frames=past,
            priming_frames=self.priming_frames,
            states=(
                StateSpec("past", (2, past)),
                StateSpec("tail", (len(self.stems) - 1, 2, past)),
                StateSpec("harmonic", (self.bins,)),
                StateSpec("energies", (2, self.bins)),
            ),
            residual=self.stems[-1],
            description="Embedded: no weights; separates by harmonicity, panning and register.",
        )

    def _root_hann(self) -> F64:
        return np.sin(np.pi * np.arange(self.n_fft) / self.n_fft)

    def _frequencies(self) -> F64:
        return np.fft.rfftfreq(self.n_fft, 1.0 / self.sample_rate).astype(np.float64)
