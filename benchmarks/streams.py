"""Live streams side by side: sharing one worker, each with a worker of its own, or one alone with more threads.

Each row is a process of its own in which one loop, paced by the clock, gives a block of 256 frames at 44.1 kHz to every
stream. The streams begin apart, so that their windows fall due one after the other, as those of strangers would. A
shared worker takes batches of as many windows as there are streams: what is due at that moment runs together, and a
window waits for others only where the warm-up has shown that this saves time. Stems are thrown away.

    python benchmarks/streams.py [--streams 1 2 4 8] [--seconds 20] [--latency-s 4] [--json FILE]
    python benchmarks/streams.py --full-size --device cuda --precision bf16 [--streams 1 4 8] [--seconds 60]

The models are ``spatial``, a step of half a millisecond every 11.6 ms, and a random MDX23C network of 0.15 million
parameters, a run every 1.5 s. *Compute* is the processor time of the whole process, in percent of one core, and *a run*
the median time of one, whatever the number of its windows.

With ``--full-size`` the model is a network as large as the public ones, all streams share one worker, and what counts
is how busy it is, cutting windows, running them and adding them up: the aim on a GPU is 8 streams for what 4 cost one
by one.
"""

from __future__ import annotations

import argparse
import json
import math
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
from file_pipeline import WatchedWorker
from measured_process import Stopwatch, processor, run_alone

from engine import Compute, load_separator
from engine.separator import Separator
from streamer.processor import StemProcessor

_RATE = 44_100
_BLOCK_FRAMES = 256
_MODELS = {"spatial": 0.05, "small MDX23C": None}
"""Latency of each, in seconds; None for what ``--latency-s`` says."""
_AIM = 4.0
_LINE = (
    "| {model} | {streams} | {workers} | {threads} | {coverage:.4f} | {misses} | {percent:.1f} "
    "| {run_ms:.2f} | {batches} | {others:.0f} % |"
)


def main() -> None:
    """Measure every row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 2, 4, 8], help="how many (default 1 2 4 8)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of audio a row (default 20)")
    parser.add_argument("--latency-s", type=float, default=4.0, help="of the MDX23C network (default 4)")
    parser.add_argument("--full-size", action="store_true", help="one network as large as the public ones")
    parser.add_argument("--device", default="cpu", help="where the MDX23C network runs (default cpu)")
    parser.add_argument("--precision", default="fp32", help="what it reckons with (default fp32)")
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
        checkpoint = _save_network(Path(folder), is_full_size=arguments.full_size)
        models = {"full-size MDX23C": None} if arguments.full_size else _MODELS
        for model, latency_s in models.items():
            path = model if model == "spatial" else str(checkpoint)
            has_more = model != "spatial" and not arguments.full_size
            more = [(1, "shared", n) for n in range(2, (os.cpu_count() or 1) + 1)] if has_more else []
            kinds = ("shared",) if arguments.full_size else ("shared", "own")
            ways = [(n, workers, 1) for n in arguments.streams for workers in kinds]
            for streams, workers, threads in ways + more:
                asked = {"path": path, "streams": streams, "workers": workers, "threads": threads}
                if model != "spatial":
                    asked |= {"device": arguments.device, "precision": arguments.precision}
                asked["latency_s"] = arguments.latency_s if latency_s is None else latency_s
                figures = run_alone(__file__, "--seconds", arguments.seconds, "--measure", json.dumps(asked))
                rows.append({**asked, **figures, "model": model})
                print(_LINE.format(**{**rows[-1], "others": 100 * figures["others"]}), flush=True)
    if arguments.full_size:
        _tell_busy({row["streams"]: row["busy"] for row in rows})
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


def _tell_busy(busy: dict[int, float]) -> None:
    shares = ", ".join(f"{100 * share:.2f} % for {streams}" for streams, share in busy.items())
    print(f"\n- The worker is busy by number of streams: {shares}")
    if {1, 8} <= busy.keys():
        ratio = busy[8] / busy[1]
        print(f"- 8 streams take {ratio:.2f} times what one takes (aim on a GPU: at most {_AIM:g}): ", end="")
        print("met" if ratio <= _AIM else "NOT met")


def _save_network(folder: Path, *, is_full_size: bool) -> Path:
    from mdx23c_random import FULL, SMALL, save_random

    checkpoint, _ = save_random(FULL if is_full_size else SMALL, folder)
    return checkpoint


def _load(path: str, threads: int, device: str, precision: str) -> Separator:
    if path == "spatial":
        return load_separator(path, threads=threads)
    return load_separator(path, threads=threads, compute=Compute(device, "torch", precision))


def _measure(
    *,
    path: str,
    streams: int,
    workers: str,
    threads: int,
    latency_s: float,
    seconds: float,
    device: str = "cpu",
    precision: str = "fp32",
) -> dict[str, Any]:
    model = _load(path, threads, device, precision)
    shared = WatchedWorker(streams) if workers == "shared" else None
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
        busy_s = shared.busy_s if shared is not None else math.nan
        watch, begin = Stopwatch(), time.perf_counter()
        for number in range(int(seconds * _RATE / _BLOCK_FRAMES)):
            for place, stream in enumerate(playing):
                if number >= place * hop_blocks // streams:
                    stream.process(block, out)
            time.sleep(max(0.0, begin + (number + 1) * _BLOCK_FRAMES / _RATE - time.perf_counter()))
        taken = watch.read()
        busy_s = (shared.busy_s if shared is not None else math.nan) - busy_s
        stats = [stream.stats() for stream in playing]
        batches = shared.runs_by_rows if shared is not None else {1: sum(each.windows for each in stats)}
    return {
        "coverage": min(each.coverage for each in stats),
        "misses": sum(each.misses for each in stats),
        "percent": 100 * taken["cpu_s"] / taken["seconds"],
        "busy": busy_s / taken["seconds"],
        "run_ms": 1000 * statistics.median(each.compute_p50_s for each in stats),
        "batches": ", ".join(f"{rows}: {runs}" for rows, runs in sorted(batches.items())),
        "others": taken["others"],
    }


if __name__ == "__main__":
    main()
