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

_NAMES = ("bench.json", "bench.md")


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse a place that cannot take the reports, before anything is measured.

    Raises
    ------
    ConfigurationError
        If it is a file, or holds the reports of an earlier run that are not to be replaced.
    OutputError
        If it cannot be made, or not be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"-o {str(folder)!r} is a file: name a folder for the reports")
    if not overwrite and any((folder / name).exists() for name in _NAMES):
        raise ConfigurationError(
            f"-o {str(folder)!r} holds the reports of an earlier run: name another folder, or give --overwrite"
        )
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise _output_error(folder, f"{str(there)!r} cannot be written to")


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
            plain = json.dumps(_plain(facts), indent=1, allow_nan=False)
            (scratch / _NAMES[0]).write_text(plain + "\n", encoding="utf-8")
            drawn = {f"bench-{table.title.partition('.')[0]}.svg": table for table in tables if table.bars}
            for plot, table in drawn.items() if can_plot() else ():
                _plot(table, scratch / plot)
            pictures = "".join(
                f"\n![{drawn[path.name].title}]({path.name})\n" for path in sorted(scratch.glob("*.svg"))
            )
            (scratch / _NAMES[1]).write_text(text + pictures, encoding="utf-8")
            written = []
            for path in sorted(scratch.iterdir()):
                os.replace(path, folder / path.name)
                written.append(folder / path.name)
    except OSError as error:
        raise _output_error(folder, error.strerror or str(error)) from error
    return written


def _output_error(folder: Path, cause: str) -> OutputError:
    return OutputError(
        f"reports cannot be written to {str(folder)!r} ({cause}): correct its permissions, or name another folder "
        "with -o"
    )


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401 - whether it can be imported is the question
    except ImportError:
        return False
    return True


def _plot(table: Table, path: Path) -> None:
    """Draw the median ratio of each row, and that of every pair as a dot."""
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
