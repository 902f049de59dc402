"""The scores of a separator as Markdown tables and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from quality_scores import MEASURES, Mean, Score, mean_scores
from quality_stream import StreamCheck

__all__ = [
    "COLUMNS",
    "TABLE_HEAD",
    "Result",
    "as_json",
    "differences",
    "leakage_table",
    "mean_table",
    "result_lines",
    "stems_scored",
]

COLUMNS = ("SDR", "SDR museval", "SDR 512 taps", "SI-SDR", "SI-SDR improvement")
TABLE_HEAD = "| excerpt | stem | estimate | " + " | ".join(f"{name} dB" for name in COLUMNS) + " |\n|---|---|---|"
TABLE_HEAD += "---:|" * len(COLUMNS)


@dataclass(frozen=True)
class Result:
    """All about one excerpt.

    Attributes
    ----------
    excerpt : str
    sample_rate : int
    seconds : float
    is_held_out : bool
    remainder_db : float
        What the mixture holds beside its stems, against the mixture.
    scores : mapping of str to mapping of str to Score
        By estimate (``model``, ``offline``, ``mixture``, ``silence``, ``oracle``), then by stem.
    leakage_db : mapping of str to float
        Level of the model's estimate, against the mixture, of each stem that does not play.
    stream : StreamCheck, optional
        Where the model was streamed.
    """

    excerpt: str
    sample_rate: int
    seconds: float
    is_held_out: bool
    remainder_db: float
    scores: Mapping[str, Mapping[str, Score]]
    leakage_db: Mapping[str, float]
    stream: StreamCheck | None = None


def stems_scored(results: Iterable[Result]) -> tuple[str, ...]:
    """Give the stems that play in any excerpt, in the order of the one in which most do."""
    lists = sorted((list(result.scores["model"]) for result in results), key=len, reverse=True)
    return tuple(dict.fromkeys(stem for stems in lists for stem in stems))


def result_lines(result: Result) -> list[str]:
    """Give the table's rows for one excerpt."""
    name = result.excerpt + ("*" if result.is_held_out else "")
    stems = next(iter(result.scores.values()))
    return [
        f"| {name} | {stem} | {estimate} | {_cells(scores[stem])} |"
        for stem in stems
        for estimate, scores in result.scores.items()
    ]


def mean_table(results: Sequence[Result]) -> str:
    """Give the table of means over the excerpts in which a stem plays, held-out excerpts apart."""
    head = "| mean over | stem | excerpts | estimate | " + " | ".join(f"{name} dB" for name in COLUMNS) + " |"
    lines = [head, "|---|---|---:|---|" + "---:|" * len(COLUMNS)]
    for group, members in _groups(results).items():
        means = _means(members)
        lines += [
            f"| {group} | {mean.stem} | {mean.excerpts} | {estimate} | {_cells(mean.score)} |"
            for stem in stems_scored(members)
            for estimate, means_of_one in means.items()
            for mean in means_of_one
            if mean.stem == stem
        ]
    return "\n".join(lines)


def leakage_table(results: Iterable[Result]) -> str:
    """Give the table of how loud the model is where a stem is silent; empty where every stem plays everywhere."""
    rows = [
        f"| {result.excerpt} | {stem} | {_cell(-level)} |"
        for result in results
        for stem, level in result.leakage_db.items()
    ]
    head = ["| excerpt | stem that is silent | model, dB below the mixture |", "|---|---|---:|"]
    return "\n".join([*head, *rows]) if rows else ""


def differences(results: Iterable[Result], one: str, other: str) -> dict[str, tuple[float, float]]:
    """Compare two estimates: the mean of ``one`` less ``other`` and the largest difference, in dB, by measure.

    Measures that are not defined somewhere are left out there; equal ones, infinite ones too, differ by 0.
    """
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    for result in results:
        for stem, score in result.scores[one].items():
            for name in MEASURES:
                pair = getattr(score, name), getattr(result.scores[other][stem], name)
                if not any(map(math.isnan, pair)):
                    found[name].append(0.0 if pair[0] == pair[1] else pair[0] - pair[1])
    return {name: (sum(d) / len(d), max(map(abs, d))) for name, d in found.items() if d}


def as_json(results: Sequence[Result], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Give everything as numbers, texts and lists; what is not defined or infinite becomes None."""
    means = [
        {"over": group, "estimate": estimate, **asdict(mean)}
        for group, members in _groups(results).items()
        for estimate, means_of_one in _means(members).items()
        for mean in means_of_one
    ]
    everything: dict[str, Any] = _finite({**facts, "excerpts": [asdict(each) for each in results], "means": means})
    return everything


def _groups(results: Sequence[Result]) -> dict[str, list[Result]]:
    if not any(result.is_held_out for result in results):
        return {"all": list(results)}
    groups = {"held out*": [r for r in results if r.is_held_out], "others": [r for r in results if not r.is_held_out]}
    return {name: members for name, members in groups.items() if members}


def _means(results: Sequence[Result]) -> dict[str, tuple[Mean, ...]]:
    return {estimate: mean_scores(result.scores[estimate] for result in results) for estimate in results[0].scores}


def _cells(score: Score) -> str:
    return " | ".join(_cell(getattr(score, name)) for name in MEASURES)


def _cell(value: float) -> str:
    if math.isnan(value) or value == -math.inf:
        return "-"
    # Adding 0 turns the -0.00 of a small negative number into 0.00.
    return f"{round(value, 2) + 0.0:.2f}"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
