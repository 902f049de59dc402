"""Live streams side by side: sharing one worker, each with a worker of its own, or one alone with more threads.

Each row is a process of its own in which one loop, paced by the clock, gives a block of 256 frames at 44.1 kHz to every
stream. The streams begin apart, so that their windows fall due one after the other, as those of strangers would. A
shared worker takes batches of as many windows as there are streams: what is due at that moment runs together, and a
window waits for others only where the warm-up has shown that this saves time. Stems are thrown away.

    python benchmarks/streams.py [--streams 1 2 4 8] [--seconds 20] [--latency-s 4] [--json FILE]

The models are ``spatial``, a step of half a millisecond every 11.6 ms, and a random MDX23C network of 0.15 million
parameters, a run every 1.5 s. *Compute* is the processor time of the whole process, in percent of one core, and *a run*
the median time of one, whatever the number of its windows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from measured_process import Stopwatch, processor, run_alone

from engine import load_separator
from engine.separator import Separator
from engine.worker import Worker
from streamer.processor import StemProcessor

_RATE = 44_100
_BLOCK_FRAMES = 256
_MODELS = {"spatial": 0.05, "small MDX23C": None}
"""Latency of each, in seconds; None for what ``--latency-s`` says."""
_LINE = (
    "| {model} | {streams} | {workers} | {threads} | {coverage:.4f} | {misses} | {percent:.1f} | {run_ms:.2f} "
    "| {batches} | {others:.0f} % |"
)


def main() -> None:
    """Measure every row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 2, 4, 8], help="how many (default 1 2 4 8)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of audio a row (default 20)")
    parser.add_argument("--latency-s", type=float, default=4.0, help="of the MDX23C network (default 4)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--measure", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(_measure(seconds=arguments.seconds, **arguments.measure)))
        return
    print(
        f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, NumPy {np.__version__}; ", end=""
    )
    print(f"{arguments.seconds:g} s of audio a row, blocks of {_BLOCK_FRAMES} at {_RATE} Hz\n")
    print(
        "| model | streams | workers | threads a run | coverage | misses | compute % | a run ms | runs by windows | ",
        end="",
    )
    print("others' load |\n|---|---:|---|---:|---:|---:|---:|---:|---|---:|")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = _save_network(Path(folder))
        for model, latency_s in _MODELS.items():
            path = model if model == "spatial" else str(checkpoint)
            more = [] if model == "spatial" else [(1, "shared", n) for n in range(2, (os.cpu_count() or 1) + 1)]
            ways = [(n, workers, 1) for n in arguments.streams for workers in ("shared", "own")]
            for streams, workers, threads in ways + more:
                asked = {"path": path, "streams": streams, "workers": workers, "threads": threads}
                asked["latency_s"] = arguments.latency_s if latency_s is None else latency_s
                figures = run_alone(__file__, "--seconds", arguments.seconds, "--measure", json.dumps(asked))
                rows.append({**asked, **figures, "model": model})
                print(_LINE.format(**{**rows[-1], "others": 100 * figures["others"]}), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


def _save_network(folder: Path) -> Path:
    from mdx23c_random import SMALL, save_random

    checkpoint, _ = save_random(SMALL, folder)
    return checkpoint


def _load(path: str, threads: int) -> Separator:
    return load_separator(path, threads=threads)


def _measure(
    *, path: str, streams: int, workers: str, threads: int, latency_s: float, seconds: float
) -> dict[str, Any]:
    model = _load(path, threads)
    shared = Worker(streams) if workers == "shared" else None
    block = np.random.default_rng(0).uniform(-0.5, 0.5, (2, _BLOCK_FRAMES)).astype(np.float32)
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        playing = []
        for _ in range(streams):
            stream = StemProcessor(model, realtime=True, latency_s=latency_s, worker=shared)
            stream.prepare(sample_rate=_RATE, channels=2, max_block_frames=_BLOCK_FRAMES, fixed_blocks=True)
            stack.callback(stream.release)
            playing.append(stream)
        out = np.zeros((len(playing[0].stems), 2, _BLOCK_FRAMES), np.float32)
        hop_blocks = max(1, playing[0].plan.hop_frames // _BLOCK_FRAMES)
        watch, begin = Stopwatch(), time.perf_counter()
        for number in range(int(seconds * _RATE / _BLOCK_FRAMES)):
            for place, stream in enumerate(playing):
                if number >= place * hop_blocks // streams:
                    stream.process(block, out)
            time.sleep(max(0.0, begin + (number + 1) * _BLOCK_FRAMES / _RATE - time.perf_counter()))
        taken = watch.read()
        stats = [stream.stats() for stream in playing]
        batches = shared.runs_by_rows if shared is not None else {1: sum(each.windows for each in stats)}
    return {
        "coverage": min(each.coverage for each in stats),
        "misses": sum(each.misses for each in stats),
        "percent": 100 * taken["cpu_s"] / taken["seconds"],
        "run_ms": 1000 * statistics.median(each.compute_p50_s for each in stats),
        "batches": ", ".join(f"{rows}: {runs}" for rows, runs in sorted(batches.items())),
        "others": taken["others"],
    }


if __name__ == "__main__":
    main()
