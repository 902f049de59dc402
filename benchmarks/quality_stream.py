"""What comes out of a processor, and when: the same separation block by block.

The processor waits for the model, so that every block is separated and the promised latency is what the model needs,
or what is asked for. Its output is aligned by that promise alone: exactly so many frames are dropped at its beginning,
and nothing is searched. Whether the promise holds is measured apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from engine import Separator
from streamer import LatencyReport, StemProcessor

__all__ = ["BLOCK_FRAMES", "StreamCheck", "Streamed", "check_stream", "measured_delays", "stream"]

F32 = npt.NDArray[np.float32]
BLOCK_FRAMES = 512


@dataclass(frozen=True)
class Streamed:
    """What a processor gave for one recording.

    Attributes
    ----------
    output : ndarray of float32, shape (stems, channels, frames + latency)
        Everything, from the first block to the end of the flush.
    latency : LatencyReport
        What was promised.
    coverage : float
        Share of the frames that were really separated; 1 unless the model failed.
    """

    output: F32
    latency: LatencyReport
    coverage: float

    @property
    def stems(self) -> F32:
        """The output less the promised latency, shape (stems, channels, frames): frame n belongs to input frame n."""
        return self.output[..., self.latency.total_frames :]


@dataclass(frozen=True)
class StreamCheck:
    """Whether a processor kept its promise on one recording.

    Attributes
    ----------
    latency : LatencyReport
        What was promised.
    measured_frames : dict of str to int or None
        By stem, the delay against the model's offline result; None where that is silence.
    coverage : float
    """

    latency: LatencyReport
    measured_frames: dict[str, int | None]
    coverage: float

    @property
    def broken(self) -> dict[str, int]:
        """Delays that are not the promised one, by stem."""
        promised = self.latency.total_frames
        return {stem: n for stem, n in self.measured_frames.items() if n not in (None, promised)}


def stream(separator: Separator, audio: F32, sample_rate: int, *, latency_s: float | None = None) -> Streamed:
    """Send a recording through a processor in blocks of 512 frames.

    Parameters
    ----------
    separator : Separator
    audio : ndarray of float32, shape (channels, frames)
    sample_rate : int
        In Hz.
    latency_s : float, optional
        The latency to have; left out, the smallest.

    Raises
    ------
    LatencyError
        If ``latency_s`` is too small; the message names the smallest that works.
    """
    channels, frames = audio.shape
    processor = StemProcessor(separator, latency_s=latency_s, realtime=False)
    with processor.prepare(sample_rate=sample_rate, channels=channels, max_block_frames=BLOCK_FRAMES):
        latency = processor.latency
        output = np.zeros((len(processor.stems), channels, frames + latency.total_frames), np.float32)
        for start in range(0, frames, BLOCK_FRAMES):
            stop = min(start + BLOCK_FRAMES, frames)
            processor.process(audio[:, start:stop], out=output[..., start:stop])
        output[..., frames:] = processor.flush()
        return Streamed(output, latency, processor.stats().coverage)


def check_stream(separator: Separator, streamed: Streamed, offline: F32) -> StreamCheck:
    """Measure the delay of everything that came out against the offline stems, shape (stems, channels, frames)."""
    delays = measured_delays(streamed.output, offline)
    return StreamCheck(streamed.latency, dict(zip(separator.spec.output_stems, delays, strict=True)), streamed.coverage)


def measured_delays(output: npt.NDArray[np.floating], undelayed: npt.NDArray[np.floating]) -> tuple[int | None, ...]:
    """Measure by how many frames each stem of an output lags behind the same stem without a delay.

    Parameters
    ----------
    output : ndarray of float, shape (stems, channels, any number of frames)
    undelayed : ndarray of float, shape (stems, channels, frames)

    Returns
    -------
    tuple of int or None
        Where the cross-correlation, summed over the channels, is highest; None for a stem that is silent in either.
    """
    delays: list[int | None] = []
    for late, early in zip(output, undelayed, strict=True):
        if not (late.any() and early.any()):
            delays.append(None)
            continue
        size = fft.next_fast_len(late.shape[1] + early.shape[1], real=True)
        spectra = fft.rfft(late.astype(np.float64), size) * np.conj(fft.rfft(early.astype(np.float64), size))
        lag = int(np.argmax(fft.irfft(spectra.sum(axis=0), size)))
        delays.append(lag if lag < late.shape[1] else lag - size)
    return tuple(delays)
