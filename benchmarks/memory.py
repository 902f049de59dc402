"""Peak resident memory and speed of ``separate_file`` against the length of the file.

A recording of noise and gliding tones is written for each length (16-bit WAV, stereo) and separated by a fresh process,
whose peak resident memory is read at its end. Memory that does not grow with the length is the claim; the aim is that
the longest file takes at most 5 % more than the shortest.

    python benchmarks/memory.py [--minutes 3 60] [--rate 44100] [--model spatial] [--folder DIR] [--json FILE]
    python benchmarks/memory.py --against-baseline [--minutes 1 10 60] [--folder DIR] [--json FILE]

The second compares with the plain way of ``baseline.py``, from file to files, by a small MDX23C network of the public
ones' window and four stems. What counts there is the memory above that of a process which loads the model and runs one
window: the aims are a tenth of the baseline's at 10 minutes, and 60 minutes within 5 % of 10. The baseline, whose
memory grows, is measured up to `_LONGEST_BASELINE_MINUTES`.

An hour in stereo takes 0.6 GB for the recording and 5 GB for its four stems, in a temporary folder that is removed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from measured_process import peak_bytes, processor, run_alone

from engine import load_separator
from engine.file_separation import separate_file

_AIM = 1.05
_BASELINE_AIM = 0.1
_LONGEST_BASELINE_MINUTES = 10.0
_OVERLAP = 2
_BLOCK_FRAMES = 1 << 16
_BASELINE = Path(__file__).with_name("baseline.py")
_LINE = "| {minutes:g} | {windows} | {peak_mb:.1f} | {wall_over_audio:.4f} | {cpu_over_audio:.4f} |"
_COMPARED = "| {way} | {minutes:g} | {windows} | {peak_mb:.0f} | {above_mb:.0f} | {wall_over_audio:.4f} |"


def main() -> None:
    """Measure each length and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, nargs="+", help="lengths (default 3 60; against the baseline 1 10 60)")
    parser.add_argument("--rate", type=int, default=44_100, help="sample rate of the files (default 44100)")
    parser.add_argument("--model", default="spatial", help="name or path (default spatial)")
    parser.add_argument("--against-baseline", action="store_true", help="a small MDX23C network, and the plain way")
    parser.add_argument("--folder", type=Path, help="where the temporary files go (default the system's)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--overlap", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--separate", nargs=2, metavar=("IN", "DIR"), help=argparse.SUPPRESS)
    parser.add_argument("--one-pass", choices=("separate", "baseline"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.separate:
        _separate(arguments.model, *arguments.separate, overlap=arguments.overlap)
    elif arguments.one_pass:
        _run_one_pass(arguments.one_pass, Path(arguments.model))
    elif arguments.against_baseline:
        _keep(_compare(arguments.minutes or [1.0, 10.0, 60.0], arguments.folder), arguments.json)
    else:
        _keep(_grow(arguments.minutes or [3.0, 60.0], arguments), arguments.json)


def _keep(figures: dict[str, Any], path: Path | None) -> None:
    if path:
        path.write_text(json.dumps(figures, indent=2))


def _grow(lengths: list[float], arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare the lengths with one another."""
    print(f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, ", end="")
    print(f"{arguments.model}, {arguments.rate} Hz stereo\n")
    print("| minutes | windows | peak memory MB | wall / audio | cpu / audio |\n|---:|---:|---:|---:|---:|")
    rows = []
    for minutes in lengths:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            path = _write(Path(folder) / "recording.wav", minutes, arguments.rate)
            figures = run_alone(__file__, "--model", arguments.model, "--separate", path, folder)
        rows.append({"minutes": minutes, **figures})
        print(_LINE.format(**rows[-1]), flush=True)
    peaks = [row["peak_mb"] for row in rows]
    growth = peaks[int(np.argmax(lengths))] / peaks[int(np.argmin(lengths))]
    print(f"\nThe longest file takes {100 * (growth - 1):+.1f} % of the memory of the shortest (aim: +5 %): ", end="")
    print(_verdict(growth <= _AIM))
    return {"rows": rows, "growth": growth, "aim_met": growth <= _AIM}


def _compare(lengths: list[float], folder: Path | None) -> dict[str, Any]:
    """Compare ``separate_file`` with the baseline."""
    import torch
    from mdx23c_random import SMALL, WINDOW_FRAMES, parameter_count, save_random

    print(
        f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, PyTorch {torch.__version__}; ",
        end="",
    )
    print(
        f"{parameter_count(SMALL) / 1e6:.2f} million parameters, windows of {WINDOW_FRAMES} frames, {SMALL.outputs} ",
        end="",
    )
    print(f"stems, overlap {_OVERLAP}, 44100 Hz stereo\n")
    print("| way | minutes | windows | peak memory MB | above one pass MB | wall / audio |\n|---|" + 5 * "---:|")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=folder) as name:
        checkpoint, config = save_random(SMALL, Path(name))
        one_pass = {
            way: run_alone(__file__, "--model", checkpoint, "--one-pass", way) for way in ("separate", "baseline")
        }
        for minutes in lengths:
            recording = _write(Path(name) / "recording.wav", minutes, 44_100)
            for way, figures in _both(minutes, checkpoint, config, recording):
                above = figures["peak_mb"] - one_pass[way]["peak_mb"]
                rows.append({"way": way, "minutes": minutes, "above_mb": above, **figures})
                print(_COMPARED.format(**rows[-1]), flush=True)
    passes = {way: figures["peak_mb"] for way, figures in one_pass.items()}
    print(
        f"\n- One pass alone: {passes['separate']:.0f} MB for `separate`, {passes['baseline']:.0f} MB for the baseline"
    )
    return {"rows": rows, "one_pass_mb": passes, **_verdicts(rows)}


def _both(minutes: float, checkpoint: Path, config: Path, recording: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with tempfile.TemporaryDirectory(dir=recording.parent) as folder:
        arguments = "--model", checkpoint, "--overlap", _OVERLAP, "--separate", recording, folder
        yield "separate", run_alone(__file__, *arguments)
    if minutes <= _LONGEST_BASELINE_MINUTES:
        with tempfile.TemporaryDirectory(dir=recording.parent) as folder:
            figures = run_alone(_BASELINE, checkpoint, config, recording, folder, "--overlap", _OVERLAP)
            yield "baseline", {**figures, "wall_over_audio": figures["seconds"] * 44_100 / figures["frames"]}


def _verdicts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    by_length = {(row["way"], row["minutes"]): row for row in rows}
    verdicts: dict[str, Any] = {}
    long, longest = (by_length.get(("separate", minutes)) for minutes in (10.0, 60.0))
    plain = by_length.get(("baseline", 10.0))
    if long and plain:
        share = long["above_mb"] / plain["above_mb"]
        print(f"- Above one pass, 10 minutes take {share:.3f} of the baseline's (aim: {_BASELINE_AIM:g}): ", end="")
        print(_verdict(share <= _BASELINE_AIM))
        verdicts["share_of_baseline"] = share
    if long and longest:
        growth = longest["peak_mb"] / long["peak_mb"]
        print(
            f"- 60 minutes take {100 * (growth - 1):+.1f} % of the memory of 10 (aim: +5 %): {_verdict(growth <= _AIM)}"
        )
        verdicts["growth"] = growth
    return verdicts


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "NOT met"


def _write(path: Path, minutes: float, sample_rate: int) -> Path:
    """Write noise and two tones that glide through three octaves, one a channel."""
    rng = np.random.default_rng(0)
    frames = round(60 * minutes * sample_rate)
    with soundfile.SoundFile(path, "w", sample_rate, 2, "PCM_16") as file:
        for start in range(0, frames, _BLOCK_FRAMES):
            seconds = np.arange(start, min(start + _BLOCK_FRAMES, frames)) / sample_rate
            tones = np.stack([np.sin(2000.0 * np.sin(0.5 * seconds)), np.sin(900.0 * np.cos(0.7 * seconds))], axis=1)
            file.write(0.3 * tones + rng.normal(0.0, 0.05, tones.shape))
    return path


def _separate(model: str, path: str, folder: str, *, overlap: int | None) -> None:
    """Be the measured process: separate one file and print what that took."""
    separator = load_separator(model)
    before = time.process_time()
    report = separate_file(separator, path, folder, overlap=overlap)
    spent = time.process_time() - before
    figures = {
        "windows": report.windows,
        "peak_mb": peak_bytes() / 1e6,
        "wall_over_audio": report.realtime_factor,
        "cpu_over_audio": spent * report.sample_rate / report.frames,
    }
    print(json.dumps(figures))


def _run_one_pass(way: str, checkpoint: Path) -> None:
    """Be the measured process: load the model, run one window of noise, and print the memory of that."""
    rng = np.random.default_rng(0)
    if way == "separate":
        separator = load_separator(checkpoint)
        spec = separator.spec
        separator.process(rng.normal(0.0, 0.1, (1, spec.channels, spec.window_frames)).astype(np.float32), ())
    else:
        import torch
        from baseline import Baseline

        model = Baseline(checkpoint, checkpoint.with_suffix(".yaml"))
        with torch.inference_mode():
            model(torch.from_numpy(rng.normal(0.0, 0.1, (2, model.config.window_frames)).astype(np.float32)))
    print(json.dumps({"peak_mb": peak_bytes() / 1e6}))


if __name__ == "__main__":
    main()
