"""Scores against look-ahead as Markdown tables, as JSON and as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from quality_scores import Score, mean_scores
from spatial_lookahead_model import Variant

__all__ = ["Row", "as_json", "plot", "table"]

_MEASURES = {"sdr_db": "SDR, dB", "si_sdr_improvement_db": "SI-SDR above the mixture's, dB"}
# Okabe and Ito's colours, which the colour-blind can tell apart.
_COLOURS = {"vocals": "#D55E00", "drums": "#0072B2", "bass": "#009E73", "other": "#CC79A7"}
# Groups of rows; a curve of later hops begins at the transform that has none.
_LINES = {"transform": ("-", "o"), "2048, later hops": ("--", "s"), "4096, later hops": (":", "^")}
_SHIPPED = "shipped"
_TICKS_MS = (6, 12, 23, 46, 93, 186, 464)


@dataclass(frozen=True)
class Row:
    """What one variant of the separator scored.

    Attributes
    ----------
    group : str
        The curve it is on, ``shipped``, or ``part`` where something is taken from the design.
    name : str
    variant : Variant
    margin : float
    scores : mapping of str to mapping of str to Score
        By excerpt, then by stem.
    by_margin : mapping of float to float
        The mean SDR in dB over the stems of the tuning excerpts by the margins that were tried.
    """

    group: str
    name: str
    variant: Variant
    margin: float
    scores: Mapping[str, Mapping[str, Score]]
    by_margin: Mapping[float, float]


def table(rows: Sequence[Row], held_out: Sequence[str], stems: Sequence[str]) -> str:
    """Give the table: means of SDR and of the improvement of SI-SDR, those over held-out excerpts with a star."""
    groups = _excerpt_groups(rows, held_out)
    columns = [f"{stem}{star}" for star in groups for stem in (*stems, "mean")]
    head = ["what", "A ms", "n_fft / hop", "later hops", "margin", *columns]
    lines = [f"| {' | '.join(head)} |", "|---|---:|---:|" + "---:|" * (len(head) - 3)]
    for row in rows:
        design = row.variant.design
        lengths = (f"{row.variant.latency_ms:.1f}", f"{design.n_fft} / {design.hop_frames}", row.variant.extra_hops)
        cells = []
        for names in groups.values():
            means = _means(row, names)
            for pair in (*(means.get(stem) for stem in stems), _mean_pair(means.values())):
                cells.append("-" if pair is None else f"{_decibel(pair[0])} / {_decibel(pair[1])}")
        lines.append(f"| {' | '.join(map(str, (row.name, *lengths, f'{row.margin:g}', *cells)))} |")
    return "\n".join(lines)


def as_json(rows: Sequence[Row], held_out: Sequence[str], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Give everything as numbers, texts and lists; what is not defined or infinite becomes None."""
    everything: dict[str, Any] = _finite({**facts, "held_out": list(held_out), "rows": [_as_dict(row) for row in rows]})
    return everything


def plot(rows: Sequence[Row], held_out: Sequence[str], title: str, path: Path) -> None:
    """Draw the curves over the latency, SDR at the left; held-out excerpts have a row of their own.

    Parameters
    ----------
    rows : sequence of Row
    held_out : sequence of str
        Names of excerpts.
    title : str
    path : Path
        A ``.svg`` or ``.png`` file.
    """
    groups = _excerpt_groups(rows, held_out)
    figure = Figure(figsize=(9.0, 1.3 + 3.3 * len(groups)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(groups), len(_MEASURES), sharex=True, squeeze=False)
    stems = [stem for stem in _COLOURS if any(stem in _means(rows[0], names) for names in groups.values())]
    for line, (star, names) in zip(panels, groups.items(), strict=True):
        for panel, (place, measure) in zip(line, enumerate(_MEASURES.values()), strict=True):
            for stem in stems:
                _draw(panel, [(row, _means(row, names).get(stem)) for row in rows], place, _COLOURS[stem])
            over = "held-out excerpts" if star else "tuning excerpts"
            panel.set_title(f"{measure}: {over}", fontsize="medium")
            panel.grid(color="#DDDDDD", linewidth=0.6)
            panel.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_xscale("log")
    panels[0][0].set_xticks(_TICKS_MS, [str(tick) for tick in _TICKS_MS], minor=False)
    panels[0][0].set_xticks([], minor=True)
    for panel in panels[-1]:
        panel.set_xlabel("algorithmic latency, ms")
    handles = [Line2D([], [], color=_COLOURS[stem], linewidth=3, label=stem) for stem in stems]
    handles += [
        Line2D([], [], color="#444444", linestyle=style, marker=marker, markersize=4, label=name)
        for name, (style, marker) in _LINES.items()
    ]
    handles.append(
        Line2D(
            [],
            [],
            color="#444444",
            linestyle="",
            marker="*",
            markersize=12,
            markeredgecolor="black",
            label="as shipped",
        )
    )
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(title, fontsize="large")
    # The same figures give the same file: neither a date nor random names in it.
    with rc_context({"svg.hashsalt": "spatial_lookahead", "svg.fonttype": "none"}):
        unnamed = {"Date": None, "Creator": None} if path.suffix.lower() == ".svg" else None
        figure.savefig(path, dpi=100, metadata=unnamed)


def _draw(panel: Axes, points: Iterable[tuple[Row, tuple[float, float] | None]], place: int, colour: str) -> None:
    known = [(row, pair[place]) for row, pair in points if pair is not None and math.isfinite(pair[place])]
    for group, (style, marker) in _LINES.items():
        curve = [(row.variant.latency_ms, value) for row, value in known if _is_on(row, group)]
        if curve:
            panel.plot(*zip(*curve, strict=True), style, marker=marker, color=colour, markersize=4, linewidth=1.4)
    for row, value in known:
        if row.group == _SHIPPED:
            panel.plot(
                row.variant.latency_ms, value, "*", color=colour, markersize=12, markeredgecolor="black", zorder=3
            )


def _is_on(row: Row, group: str) -> bool:
    return row.group == group or (row.group == "transform" and group.startswith(f"{row.variant.design.n_fft},"))


def _excerpt_groups(rows: Sequence[Row], held_out: Sequence[str]) -> dict[str, list[str]]:
    names = list(rows[0].scores)
    groups = {"": [name for name in names if name not in held_out], "*": [name for name in names if name in held_out]}
    return {star: members for star, members in groups.items() if members}


def _means(row: Row, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    means = mean_scores(row.scores[name] for name in names)
    return {mean.stem: (mean.score.sdr_db, mean.score.si_sdr_improvement_db) for mean in means}


def _mean_pair(pairs: Iterable[tuple[float, float]]) -> tuple[float, float] | None:
    known = list(pairs)
    if not known:
        return None
    return sum(sdr for sdr, _ in known) / len(known), sum(better for _, better in known) / len(known)


def _decibel(value: float) -> str:
    # Adding 0 turns the -0.00 of a small negative number into 0.00.
    return f"{round(value, 2) + 0.0:.2f}" if math.isfinite(value) else "-"


def _as_dict(row: Row) -> dict[str, Any]:
    variant = row.variant
    return {
        "group": row.group,
        "name": row.name,
        "latency_ms": variant.latency_ms,
        "extra_hops": variant.extra_hops,
        "is_binary": variant.is_binary,
        "hears_panning": variant.hears_panning,
        "margin": row.margin,
        "design": asdict(variant.design) | {"margin": row.margin},
        "scores": {name: {stem: asdict(score) for stem, score in each.items()} for name, each in row.scores.items()},
        "tuning_sdr_db_by_margin": {f"{margin:g}": value for margin, value in sorted(row.by_margin.items())},
    }


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
