"""``stemstream bench``: what a network costs on this machine, setting by setting."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import ConfigurationError
from streamer.cli.options import Config, Debug, Device, Json
from streamer.cli.terminal import print_json, print_note, print_result

__all__ = ["bench"]


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
    tables: Annotated[
        str,
        typer.Option(
            "--tables",
            metavar="N,N",
            help="1 batches, 2 overlaps, 3 memory, 4 back-ends, 5 precisions, 6 transforms, 7 parallel work.",
        ),
    ] = "1,2,3,4,5,6,7",
    device: Device = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", help="Of the processor; else one a core.")
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option("--audio", metavar="FOLDER", help="mixture.flac and its true stems; else a composed song."),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Measure what a network costs on this machine, beside the plain way of running it.

    Rows run in processes of their own, in turn with the baseline: eager PyTorch in float32, one window at a time, the
    whole track in memory. Every figure of speed is the median of the ratios within each pair. What does not run here
    stays in its table with the reason.

    DIR gets bench.md, bench.json with every run, and plots where matplotlib is installed. The batch size that was best
    is what --batch-size auto takes from then on. Needs the extra torch; run it while the machine does nothing else.
    """
    from streamer.bench.plan import FULL_SIZE, MATRIX_SIZE, QUICK
    from streamer.bench.run import check_tables, run_bench

    if quick and full_size:
        raise ConfigurationError("--quick and --full-size were given: give one of them")
    numbers = check_tables(_numbers(tables))
    options = {
        "--quick": quick,
        "--full-size": full_size,
        "--tables": "" if len(numbers) == len(_numbers("1,2,3,4,5,6,7")) else tables,
        "--device": "" if device == "auto" else device,
        "--threads": threads or "",
    }
    words = [
        word for option, value in options.items() if value for word in (option, *([] if value is True else [value]))
    ]
    done = run_bench(
        out,
        QUICK if quick else FULL_SIZE if full_size else MATRIX_SIZE,
        model=model,
        config=config,
        tables=numbers,
        device=device,
        threads=threads,
        audio=audio,
        command=shlex.join(["stemstream", "bench", *map(str, words)]),
        tell=print_note,
    )
    if json:
        print_json(_plain_facts(out))
        return 0
    for line in done.text.splitlines():
        print_result(line)
    for path in done.paths:
        print_note(str(path))
    return 0


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise ConfigurationError(f"--tables {text!r} cannot be used: give numbers from 1 to 7, as in 1,4,5") from None


def _plain_facts(folder: Path) -> dict[str, object]:
    """Give what was written, in which every number is one of JSON's."""
    import json

    facts: dict[str, object] = json.loads((folder / "bench.json").read_text(encoding="utf-8"))
    return facts
