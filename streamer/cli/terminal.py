"""What a command says: results to standard output, everything else to standard error, one line each."""

from __future__ import annotations

import io
import json
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from engine.errors import OutputError
from streamer.cli.interruption import Interruption

if TYPE_CHECKING:
    from engine.offline import Progress

__all__ = [
    "one_line",
    "print_error",
    "print_json",
    "print_note",
    "print_result",
    "print_traceback",
    "print_warning",
    "watched_progress",
]

_RED, _YELLOW, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[0m"


def print_result(text: str) -> None:
    """Write a line to standard output.

    Raises
    ------
    OutputError
        If it cannot be written. A reader that went away is no error, nor is a stream that was closed from the start:
        nothing is written then.
    """
    out = sys.stdout
    if out is None:
        return
    try:
        _write(out, one_line(text))
    except OSError as error:
        _silence(out)
        raise OutputError(f"standard output cannot be written ({error.strerror}): redirect it elsewhere") from error


def print_json(values: Mapping[str, Any]) -> None:
    """Write one JSON object to standard output; raises as `print_result` does."""
    for line in json.dumps(values, indent=2, allow_nan=False).splitlines():
        print_result(line)


def print_note(text: str) -> None:
    """Write a line to standard error."""
    _say("", "", text)


def print_warning(text: str) -> None:
    """Write a line that begins with ``warning`` to standard error."""
    _say("warning: ", _YELLOW, text)


def print_error(text: str) -> None:
    """Write a line that begins with ``error`` to standard error."""
    _say("error: ", _RED, text)


def print_traceback() -> None:
    """Write the traceback of the exception being handled to standard error."""
    for line in traceback.format_exc().splitlines():
        print_note(line)


def one_line(text: str) -> str:
    """Show characters that would move the cursor or colour the screen as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def watched_progress(label: str) -> Iterator[Callable[[Progress], None]]:
    """Give a progress callback: it draws a bar where standard error is a terminal, and it obeys Ctrl-C.

    Ctrl-C raises KeyboardInterrupt from the callback, where everything is in order, and not inside a library's
    write. On a stream that is no terminal the label is written once.
    """
    with Interruption() as interruption, _bar(label) as move:

        def progress(done: Progress) -> None:
            interruption.check()
            move(done.fraction)

        yield progress


@contextmanager
def _bar(label: str) -> Iterator[Callable[[float], None]]:
    if sys.stderr is None or not sys.stderr.isatty():
        print_note(label)
        yield lambda fraction: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.table import Column

    name = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    with Progress(
        TextColumn("{task.description}", markup=False, table_column=name),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        redirect_stdout=False,
        expand=True,
    ) as bars:
        task = bars.add_task(one_line(label), total=1.0)

        def move(fraction: float) -> None:
            bars.update(task, total=None if math.isnan(fraction) else 1.0, completed=fraction)

        yield move


def _say(kind: str, colour: str, text: str) -> None:
    err = sys.stderr
    if err is None:
        return
    is_plain = not colour or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" or not err.isatty()
    # There is nobody left to tell where standard error cannot be written.
    try:
        _write(err, (kind if is_plain else f"{colour}{kind}{_PLAIN}") + one_line(text))
    except OSError:
        _silence(err)


def _write(stream: TextIO, line: str) -> None:
    try:
        stream.write(line + "\n")
        stream.flush()
    except BrokenPipeError:
        _silence(stream)


def _silence(stream: TextIO) -> None:
    """Let everything still to come, and what the interpreter flushes at its end, go nowhere."""
    with suppress(io.UnsupportedOperation), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
