"""Write what was measured: ``bench.json``, ``bench.md`` and plots, all of them or none."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import ConfigurationError, OutputError
from streamer.bench.table import Table

__all__ = ["can_plot", "check_folder", "write_report"]


def check_folder(folder: Path) -> None:
    """Refuse a place for reports that cannot be a folder, with a ConfigurationError."""
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"-o {str(folder)!r} is a file: name a folder for the reports")


def write_report(folder: Path, facts: Mapping[str, Any], text: str, tables: Sequence[Table]) -> list[Path]:
    """Write the files into ``folder``, replacing those of an earlier run; give their paths.

    Plots need matplotlib and are left out without it.

    Raises
    ------
    OutputError
        If they cannot be written; nothing of them is there then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".bench-") as name:
            scratch = Path(name)
            (scratch / "bench.json").write_text(
                json.dumps(_plain(facts), indent=1, allow_nan=False) + "\n", encoding="utf-8"
            )
            (scratch / "bench.md").write_text(text, encoding="utf-8")
            for table in tables:
                if table.bars:
                    _plot(table, scratch / f"bench-{table.title.partition('.')[0]}.svg")
            written = []
            for path in sorted(scratch.iterdir()):
                os.replace(path, folder / path.name)
                written.append(folder / path.name)
    except OSError as error:
        raise OutputError(
            f"reports cannot be written to {str(folder)!r} ({error.strerror}): correct its permissions, or name another "
            "folder with -o"
        ) from error
    return written


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401 - whether it can be imported is the question
    except ImportError:
        return False
    return True


def _plot(table: Table, path: Path) -> None:
    """Draw the median ratio of each row, and that of every pair as a dot."""
    if not can_plot():
        return
    from statistics import median

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.3 * len(table.bars)), layout="constrained")
    axes = figure.subplots()
    places = range(len(table.bars))
    axes.barh(places, [median(ratios) for _, ratios in table.bars], color="#7da7d9")
    for place, (_, ratios) in zip(places, table.bars, strict=True):
        axes.plot(ratios, [place] * len(ratios), ".", color="#1f3b57")
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_yticks(places, [name for name, _ in table.bars])
    axes.invert_yaxis()
    axes.set_xlabel("times as fast as the baseline")
    axes.set_title(table.title)
    figure.savefig(path)


def _plain(value: Any) -> Any:
    """Give it without numbers that JSON has not."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
