"""How well a separator separates: any model, on any folder of mixtures with their true stems.

For each excerpt and stem that plays in it: the SDR over the whole excerpt, the SDR as museval has it (the median over
seconds), the SDR after 512 taps of filter that suit the estimate (``bss_eval_sources``, by fast_bss_eval), the SI-SDR
and how much higher it is than the mixture's. ``quality_scores.py`` says exactly what each number is. Beside the model
stand the mixture taken as the estimate, silence, and an oracle: ratio masks made from the true stems, the ceiling of
every separator that scales the mixture's spectrum (``quality_oracle.py``). "-" is a score that is not defined, and a
mean over one.

    python benchmarks/quality.py FOLDER [-m spatial] [--only NAME ...] [--held-out NAME ...] [--no-filtered]
        [--stream [--latency-ms N]] [--json FILE] [--plot FILE.png]

FOLDER holds folders, or is one, with ``mixture.wav`` (or flac, mp3, ...) and the stems beside it, as in ``drums.wav``.
``--held-out`` names excerpts that the model was not tuned on: their means are given apart. With ``--stream`` the model
is heard through the processor, in blocks of 512 frames at the file's rate, aligned by the promised latency alone.
An excerpt that cannot be read is told and left out; the exit code is 1 then.

Needs the extra ``bench``: ``pip install '.[bench]'``. Takes about half as long as the music lasts. Most of that,
and 3 GB of memory for an excerpt of four minutes, is for the 512 taps; ``--no-filtered`` leaves them out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import numpy as np
from quality_excerpts import Excerpt, ExcerptFiles, find_excerpts, folders_without_mixture, level_db, read_excerpt
from quality_oracle import oracle_stems
from quality_report import COLUMNS, TABLE_HEAD, Result, as_json, differences, leakage_table, mean_table, result_lines
from quality_scores import MEASURES, Mean, Score, mean_scores, score_excerpt
from quality_stream import BLOCK_FRAMES, check_stream, measured_delays, stream

from engine import Separator, StemstreamError, load_separator, separate
from engine.backends.runtime import ort
from engine.errors import ConfigurationError
from engine.files.part_file import whole_file
from engine.machine import processor_name

__all__ = [
    "Excerpt",
    "Mean",
    "Score",
    "find_excerpts",
    "main",
    "mean_scores",
    "measured_delays",
    "oracle_stems",
    "read_excerpt",
    "score_excerpt",
    "stream",
]

_ROUNDING_DB = -120.0  # what float32 leaves of a sum lies below this


def main(arguments: Sequence[str] | None = None) -> int:
    """Score the model and print the tables; give the exit code."""
    options = _parse(arguments)
    try:
        return _run(options)
    except StemstreamError as error:
        _tell(error)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of excerpts, or one excerpt")
    parser.add_argument("-m", "--model", default="spatial", help="name or path (default spatial)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="score these excerpts alone")
    parser.add_argument("--held-out", nargs="+", metavar="NAME", default=[], help="excerpts the model was not tuned on")
    parser.add_argument("--no-filtered", action="store_true", help="leave the SDR with 512 taps out: much faster")
    parser.add_argument("--stream", action="store_true", help="score what comes out of the processor")
    parser.add_argument("--latency-ms", type=float, metavar="N", help="with --stream: to have (default the smallest)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the scores there")
    options = parser.parse_args(arguments)
    if options.latency_ms is not None and not options.stream:
        parser.error("--latency-ms needs --stream: without it the model is heard offline")
    for option, path, suffix in (("--plot", options.plot, ".png"), ("--json", options.json, ".json")):
        if path is not None and path.suffix.lower() != suffix:
            parser.error(f"{option} {path}: give a name that ends in {suffix}")
    for path in (options.json, options.plot):
        if path is not None and not path.absolute().parent.is_dir():
            parser.error(f"the folder of {path} does not exist: make it first")
    return options


def _run(options: argparse.Namespace) -> int:
    everything = find_excerpts(options.folder)
    chosen = _named(everything, options.only, "--only") if options.only else everything
    held_out = {files.name for files in _named(everything, options.held_out, "--held-out")}
    known = list(dict.fromkeys(stem for files in everything for stem in files.stems))
    separator = load_separator(options.model)
    stems = [stem for stem in separator.spec.output_stems if stem in known]
    if not stems:
        raise ConfigurationError(
            f"{separator.spec.name!r} gives {', '.join(separator.spec.output_stems)} and {str(options.folder)!r} holds "
            f"{', '.join(known)}: rename the files after the model's stems"
        )
    way = f"streamed in blocks of {BLOCK_FRAMES}" if options.stream else "offline"
    with ExitStack() as stack:
        # Opened before the work, so that a place that cannot be written to is told at once.
        json_file, plot_file = (
            None if path is None else stack.enter_context(whole_file(path, option=option))
            for path, option in ((options.json, "--json"), (options.plot, "--plot"))
        )
        print(f"{_machine()}; {separator.spec.name}, {way}\n\n{TABLE_HEAD}", flush=True)
        results, failed = [], []
        for files in chosen:
            try:
                excerpt = read_excerpt(files)
            except StemstreamError as error:
                if len(chosen) == 1:
                    raise
                _tell(error)
                failed.append(files.name)
                continue
            results.append(_score(separator, excerpt, stems, files.name in held_out, options))
            print("\n".join(result_lines(results[-1])), flush=True)
        if not results:
            raise ConfigurationError("no excerpt could be read: mend them as said above")
        notes = [*_left_out(options.folder, failed), *_notes(separator, known, results), *_stream_notes(results)]
        parts = [mean_table(results), leakage_table(results), "\n".join(f"- {note}" for note in notes)]
        print("\n" + "\n\n".join(part for part in parts if part), flush=True)
        folder = options.folder.resolve().name
        if json_file:
            facts = {"machine": _machine(), "model": separator.spec.name, "folder": folder, "way": way}
            facts |= {"failed": failed, "notes": notes}
            json_file.write(json.dumps(as_json(results, facts), indent=2, allow_nan=False).encode())
        if plot_file:
            from quality_plot import plot  # Matplotlib takes a second to load

            plot_file.write(plot(results, f"{separator.spec.name} on {folder}, {way}"))
    return 1 if failed else 0


def _tell(error: StemstreamError) -> None:
    print(f"quality.py: {error}", file=sys.stderr, flush=True)


def _named(everything: Sequence[ExcerptFiles], names: Sequence[str], option: str) -> tuple[ExcerptFiles, ...]:
    there = [files.name for files in everything]
    for name in names:
        if name not in there:
            raise ConfigurationError(f"{option} {name} is not an excerpt: there are {', '.join(there)}")
    return tuple(files for files in everything if files.name in names)


def _score(
    separator: Separator, excerpt: Excerpt, stems: Sequence[str], is_held_out: bool, options: argparse.Namespace
) -> Result:
    mixture, rate, check = excerpt.mixture, excerpt.sample_rate, None
    separated = {"model": separate(separator, mixture, rate)}
    if options.stream:
        latency_s = None if options.latency_ms is None else options.latency_ms / 1e3
        streamed = stream(separator, mixture, rate, latency_s=latency_s)
        check = check_stream(separator, streamed, separated["model"])
        separated = {"model": streamed.stems, "offline": separated["model"]}
    estimates = {
        name: {stem: each for stem, each in zip(separator.spec.output_stems, given, strict=True) if stem in stems}
        for name, given in separated.items()
    }
    estimates["mixture"] = dict.fromkeys(stems, mixture)
    estimates["silence"] = dict.fromkeys(stems, np.zeros_like(mixture))
    estimates["oracle"] = oracle_stems(excerpt, stems)
    scored = {name: score_excerpt(excerpt, e, with_filtered=not options.no_filtered) for name, e in estimates.items()}
    silent = [stem for stem in stems if stem not in excerpt.truths]
    return Result(
        excerpt=excerpt.name,
        sample_rate=rate,
        seconds=mixture.shape[1] / rate,
        is_held_out=is_held_out,
        remainder_db=excerpt.remainder_db,
        scores=scored,
        leakage_db={stem: level_db(estimates["model"][stem], mixture) for stem in silent},
        stream=check,
    )


def _left_out(folder: Path, failed: Sequence[str]) -> Iterator[str]:
    for name in failed:
        yield f"{name}: it could not be read, so it is left out"
    for name in folders_without_mixture(folder):
        yield f"{name}: it holds audio and no mixture, so it is left out"


def _notes(separator: Separator, known: Sequence[str], results: Sequence[Result]) -> Iterator[str]:
    given = separator.spec.output_stems
    for stem in given:
        if stem not in known:
            yield f"{stem}: the model gives it and no excerpt has it, so it is not scored"
    for stem in known:
        if stem not in given:
            yield f"{stem}: there are files of it and the model does not give it, so it is left out"
    for result in results:
        if result.remainder_db > _ROUNDING_DB:
            yield (
                f"{result.excerpt}: its stems do not add up to its mixture; what is missing lies "
                f"{-result.remainder_db:.1f} dB below it"
            )


def _stream_notes(results: Sequence[Result]) -> Iterator[str]:
    checks = {result.excerpt: result.stream for result in results if result.stream is not None}
    if not checks:
        return
    for latency in dict.fromkeys(str(check.latency) for check in checks.values()):
        yield f"Promised latency: {latency}"
    broken = [
        f"{name} {stem} {n} instead of {check.latency.total_frames} frames"
        for name, check in checks.items()
        for stem, n in check.broken.items()
    ]
    count = sum(n is not None for check in checks.values() for n in check.measured_frames.values())
    verdict = f"NOT as promised: {', '.join(broken)}" if broken else "as promised"
    yield f"Measured delay, by cross-correlation of {count} stems with what the model gives offline: {verdict}"
    yield f"Really separated: {100 * min(check.coverage for check in checks.values()):.2f} % at least"
    found = differences(results, "model", "offline")
    parts = [
        f"{column} {round(found[name][0], 4) + 0.0:+.4f} ({found[name][1]:.4f})"
        for column, name in zip(COLUMNS, MEASURES, strict=True)
        if name in found
    ]
    yield f"Streamed less offline, mean and largest difference in dB: {', '.join(parts)}"


def _machine() -> str:
    return (
        f"{processor_name()}, {os.cpu_count()} cores; Python {platform.python_version()}, NumPy {np.__version__}, "
        f"ONNX Runtime {ort.__version__}, fast_bss_eval {version('fast-bss-eval')}"
    )


if __name__ == "__main__":
    sys.exit(main())
