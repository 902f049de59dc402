"""Speed and memory of a full-size MDX23C network: through ``separate``, and the plain way of ``baseline.py``.

The network is as large as the public ones, 112 million parameters and windows of 261,120 frames; its weights are
random, which costs the same. Both ways separate the same music with the same overlap on all cores, one after the other
in one run, each in a fresh process that loads the model, is timed from the music in memory to the stems in memory, and
tells its peak resident memory, loading included. Their stems are compared: how far apart they are is rounding.

    python benchmarks/mdx23c.py [--seconds 30] [--overlap 2] [--rounds 1] [--input FILE] [--folder DIR] [--json FILE]

Without ``--input`` it is the composed song of ``stemstream demo``. The checkpoint takes 450 MB in a temporary folder
that is removed. Half a minute of music takes about eight minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile
from measured_process import Stopwatch, peak_bytes, processor, run_alone

from engine import load_separator, separate
from engine.offline import SeparationCounters
from streamer.song import compose_song

_RATE = 44_100
_CHANNELS = 2
_WAYS = ("separate", "baseline")
_HEAD = "| way | windows | seconds | cpu s | real-time factor | peak memory MB | others |\n|---|" + 6 * "---:|"
_LINE = "| {way} | {windows} | {seconds:.1f} | {cpu_s:.1f} | {realtime_factor:.2f} | {peak_mb:.0f} | {others:.0%} |"


def main() -> None:
    """Measure both ways and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the music (default 30)")
    parser.add_argument("--overlap", type=int, default=2, help="windows over each frame (default 2)")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each way, in turn (default 1)")
    parser.add_argument("--input", type=Path, metavar="FILE", help="music at 44100 Hz in stereo; its beginning is used")
    parser.add_argument("--small", action="store_true", help="a tiny network, to see that the program works")
    parser.add_argument("--folder", type=Path, help="where the temporary files go (default the system's)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--alone", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        way, *paths = arguments.alone
        _measure(way, *map(Path, paths), overlap=arguments.overlap)
        return
    # Only here: whoever imports PyTorch first settles how its threads wait, and each way shall do that for itself.
    import torch
    from mdx23c_random import FULL, SMALL, parameter_count

    architecture = replace(SMALL, outputs=FULL.outputs) if arguments.small else FULL
    music = _music(arguments.input, arguments.seconds)
    print(
        f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, PyTorch {torch.__version__}, ",
        end="",
    )
    print(f"{torch.get_num_threads()} threads; {parameter_count(architecture) / 1e6:.1f} million parameters, ", end="")
    print(f"{music.shape[1] / _RATE:g} s of music, overlap {arguments.overlap}\n\n{_HEAD}", flush=True)
    rows, difference, peak = _compare(music, architecture, arguments)
    ratio, cpu_ratio = _ratio(rows, "seconds"), _ratio(rows, "cpu_s")
    verdict = "met" if ratio >= 1 else "NOT met"
    print(f"\n- `separate` is {ratio:.2f} times as fast as the baseline (aim: at least as fast): {verdict}")
    print(f"- The baseline takes {cpu_ratio:.2f} times its processor time, which other load disturbs less")
    print(f"- The stems of the two are at most {difference:.1g} apart, where their peak is {peak:.2g}")
    if arguments.json:
        figures = {
            "rows": rows,
            "speed_ratio": ratio,
            "cpu_ratio": cpu_ratio,
            "largest_difference": difference,
            "aim_met": ratio >= 1,
        }
        arguments.json.write_text(json.dumps(figures, indent=2))


def _ratio(rows: list[dict[str, Any]], key: str) -> float:
    """Give the baseline's figure over that of ``separate``."""
    separate_s, baseline_s = (median(row[key] for row in rows if row["way"] == way) for way in _WAYS)
    return baseline_s / separate_s


def _music(path: Path | None, seconds: float) -> np.ndarray:
    if path is None:
        return compose_song(seconds, sample_rate=_RATE).mixture
    audio, sample_rate = soundfile.read(path, frames=round(seconds * _RATE), dtype="float32", always_2d=True)
    if sample_rate != _RATE or audio.shape[1] != _CHANNELS:
        raise SystemExit(f"{path} has {audio.shape[1]} channels at {sample_rate} Hz: give stereo at {_RATE} Hz")
    return audio.T


def _compare(
    music: np.ndarray, architecture: Any, arguments: argparse.Namespace
) -> tuple[list[dict[str, Any]], float, float]:
    from mdx23c_random import save_random

    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        checkpoint, config = save_random(architecture, folder)
        np.save(folder / "music.npy", music)
        for _ in range(arguments.rounds):
            for way in _WAYS:
                paths = checkpoint, config, folder / "music.npy", folder / f"{way}.npy"
                figures = run_alone(__file__, "--overlap", arguments.overlap, "--alone", way, *paths)
                rows.append({"way": way, "realtime_factor": figures["seconds"] * _RATE / music.shape[1], **figures})
                print(_LINE.format(**rows[-1]), flush=True)
        one, other = (np.load(folder / f"{way}.npy") for way in _WAYS)
    return rows, float(np.abs(one - other).max()), float(np.abs(other).max())


def _measure(way: str, checkpoint: Path, config: Path, music: Path, stems: Path, *, overlap: int) -> None:
    """Be the measured process: separate, keep the stems, and print what it took."""
    audio = np.load(music)
    run: Callable[[], tuple[Sequence[np.ndarray], int]]
    if way == "separate":
        run = _through_separate(checkpoint, config, audio, overlap)
    else:
        run = _through_baseline(checkpoint, config, audio, overlap)
    stopwatch = Stopwatch()
    result, windows = run()
    figures = {**stopwatch.read(), "windows": windows, "peak_mb": peak_bytes() / 1e6}
    np.save(stems, np.stack(result))
    print(json.dumps(figures))


def _through_separate(
    checkpoint: Path, config: Path, audio: np.ndarray, overlap: int
) -> Callable[[], tuple[Sequence[np.ndarray], int]]:
    separator = load_separator(checkpoint, config=config)
    counters = SeparationCounters()

    def run() -> tuple[Sequence[np.ndarray], int]:
        stems = separate(separator, audio, _RATE, overlap=overlap, counters=counters)
        return list(stems), counters.windows

    return run


def _through_baseline(
    checkpoint: Path, config: Path, audio: np.ndarray, overlap: int
) -> Callable[[], tuple[Sequence[np.ndarray], int]]:
    from baseline import Baseline, demix

    model = Baseline(checkpoint, config)

    def run() -> tuple[Sequence[np.ndarray], int]:
        stems = demix(model, audio, overlap)
        return list(stems.values()), model.windows

    return run


if __name__ == "__main__":
    main()
