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
    - *partials*: how far a bin stands out of its neighbours. One that does is a partial of a tone, however new it is;
      but in the lowest octave, where a narrow peak may be the kick drum too, only the past of the bin itself counts.
      The level is averaged over a few bins and falls slowly, so that masks do not flicker and attacks are not smeared.
    - *panning and coherence*: ``(mid - side) / (mid + side)`` of smoothed energies, which is one for a centred source
      and zero or less for one that is at one side, out of phase or incoherent; the similarity measure of [3]_.
    - *register*: smooth curves over frequency for bass and voice.

    The harmonic part of the low register becomes ``bass``; of the centred middle register the partials become
    ``vocals``; the percussive part becomes ``drums`` and the rest ``other``. Both channels share a mask, so that every
    stem keeps its place in the stereo image.

    The constants were chosen on three excerpts; what each part brings, and what was tried and left, stands in
    ``docs/results.md``.

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
    margin : float
        How far, in nepers of energy, the percussive level must exceed the harmonic one for a mask of one half, in a bin
        that is level with its neighbours. Less scores better on songs, and lets a loud held bass into the drums.
    registers : tuple of (float, float, float)
        Frequency in Hz; sharpness there, the power of the ratio between percussive and harmonic energy, where 0.5
        compares magnitudes; and what a neper by which a bin stands out of its neighbours takes from the percussive
        logit. Straight lines over the logarithm of frequency between them. Where the second is minus the first, a bin
        is compared with its own past instead of its neighbours.
    partial_hz, partial_decay_s : float
        Width of the average over frequency, and time constant of the fall, of the level that is a partial's.
    voice_contrast, voice_bias : float
        Slope over the same nepers, and value at zero, of the logit of the voice's share in what is centred.
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
    margin: float = 2.5
    registers: tuple[tuple[float, float, float], ...] = (
        (50.0, 1.2, -1.2),
        (160.0, 0.45, 0.3),
        (500.0, 0.45, 0.6),
        (1600.0, 0.45, 0.45),
        (5000.0, 0.45, 0.0),
    )
    partial_hz: float = 40.0
    partial_decay_s: float = 0.03
    voice_contrast: float = 0.45
    voice_bias: float = 1.2
    panning_s: float = 0.12
    bass_hz: float = 205.0
    voice_low_hz: float = 110.0
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
        by starting fresh in the middle of songs and of synthetic notes over noise: the last hop that differs by
        more ended 23,000 to 42,000 frames after the start.
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
        """What the followed levels lose at every hop, in nepers."""
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
        return self._odd_bins(self.neighbourhood_hz)

    @property
    def partial_bins(self) -> int:
        """Odd number of bins whose mean level is the level of a partial."""
        return self._odd_bins(self.partial_hz)

    @property
    def sharpness(self) -> F64:
        """Power of the ratio between percussive and harmonic energy, shape ``(bins,)``."""
        return self._over_registers(1)

    @property
    def partial_weight(self) -> F64:
        """What standing out of the neighbours takes from the percussive logit, shape ``(bins,)``."""
        return self._over_registers(2)

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
        delay_ms = 1000 * self.n_fft / self.sample_rate
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
                StateSpec("partial", (self.bins,)),
                StateSpec("energies", (2, self.bins)),
            ),
            residual=self.stems[-1],
            description=f"Embedded, no weights: by harmonicity, panning and register, in {delay_ms:.0f} ms.",
        )

    def _odd_bins(self, width_hz: float) -> int:
        return 2 * round(width_hz * self.n_fft / self.sample_rate / 2) + 1

    def _over_registers(self, column: int) -> F64:
        table = np.array(self.registers, np.float64)
        frequencies = np.maximum(self._frequencies(), table[0, 0])
        curve: F64 = np.interp(np.log(frequencies), np.log(table[:, 0]), table[:, column])
        return curve

    def _root_hann(self) -> F64:
        return np.sin(np.pi * np.arange(self.n_fft) / self.n_fft)

    def _frequencies(self) -> F64:
        return np.fft.rfftfreq(self.n_fft, 1.0 / self.sample_rate).astype(np.float64)
