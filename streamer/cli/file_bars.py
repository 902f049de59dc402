"""How far the files of a batch are, drawn where standard error is a terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.cli.interruption import Interruption
from streamer.cli.terminal import one_line, print_note

if TYPE_CHECKING:
    from engine.progress import Progress

__all__ = ["watched_files"]

Watch = Callable[[Mapping[Path, "Progress"]], None]


@contextmanager
def watched_files(count: int) -> Iterator[Watch]:
    """Give what `engine.file_batch.separate_files` calls to tell which files are under way; it obeys Ctrl-C.

    On a terminal each of them has a bar, and with several files there is one for all. Elsewhere a line says when a
    file begins.
    """
    is_screen = sys.stderr is not None and sys.stderr.isatty()
    with Interruption() as interruption, _bars(count) if is_screen else _lines() as show:

        def watch(under_way: Mapping[Path, Progress]) -> None:
            interruption.check()
            show(under_way)

        yield watch


@contextmanager
def _lines() -> Iterator[Watch]:
    told: set[Path] = set()

    def show(under_way: Mapping[Path, Progress]) -> None:
        for path in under_way:
            if path not in told:
                told.add(path)
                print_note(f"separating {path}")

    yield show


@contextmanager
def _bars(count: int) -> Iterator[Watch]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    name = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    tasks: dict[Path, TaskID] = {}
    seen: set[Path] = set()
    with Bars(
        TextColumn("{task.description}", markup=False, table_column=name),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        console=Console(file=sys.stderr),
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
        expand=True,
        transient=True,
    ) as bars:
        whole = bars.add_task(f"{count} files", total=count, left="") if count > 1 else None

        def show(under_way: Mapping[Path, Progress]) -> None:
            for path in [path for path in tasks if path not in under_way]:
                bars.remove_task(tasks.pop(path))
            for path, progress in under_way.items():
                seen.add(path)
                if path not in tasks:
                    tasks[path] = bars.add_task(one_line(f"separating {path}"), total=1.0, left="")
                total = None if math.isnan(progress.fraction) else 1.0
                bars.update(tasks[path], total=total, completed=progress.fraction, left=_left(progress.eta_s))
            if whole is not None:
                bars.update(whole, completed=len(seen) - len(under_way))

        yield show


def _left(eta_s: float) -> str:
    if not math.isfinite(eta_s):
        return ""
    minutes, seconds = divmod(round(eta_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
