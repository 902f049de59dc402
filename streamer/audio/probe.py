"""Chirps whose code tells each from its neighbours, and finding them again in a recording to the frame.

Each chirp sweeps one band of frequencies up or down, so that one cannot be taken for another that is near it in time.
Finding them is a matched filter: the place where the recording, limited to the chirp's band, correlates best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.errors import ConfigurationError

__all__ = ["MIN_PROBES", "ProbeArrival", "ProbeSignal", "find_probes"]

F32 = npt.NDArray[np.float32]
_F64 = npt.NDArray[np.float64]

MIN_PROBES = 20
"""Fewer say little about the slowest in twenty."""
_MAX_PROBES = 10_000
_BANDS = 6
_LOWEST_HZ, _HIGHEST_HZ, _HIGHEST_SHARE = 1000.0, 10_000.0, 0.42
"""What small loudspeakers and microphones pass, and what is left of it below half the sample rate."""
_CYCLES = 72.0
"""Bandwidth times duration of a chirp: how far it stands out of what is not it. 48 ms where there is all the width."""
_SHORTEST_GAP_S, _LONGEST_GAP_S = 0.05, 0.11
_LEAD_S = 0.25
_LEAST_STRENGTH = 0.6
"""Correlation that a chirp must have: in noise of its own loudness it has 0.9, and noise or unlike chirps reach 0.4."""
_PARTS, _LEAST_PART = 4, 0.25
"""Parts of a probe, and the share of its gain that each must have."""
_PEAK_WIDTHS = 2.0
"""How far a chirp resembles itself, in the reciprocal of its bandwidth."""
_FAINT = 1e-9
"""Share of the loudest energy below which a correlation would be that of rounding errors."""
_MIN_LEVEL_DB, _MAX_LEVEL_DB = -60.0, 0.0


@dataclass(frozen=True)
class ProbeArrival:
    """Where a probe was found.

    Attributes
    ----------
    sent_frame : int
        Where it begins in the signal.
    delay_frames : int or None
        Frames from there to where it was found; None if it was not.
    strength : float
        Correlation with the probe at that place, or the best one that was seen: 1 for a copy, whatever its gain.
    """

    sent_frame: int
    delay_frames: int | None
    strength: float


class ProbeSignal:
    """Coded chirps in irregular distances.

    Parameters
    ----------
    count : int
        How many, at least ``MIN_PROBES``.
    sample_rate : int
        In Hz.
    level_db : float
        Of their peaks, against full scale.
    seed : int
        The same gives the same signal.

    Attributes
    ----------
    count, sample_rate : int
    begins : tuple of int
        First frame of each probe.
    codes : tuple of int
        Which chirp each is: its band, and up or down.
    frames : int
        Length of the signal; it ends with its last probe.
    chirp_frames : int
        Length of a probe.
    guard_frames : int
        Within so many frames of its place a probe still resembles itself.
    reach_frames : int
        The longest span of delays among which a probe can be looked for: a like one is at least this far away.

    Raises
    ------
    ConfigurationError
        If a value is not allowed.
    """

    def __init__(self, count: int = MIN_PROBES, *, sample_rate: int, level_db: float = -18.0, seed: int = 1) -> None:
        if not isinstance(count, int) or isinstance(count, bool) or not MIN_PROBES <= count <= _MAX_PROBES:
            raise ConfigurationError(f"{count!r} probes are not supported: give {MIN_PROBES} to {_MAX_PROBES}")
        if not _MIN_LEVEL_DB <= level_db <= _MAX_LEVEL_DB:
            raise ConfigurationError(
                f"a probe of {level_db:g} dB is not supported: give {_MIN_LEVEL_DB:g} to {_MAX_LEVEL_DB:g} dB"
            )
        if not 8_000 <= sample_rate <= 192_000:
            raise ConfigurationError(f"a rate of {sample_rate} Hz is not supported: give 8000 to 192000 Hz")
        self.count = count
        self.sample_rate = sample_rate
        self.chirp_frames = len(_chirp(0, sample_rate))
        random = np.random.default_rng(seed)
        gaps = np.rint(random.uniform(_SHORTEST_GAP_S, _LONGEST_GAP_S, count) * sample_rate).astype(int)
        gaps[0] = round(_LEAD_S * sample_rate)
        self.begins = tuple(int(begin) for begin in np.cumsum(gaps + self.chirp_frames) - self.chirp_frames)
        self.codes = _code_sequence(count)
        self.frames = self.begins[-1] + self.chirp_frames
        self._chirps: list[_F64] = [10.0 ** (level_db / 20.0) * _chirp(code, sample_rate) for code in range(2 * _BANDS)]
        low, high = _band(0, sample_rate)
        self.guard_frames = math.ceil(_PEAK_WIDTHS * sample_rate / (high - low))
        alike = zip(self.begins, self.begins[2 * _BANDS :], strict=False)
        self.reach_frames = min(late - early for early, late in alike) - self.chirp_frames - 2 * self.guard_frames

    def chirp(self, index: int) -> _F64:
        """Give the how-manyth probe, shape (chirp_frames,)."""
        return self._chirps[self.codes[index]]

    def render(self) -> F32:
        """Give the whole signal, shape (frames,)."""
        signal = np.zeros(self.frames, np.float32)
        for index, begin in enumerate(self.begins):
            signal[begin : begin + self.chirp_frames] = self.chirp(index)
        return signal


def find_probes(
    heard: F32, signal: ProbeSignal, *, earliest_frames: int = 0, span_frames: int | None = None
) -> tuple[ProbeArrival, ...]:
    """Find every probe of a signal in a recording whose frame 0 is the signal's.

    Parameters
    ----------
    heard : ndarray of float32, shape (channels, frames)
        Of several channels, each probe is taken from the one in which it is clearest. Gain and polarity do not matter.
    signal : ProbeSignal
    earliest_frames : int
        The shortest delay that is looked for.
    span_frames : int, optional
        How many delays are looked for; left out, as many as can be told apart, ``signal.reach_frames``.

    Returns
    -------
    tuple of ProbeArrival
        One for each probe that was sent, in order. A probe that is too weak or of which a part is missing, or that
        lies beyond the end of the recording or outside the span, is not found.

    Raises
    ------
    ConfigurationError
        If the span is longer than the signal's reach.
    """
    span = signal.reach_frames if span_frames is None else span_frames
    if not 0 < span <= signal.reach_frames or earliest_frames < 0:
        raise ConfigurationError(
            f"delays from {earliest_frames} over {span} frames cannot be told apart: "
            f"the earliest is 0, and a span is 1 to {signal.reach_frames} frames"
        )
    arrivals = []
    for index, begin in enumerate(signal.begins):
        # A probe just outside the span is nearly as clear at its edge: it is looked for there too, and not taken.
        first = max(0, begin + earliest_frames - signal.guard_frames)
        last = begin + earliest_frames + span + signal.guard_frames
        part = heard[:, first : last + signal.chirp_frames - 1].astype(np.float64)
        found = [_best_match(np.nan_to_num(channel), signal, index) for channel in part]
        match = max(found, key=lambda match: match.strength, default=_Match())
        delay = first + match.place - begin
        is_there = match.is_whole and earliest_frames <= delay < earliest_frames + span
        arrivals.append(ProbeArrival(begin, delay if is_there else None, match.strength))
    return tuple(arrivals)


@dataclass(frozen=True)
class _Match:
    """Where a probe lies in a stretch, how clear it is there, and whether all of it is."""

    place: int = 0
    strength: float = 0.0
    is_whole: bool = False


def _best_match(part: _F64, signal: ProbeSignal, index: int) -> _Match:
    probe = signal.chirp(index)
    length, places = len(probe), len(part) - len(probe) + 1
    if places <= 0:
        return _Match()
    size = 1 << (len(part) + length - 1).bit_length()
    spectrum = np.fft.rfft(part, size)
    likeness = np.abs(np.fft.irfft(spectrum * np.conj(np.fft.rfft(probe, size)), size)[:places])
    # Noise in other bands is no part of the energy that a chirp is measured against.
    low, high = _band(signal.codes[index], signal.sample_rate)
    hertz = np.fft.rfftfreq(size, 1 / signal.sample_rate)
    margin = 0.25 * (high - low)
    inside = np.fft.irfft(spectrum * ((hertz >= low - margin) & (hertz <= high + margin)), size)[: len(part)]
    sums = np.concatenate([[0.0], np.cumsum(inside**2)])
    energy = sums[length:] - sums[:-length]
    loudest = float(energy.max())
    if loudest <= 0.0:
        return _Match()
    strength = likeness / np.sqrt(np.maximum(energy, _FAINT * loudest) * (probe @ probe))
    clear = strength >= _LEAST_STRENGTH
    # Among places that are clear the loudest is the sound itself; those beside it are as clear, and no louder.
    place = int(np.argmax(np.where(clear, likeness, 0.0) if clear.any() else strength))
    is_whole = bool(clear.any()) and _is_whole(inside[place : place + length], probe)
    return _Match(place, min(1.0, float(strength[place])), is_whole)


def _is_whole(found: _F64, probe: _F64) -> bool:
    """Tell whether no part of a probe is missing.

    What is left of one that was cut in two resembles the probe half a period away as much as at its place.
    """
    gain = (found @ probe) / (probe @ probe)
    parts = zip(np.array_split(found, _PARTS), np.array_split(probe, _PARTS), strict=True)
    return all((heard @ sent) / (sent @ sent) / gain >= _LEAST_PART for heard, sent in parts)


def _code_sequence(count: int) -> tuple[int, ...]:
    """Give a code for each probe: neighbours are bands apart, and all codes come before one comes again."""
    order = [band + _BANDS * (turn % 2) for turn in range(2) for band in (0, 3, 1, 4, 2, 5)]
    return tuple(order[index % len(order)] for index in range(count))


def _band(code: int, sample_rate: int) -> tuple[float, float]:
    """Give the lowest and the highest frequency of a code, in Hz."""
    highest = min(_HIGHEST_HZ, _HIGHEST_SHARE * sample_rate)
    width = (highest - _LOWEST_HZ) / _BANDS
    low = _LOWEST_HZ + width * (code % _BANDS)
    return low, low + width


def _chirp(code: int, sample_rate: int) -> _F64:
    """Make a linear chirp under a Hann window, peak at most 1."""
    low, high = _band(code, sample_rate)
    begin, end = (low, high) if code < _BANDS else (high, low)
    duration_s = _CYCLES / (high - low)
    frames = round(duration_s * sample_rate)
    t = np.arange(frames) / sample_rate
    sweep = 2 * math.pi * (begin * t + (end - begin) / (2 * duration_s) * t**2)
    made: _F64 = np.hanning(frames) * np.sin(sweep)
    return made
