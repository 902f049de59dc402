"""Peak resident memory and speed of ``separate_file`` against the length of the file.

A recording of noise and gliding tones is written for each length (16-bit WAV, stereo) and separated by a fresh process,
whose peak resident memory is read at its end. Memory that does not grow with the length is the claim; the aim is that
the longest file takes at most 5 % more than the shortest.

    python benchmarks/memory.py [--minutes 3 60] [--rate 44100] [--model spatial] [--folder DIR] [--json FILE]

An hour in stereo takes 0.6 GB for the recording and 5 GB for its four stems, in a temporary folder that is removed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from engine import load_separator
from engine.file_separation import separate_file

_AIM = 1.05
_BLOCK_FRAMES = 1 << 16
_LINE = "| {minutes:g} | {windows} | {peak_mb:.1f} | {wall_over_audio:.4f} | {cpu_over_audio:.4f} |"


def main() -> None:
    """Measure each length and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[3.0, 60.0], help="lengths (default 3 60)")
    parser.add_argument("--rate", type=int, default=44_100, help="sample rate of the files (default 44100)")
    parser.add_argument("--model", default="spatial", help="name or path (default spatial)")
    parser.add_argument("--folder", type=Path, help="where the temporary files go (default the system's)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--separate", nargs=2, metavar=("IN", "DIR"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.separate:
        _separate(arguments.model, *arguments.separate)
        return
    print(f"{_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, ", end="")
    print(f"{arguments.model}, {arguments.rate} Hz stereo\n")
    print("| minutes | windows | peak memory MB | wall / audio | cpu / audio |\n|---:|---:|---:|---:|---:|")
    rows = []
    for minutes in arguments.minutes:
        rows.append(_measure(minutes, arguments))
        print(_LINE.format(**rows[-1]), flush=True)
    peaks = [row["peak_mb"] for row in rows]
    growth = peaks[int(np.argmax(arguments.minutes))] / peaks[int(np.argmin(arguments.minutes))]
    verdict = "met" if growth <= _AIM else "NOT met"
    print(f"\nThe longest file takes {100 * (growth - 1):+.1f} % of the memory of the shortest (aim: +5 %): {verdict}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "growth": growth, "aim_met": growth <= _AIM}, indent=2))


def _measure(minutes: float, arguments: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "recording.wav"
        _write(path, round(60 * minutes * arguments.rate), arguments.rate)
        command = [sys.executable, __file__, "--model", arguments.model, "--separate", str(path), folder]
        search = os.pathsep.join((str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")))
        environment = {**os.environ, "PYTHONPATH": search}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return {"minutes": minutes, **json.loads(done.stdout)}


def _write(path: Path, frames: int, sample_rate: int) -> None:
    """Write noise and two tones that glide through three octaves, one a channel."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", sample_rate, 2, "PCM_16") as file:
        for start in range(0, frames, _BLOCK_FRAMES):
            seconds = np.arange(start, min(start + _BLOCK_FRAMES, frames)) / sample_rate
            tones = np.stack([np.sin(2000.0 * np.sin(0.5 * seconds)), np.sin(900.0 * np.cos(0.7 * seconds))], axis=1)
            file.write(0.3 * tones + rng.normal(0.0, 0.05, tones.shape))


def _separate(model: str, path: str, folder: str) -> None:
    """Be the measured process: separate one file and print what that took."""
    separator = load_separator(model)
    before = time.process_time()
    report = separate_file(separator, path, folder)
    spent = time.process_time() - before
    figures = {
        "windows": report.windows,
        "peak_mb": _peak_bytes() / 1e6,
        "wall_over_audio": report.realtime_factor,
        "cpu_over_audio": spent * report.sample_rate / report.frames,
    }
    print(json.dumps(figures))


def _peak_bytes() -> int:
    """Give the highest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss, which on Linux also counts the process that started this one.
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
