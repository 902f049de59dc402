"""Files read and written beside the model, against the same in turn: ``separate_file(pipelined=True)`` and ``False``.

A song of the demonstration is separated by three models: ``spatial``, whose short steps leave the interpreter no rest;
a random MDX23C network of 0.15 million parameters; and one that stands for a fast device, which keeps its thread
waiting for a sixtieth of the audio's length and the processor free. Once at the model's rate from wav to wav, and once
at 48 kHz from flac to flac, which is converted there and back. Pairs are interleaved in one process, the median of
their ratios counts, and the files are compared byte by byte. *Idle* is the share of the time in which the worker had no
window to cut, run or add up.

    python benchmarks/file_pipeline.py [--seconds 60] [--pairs 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from mdx23c_random import SMALL, save_random
from measured_process import Stopwatch, processor

from engine import load_separator
from engine.file_separation import separate_file
from engine.separator import Runner, Separator
from engine.worker import Worker
from streamer.song import compose_song
from streamer.testing import IdentitySeparator

_TIMES_REAL_TIME = 60.0
_STEMS = {"vocals": 0.25, "drums": 0.25, "bass": 0.25, "other": 0.25}
_FILES = {"44.1 kHz, wav to wav": (44_100, "wav"), "48 kHz, flac to flac": (48_000, "flac")}


class FastDevice(IdentitySeparator):
    """A model whose run is waited for, as for a device of its own."""

    def __init__(self) -> None:
        super().__init__(_STEMS, window_frames=261_120, hop_frames=130_560, lookahead_frames=0, fade_frames=26_112)

    def runner(self, batch_size: int, window_frames: int) -> Runner:
        """Allocate rows whose stems are the window."""
        return _WaitingRunner(self, batch_size, window_frames)


class _WaitingRunner(Runner):
    def run(self, n: int) -> None:
        """Wait."""
        time.sleep(n * 130_560 / 44_100 / _TIMES_REAL_TIME)


class WatchedWorker(Worker):
    """A worker that knows how long it was at work."""

    busy_s = 0.0

    def _gather(self) -> Any:
        begin = time.perf_counter()
        batch = super()._gather()
        self.busy_s += time.perf_counter() - begin if batch else 0.0
        return batch

    def _run(self, *arguments: Any) -> None:
        begin = time.perf_counter()
        super()._run(*arguments)
        self.busy_s += time.perf_counter() - begin


def main() -> None:
    """Measure every row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of audio (default 60)")
    parser.add_argument("--pairs", type=int, default=3, help="interleaved pairs a row (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    print(
        f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, NumPy {np.__version__}; ", end=""
    )
    print(f"{arguments.seconds:g} s of audio, {arguments.pairs} pairs\n")
    print("| model | files | in turn s | beside s | times as fast | idle in turn | idle beside | others' load |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint, config = save_random(SMALL, folder)
        models = {
            "spatial": load_separator("spatial"),
            "small MDX23C": load_separator(checkpoint, config=config, threads=1),
            "fast device": FastDevice(),
        }
        for files, (rate, ext) in _FILES.items():
            song = compose_song(arguments.seconds, sample_rate=rate)
            path = folder / f"song.{ext}"
            soundfile.write(path, song.mixture.T, rate, "PCM_24")
            for model, separator in models.items():
                row = _compare(separator, path, folder, ext, arguments.pairs)
                rows.append({"model": model, "files": files, **row})
                print(
                    "| {model} | {files} | {in_turn_s:.2f} | {beside_s:.2f} | {ratio:.2f} | {idle_in_turn:.0%} "
                    "| {idle_beside:.0%} | {others:.0%} |".format(**rows[-1]),
                    flush=True,
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


def _compare(separator: Separator, path: Path, folder: Path, ext: str, pairs: int) -> dict[str, Any]:
    _separate(separator, path, folder / "warm-up", ext, pipelined=True)
    watch = Stopwatch()
    measured = [
        {way: _separate(separator, path, folder / way, ext, pipelined=way == "beside") for way in order}
        for order in (("in turn", "beside")[:: 1 - 2 * (n % 2)] for n in range(pairs))
    ]
    one, other = (
        {stem.name: stem.read_bytes() for stem in (folder / way).rglob(f"*.{ext}")} for way in ("in turn", "beside")
    )
    assert one, "no stems were written"
    assert one == other, "the files differ"
    return {
        "in_turn_s": statistics.median(each["in turn"][0] for each in measured),
        "beside_s": statistics.median(each["beside"][0] for each in measured),
        "ratio": statistics.median(each["in turn"][0] / each["beside"][0] for each in measured),
        "idle_in_turn": statistics.median(each["in turn"][1] for each in measured),
        "idle_beside": statistics.median(each["beside"][1] for each in measured),
        "others": watch.read()["others"],
        "pairs": measured,
    }


def _separate(separator: Separator, path: Path, folder: Path, ext: str, *, pipelined: bool) -> tuple[float, float]:
    """Give the seconds that it took, and the share of them in which the worker was idle."""
    worker = WatchedWorker()
    begin = time.perf_counter()
    separate_file(separator, path, folder, ext=ext, worker=worker, pipelined=pipelined)
    seconds = time.perf_counter() - begin
    return seconds, 1 - worker.busy_s / seconds


if __name__ == "__main__":
    main()
