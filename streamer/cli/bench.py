"""``stemstream bench``: what a network costs on this machine, setting by setting."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from engine.compute import AUTO
from engine.errors import ConfigurationError
from streamer.cli.options import Config, Debug, Device, Json
from streamer.cli.terminal import print_json, print_note, print_result

__all__ = ["bench"]

_INTERRUPTED = 130


def bench(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where the reports go; made if need be.")
    ] = Path("bench"),
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME|PATH", help="An MDX23C checkpoint; else random weights."),
    ] = None,
    config: Config = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer pairs, and a file of 30 s: a few minutes.")] = False,
    full_size: Annotated[
        bool,
        typer.Option("--full-size", help="A network as large as the public ones, two windows a row."),
    ] = False,
    table: Annotated[
        list[int] | None,
        typer.Option(
            "--table",
            metavar="N",
            help="Only this one, repeatable: 1 batch sizes, 2 overlaps, 3 memory, 4 back-ends, 5 precisions, "
            "6 transforms, 7 parallel work.",
        ),
    ] = None,
    device: Device = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", help="Of the processor; else one a core.")
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option(
            "--audio", metavar="FILE|FOLDER", help="A song, or mixture.flac and its true stems; else a composed song."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the reports of an earlier run in DIR.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Measure what a network costs on this machine, beside the plain way of running it.

    Rows run in processes of their own, each run directly beside one of the baseline: eager PyTorch in float32, one
    window at a time, the whole track in memory. Every figure of speed is the median of the ratios within these pairs.
    What does not run here stays in its table with the reason.

    DIR gets bench.md, bench.json with every run, and plots where matplotlib is installed. With --model, the batch size
    that was best is what --batch-size auto takes for that model from then on. Needs the extra torch; run it while the
    machine does nothing else. Ctrl-C ends it and keeps what was measured.
    """
    from streamer.bench.plan import FULL_SIZE, MATRIX_SIZE, QUICK
    from streamer.bench.run import run_bench
    from streamer.bench.tables import TABLES

    if quick and full_size:
        raise ConfigurationError("--quick and --full-size were given: give one of them")
    options: dict[str, object] = {
        "--model": model,
        "--config": config,
        "--quick": quick,
        "--full-size": full_size,
        "--device": None if device == AUTO else device,
        "--threads": threads,
        "--audio": audio,
    }
    done = run_bench(
        out,
        QUICK if quick else FULL_SIZE if full_size else MATRIX_SIZE,
        model=model,
        config=config,
        tables=tuple(TABLES) if table is None else table,
        device=device,
        threads=threads,
        audio=audio,
        overwrite=overwrite,
        command=_command(options, table or ()),
        tell=print_note,
    )
    if json:
        print_json(_plain_facts(out))
    else:
        for line in done.text.splitlines():
            print_result(line)
    for path in done.paths:
        print_note(str(path))
    return _INTERRUPTED if done.is_interrupted else 0


def _command(options: Mapping[str, object], tables: Iterable[int]) -> str:
    """Give the line that was typed, without folders: the report may be read elsewhere."""
    words = ["stemstream", "bench"]
    for option, value in options.items():
        if value:
            words += [option] if value is True else [option, Path(str(value)).name]
    for number in tables:
        words += ["--table", str(number)]
    return shlex.join(words)


def _plain_facts(folder: Path) -> dict[str, object]:
    """Give what was written, in which every number is one of JSON's."""
    import json

    facts: dict[str, object] = json.loads((folder / "bench.json").read_text(encoding="utf-8"))
    return facts
