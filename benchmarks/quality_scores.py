"""Scores of estimated stems against true ones, each as its definition has it.

Every score is in dB, over all channels of an excerpt at once. NaN stands for what is not defined.

``sdr_db``
    The energy of the truth over that of what the estimate lacks or adds, over the whole excerpt: the Music Demixing
    Challenge's definition. Nothing is filtered, scaled or shifted; silence gets 0 dB.
``museval_sdr_db``
    What ``museval`` gives by default (BSSEval v4) [1]_: the median over seconds that follow one another of the SDR of
    each second. museval fits filters of 512 taps, but its SDR is that of the "images" version, in which what they
    take from the error is put back: it is the plain SDR of each second. A second in which any of the excerpt's stems,
    true or estimated, is silent counts for none of them, as in museval, which takes for silent what adds up to zero
    over the channels; one without any error does not count for its stem. A rest of less than a second is left out. A
    second in which a stem is next to silent weighs as much as a loud one, which can pull the median far down.
``filtered_sdr_db``
    What ``fast_bss_eval.sdr_loss`` gives [2]_, which is ``bss_eval_sources`` of BSSEval v2 and v3 and of ``mir_eval``:
    the truth may first be filtered by whatever 512 taps suit the estimate best. Each channel has its own filter, and
    the energies of the channels are added before the ratio is taken. Limited to 100 dB. It forgives levels, timbres
    and short delays, so it is at least the SI-SDR. No configuration of fast_bss_eval gives museval's default number,
    since its filters, of one tap too, always scale.
``si_sdr_db``, ``si_sdr_improvement_db``
    The SDR after the truth has been scaled by the gain that suits the estimate best [3]_, and how much higher it is
    than that of the mixture taken as the estimate.

References
----------
.. [1] F.-R. Stöter, A. Liutkus, N. Ito, "The 2018 Signal Separation Evaluation Campaign", Proc. LVA/ICA, 2018.
.. [2] R. Scheibler, "SDR - Medium Rare with Fast Computations", Proc. ICASSP, 2022.
.. [3] J. Le Roux, S. Wisdom, H. Erdogan, J. R. Hershey, "SDR - half-baked or well done?", Proc. ICASSP, 2019.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import fast_bss_eval
import numpy as np
import numpy.typing as npt
from quality_excerpts import Excerpt

from engine.errors import ConfigurationError
from engine.metrics import StemScore, sdr_db, si_sdr_db

__all__ = ["MEASURES", "Mean", "Score", "filtered_sdr_db", "mean_scores", "museval_sdr_db", "score_excerpt"]

F32 = npt.NDArray[np.float32]
_FILTERED_LIMIT_DB = 100.0
# Keeps the equations solvable where the truth has next to nothing at some frequencies; moves no score by 0.001 dB.
_DIAGONAL_LOAD = 1e-10


@dataclass(frozen=True)
class Score:
    """How well one stem was estimated, in dB; the module says what each number is.

    Attributes
    ----------
    sdr_db, museval_sdr_db, filtered_sdr_db, si_sdr_db, si_sdr_improvement_db : float
        NaN where that is not defined; infinite for the truth itself.
    """

    sdr_db: float
    museval_sdr_db: float
    filtered_sdr_db: float
    si_sdr_db: float
    si_sdr_improvement_db: float


MEASURES = tuple(field.name for field in fields(Score))


@dataclass(frozen=True)
class Mean:
    """Scores of one stem, averaged over the excerpts in which it plays; NaN where one of them is not defined."""

    stem: str
    excerpts: int
    score: Score


def score_excerpt(
    excerpt: Excerpt, estimates: Mapping[str, npt.NDArray[np.floating]], *, with_filtered: bool = True
) -> dict[str, Score]:
    """Score the estimates of one separation of an excerpt.

    Parameters
    ----------
    excerpt : Excerpt
    estimates : mapping of str to ndarray of float, shape (channels, frames)
        By stem. Stems that do not play in the excerpt are not scored.
    with_filtered : bool
        False: leave ``filtered_sdr_db`` out, which takes most of the time and memory.

    Returns
    -------
    dict of str to Score
        In the order of ``estimates``.

    Raises
    ------
    ConfigurationError
        If an estimate has another shape than the mixture.
    """
    for stem, estimate in estimates.items():
        if estimate.shape != excerpt.mixture.shape:
            raise ConfigurationError(
                f"the estimate of {stem!r} has shape {estimate.shape} and the mixture of {excerpt.name!r} "
                f"{excerpt.mixture.shape}: they must agree"
            )
    playing = [stem for stem in estimates if stem in excerpt.truths]
    pairs = {stem: (excerpt.truths[stem], estimates[stem]) for stem in playing}
    medians = museval_sdr_db(pairs, excerpt.sample_rate)
    scores = {}
    for stem, (truth, estimate) in pairs.items():
        sums = StemScore()
        sums.add(truth, estimate)
        # Silence has nothing of the truth and nothing else: its direction is not defined.
        si_sdr = sums.si_sdr_db if estimate.any() else math.nan
        scores[stem] = Score(
            sdr_db=sums.sdr_db,
            museval_sdr_db=medians[stem],
            filtered_sdr_db=filtered_sdr_db(truth, estimate) if with_filtered else math.nan,
            si_sdr_db=si_sdr,
            si_sdr_improvement_db=si_sdr - si_sdr_db(truth, excerpt.mixture),
        )
    return scores


def museval_sdr_db(
    pairs: Mapping[str, tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]], sample_rate: int
) -> dict[str, float]:
    """Give the SDR of each stem as museval has it: the median over whole seconds in which no stem is silent.

    Parameters
    ----------
    pairs : mapping of str to (truth, estimate)
        By stem, each an array (channels, frames); all that are judged together.
    sample_rate : int
        In Hz.

    Returns
    -------
    dict of str to float
        In dB; NaN where no second counts.
    """
    if not pairs:
        return {}
    frames = next(iter(pairs.values()))[0].shape[1]
    starts = range(0, frames - sample_rate + 1, sample_rate) if frames > sample_rate else (0,)
    seconds: dict[str, list[float]] = {stem: [] for stem in pairs}
    for start in starts:
        cut = {stem: [audio[:, start : start + sample_rate] for audio in pair] for stem, pair in pairs.items()}
        if any(not audio.sum(axis=0).any() for pair in cut.values() for audio in pair):
            continue
        for stem, (truth, estimate) in cut.items():
            seconds[stem].append(sdr_db(truth, estimate))
    return {stem: _median(ratios) for stem, ratios in seconds.items()}


def filtered_sdr_db(truth: npt.NDArray[np.floating], estimate: npt.NDArray[np.floating]) -> float:
    """Give the SDR in dB after the truth was filtered by 512 taps that suit the estimate; NaN for silence.

    Parameters
    ----------
    truth, estimate : ndarray of float, shape (channels, frames)
    """
    target = total = 0.0
    for true, given in zip(truth.astype(np.float64), estimate.astype(np.float64), strict=True):
        # One channel a call: batches of channels fail in fast_bss_eval 0.1.4 with NumPy 2.
        loss = fast_bss_eval.sdr_loss(
            given[None], true[None], pairwise=True, clamp_db=_FILTERED_LIMIT_DB, load_diag=_DIAGONAL_LOAD
        )
        energy = float(given @ given)
        target += energy / (1.0 + 10.0 ** (float(loss[0, 0]) / 10.0))
        total += energy
    return 10.0 * math.log10(target / (total - target)) if total > 0.0 else math.nan


def mean_scores(scored: Iterable[Mapping[str, Score]]) -> tuple[Mean, ...]:
    """Average the scores of several excerpts stem by stem, each over the excerpts in which the stem plays."""
    by_stem: dict[str, list[Score]] = {}
    for scores in scored:
        for stem, score in scores.items():
            by_stem.setdefault(stem, []).append(score)
    return tuple(
        Mean(stem, len(scores), Score(**{name: _mean([getattr(s, name) for s in scores]) for name in MEASURES}))
        for stem, scores in by_stem.items()
    )


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else sum(values)


def _median(ratios: list[float]) -> float:
    finite = [ratio for ratio in ratios if math.isfinite(ratio)]
    return float(np.median(finite or ratios or [math.nan]))
