"""The scores of a separator as bars: a row a stem, SDR at the left and the improvement of SI-SDR at the right."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from quality_report import Result, stems_scored

__all__ = ["plot"]

# Okabe and Ito's colours, which the colour-blind can tell apart, dark to light as well.
_COLOURS = {"model": "#0072B2", "offline": "#56B4E9", "mixture": "#999999", "oracle": "#E69F00"}
_PANELS = {"sdr_db": "SDR, dB", "si_sdr_improvement_db": "SI-SDR above the mixture's, dB"}
_GROUP_WIDTH = 0.8


def plot(results: Sequence[Result], title: str) -> bytes:
    """Draw a bar for each excerpt and estimate; infinite scores leave a gap.

    Parameters
    ----------
    results : sequence of Result
    title : str

    Returns
    -------
    bytes
        The picture, as PNG.
    """
    stems = stems_scored(results)
    estimates = [estimate for estimate in results[0].scores if estimate in _COLOURS]
    width = min(24.0, max(6.0, 1.6 + 1.3 * len(results) * len(_PANELS)))
    figure = Figure(figsize=(width, 1.2 + 1.9 * len(stems)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(stems), len(_PANELS), sharex=True, sharey="col", squeeze=False)
    for row, stem in zip(axes, stems, strict=True):
        for panel, measure in zip(row, _PANELS, strict=True):
            # The mixture improves on itself by nothing.
            shown = [each for each in estimates if not (each == "mixture" and measure == "si_sdr_improvement_db")]
            bar = _GROUP_WIDTH / len(shown)
            for place, estimate in enumerate(shown):
                scores = [result.scores[estimate].get(stem) for result in results]
                heights = [math.nan if score is None else getattr(score, measure) for score in scores]
                panel.bar(
                    [n + bar * (place - (len(shown) - 1) / 2) for n in range(len(results))],
                    [height if math.isfinite(height) else math.nan for height in heights],
                    bar,
                    label=estimate,
                    color=_COLOURS[estimate],
                )
            panel.axhline(0.0, color="black", linewidth=0.8)
            panel.grid(axis="y", color="#DDDDDD", linewidth=0.6)
            panel.set_axisbelow(True)
            panel.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel(stem)
    for panel, name in zip(axes[0], _PANELS.values(), strict=True):
        panel.set_title(name, fontsize="medium")
    names = [result.excerpt + ("*" if result.is_held_out else "") for result in results]
    for panel in axes[-1]:
        panel.set_xticks(range(len(results)), names, rotation=30, ha="right", rotation_mode="anchor")
        panel.set_xlim(-0.6, len(results) - 0.4)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    note = " (* held out)" if any(result.is_held_out for result in results) else ""
    figure.suptitle(title + note, fontsize="large")
    picture = io.BytesIO()
    figure.savefig(picture, dpi=150, format="png")
    return picture.getvalue()
