"""Watches a session for its report: what went in, what came out and, where it is known, what should have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from engine.errors import OutputError
from engine.metrics import StemScore
from streamer.report.listening import Tape, encoded, listening_rate
from streamer.report.spectrogram import Spectrogram, levels

__all__ = ["Recording", "ReportRecorder", "SignalRecord", "StemScores"]

F32 = npt.NDArray[np.float32]

LISTENING_S = 120.0
"""A browser holds what it plays uncompressed: two minutes of five stereo signals are 230 MB there."""
RANGE_DB = 78.0
"""From the loudest of the mixture down to what is drawn as silence."""
_MAX_SAMPLE = 1e9
"""The power of what is louder than 180 dB above full scale would not be finite."""


@dataclass(frozen=True)
class StemScores:
    """Scores of a stem against its truth, in dB, and those that the mixture itself gets in its place.

    Infinite or not a number as in `engine.metrics.StemScore`.
    """

    sdr_db: float
    si_sdr_db: float
    mixture_sdr_db: float
    mixture_si_sdr_db: float

    def as_dict(self) -> dict[str, float]:
        """Everything by name, with what improved."""
        return {
            "sdr_db": self.sdr_db,
            "sdr_gain_db": self.sdr_db - self.mixture_sdr_db,
            "si_sdr_db": self.si_sdr_db,
            "si_sdr_gain_db": self.si_sdr_db - self.mixture_si_sdr_db,
            "mixture_sdr_db": self.mixture_sdr_db,
            "mixture_si_sdr_db": self.mixture_si_sdr_db,
        }


@dataclass(frozen=True)
class SignalRecord:
    """One signal of a recording.

    Attributes
    ----------
    name : str
    levels : ndarray of uint8, shape (bands, columns)
        255 for the loudest of the mixture, 0 for ``RANGE_DB`` below it.
    mp3 : bytes
        Its beginning; nothing where there was no sound at all.
    """

    name: str
    levels: npt.NDArray[np.uint8]
    mp3: bytes


@dataclass(frozen=True)
class Recording:
    """What a session's report shows and plays.

    Attributes
    ----------
    mixture : SignalRecord
    stems : tuple of SignalRecord
    scores : dict of str to StemScores
        Of the stems whose truth is known.
    band_hz : tuple of float
        Centres of the bands.
    column_s : float
        What a column of levels stands for.
    listening_s : float
        How much can be heard.
    listening_rate : int
        Of the MP3s, in Hz.
    """

    mixture: SignalRecord
    stems: tuple[SignalRecord, ...]
    scores: dict[str, StemScores]
    band_hz: tuple[float, ...]
    column_s: float
    listening_s: float
    listening_rate: int


class ReportRecorder:
    """Takes in the mixture and the stems of a session as they come, at bounded memory.

    The mixture goes in ahead of the stems; both are counted from the first frame and neither waits for the other.
    While music plays only spectra, sums and copies are made; ``finish`` does what takes longer. A context manager,
    for the temporary files. One thread.

    Parameters
    ----------
    stems : sequence of str
        Names, in the order in which the stems come.
    sample_rate, channels : int
    truth : mapping of str to ndarray of float32, shape (channels, frames), optional
        What stems should be, at least as long as the session. Those of other names are ignored.
    listening_s : float
        How much can be heard in the report.

    Raises
    ------
    OutputError
        If temporary files cannot be made.
    """

    def __init__(
        self,
        stems: Sequence[str],
        sample_rate: int,
        channels: int,
        *,
        truth: Mapping[str, F32] | None = None,
        listening_s: float = LISTENING_S,
    ) -> None:
        self._names = tuple(stems)
        self._sample_rate = sample_rate
        self._truth = {name: audio for name, audio in (truth or {}).items() if name in self._names}
        self._scores = {name: StemScore() for name in self._truth}
        self._mixture_scores = {name: StemScore() for name in self._truth}
        self._heard = self._given = 0
        self._mixture_spectrogram = Spectrogram(1, channels, sample_rate)
        self._stem_spectrogram = Spectrogram(len(self._names), channels, sample_rate)
        frames = round(listening_s * sample_rate)
        with ExitStack() as stack:
            self._mixture_tape = stack.enter_context(Tape(1, channels, sample_rate, max_frames=frames))
            self._stem_tape = stack.enter_context(Tape(len(self._names), channels, sample_rate, max_frames=frames))
            self._closing = stack.pop_all()

    def hear(self, blocks: Iterable[F32]) -> Iterator[F32]:
        """Hand on the mixture's blocks, shape (channels, frames), as they are, and take them in.

        A sample that is no finite number counts as silence, as in the processor.
        """
        for block in blocks:
            signal = _finite(block)
            self._mixture_spectrogram.add(signal[None])
            self._mixture_tape.add(signal[None])
            end = self._heard + block.shape[-1]
            for name, truth in self._truth.items():
                self._mixture_scores[name].add(truth[:, self._heard : end], signal)
            self._heard = end
            yield block

    def take(self, stems: F32) -> None:
        """Take in the next frames of the stems, shape (stems, channels, frames); a sink of a session."""
        stems = _finite(stems)
        self._stem_spectrogram.add(stems)
        self._stem_tape.add(stems)
        end = self._given + stems.shape[-1]
        for name, truth in self._truth.items():
            self._scores[name].add(truth[:, self._given : end], stems[self._names.index(name)])
        self._given = end

    def finish(self) -> Recording:
        """Give everything; nothing may be taken in any more.

        Raises
        ------
        OutputError
            If the temporary files cannot be written.
        """
        self._mixture_spectrogram.finish()
        self._stem_spectrogram.finish()
        mixture_power, stem_power = self._mixture_spectrogram.power, self._stem_spectrogram.power
        reference = float(mixture_power.max(initial=0.0))
        names = ("mixture", *self._names)
        power = (*mixture_power, *stem_power)
        mp3s = encoded(self._mixture_tape, self._stem_tape)
        signals = [
            SignalRecord(name, levels(each, reference, RANGE_DB), mp3)
            for name, each, mp3 in zip(names, power, mp3s, strict=True)
        ]
        return Recording(
            mixture=signals[0],
            stems=tuple(signals[1:]),
            scores={name: self._stem_scores(name) for name in self._names if name in self._truth},
            band_hz=tuple(self._mixture_spectrogram.band_hz.tolist()),
            column_s=self._mixture_spectrogram.column_frames / self._sample_rate,
            listening_s=min(self._mixture_tape.frames, self._stem_tape.frames) / self._sample_rate,
            listening_rate=listening_rate(self._sample_rate),
        )

    @property
    def error(self) -> OutputError | None:
        """Why the report has less to hear than it could."""
        return self._mixture_tape.error or self._stem_tape.error

    def close(self) -> None:
        """Remove the temporary files; calling it again does nothing."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stem_scores(self, name: str) -> StemScores:
        own, mixture = self._scores[name], self._mixture_scores[name]
        return StemScores(own.sdr_db, own.si_sdr_db, mixture.sdr_db, mixture.si_sdr_db)


def _finite(audio: F32) -> F32:
    known = np.nan_to_num(np.asarray(audio, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(known, -_MAX_SAMPLE, _MAX_SAMPLE, out=known)
