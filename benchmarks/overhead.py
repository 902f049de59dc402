"""What everything but the network costs: processor time of a live stream of 48 kHz whose model does nothing.

A `StemProcessor` that never waits hears stereo noise in blocks of 512 frames, four stems come out, and the model
between takes no time: its stems are what they were when they were allocated. So what is left is the ring, windows,
conversion between rates, overlap-add, the deadline ladder, the residual and the threads. The figure is the processor
time of the whole process for a second of audio, in percent of one core; the aim is 3 %.

    python benchmarks/overhead.py [--seconds 20] [--rounds 3] [--json FILE]

Each row is measured in processes of their own, in two ways. *Paced* waits for each block as a device would, with the
worker on its own thread: all that a live stream costs, waking up included, less what a loop that does nothing but wait
for its blocks costs; it is the figure that counts. *At once* has the same windows run in turn with the blocks, in
virtual time, and shows which parts of the code the time goes to.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import platform
import pstats
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measured_process import Stopwatch, processor, run_alone

from engine.separator import Runner
from engine.worker import Worker
from streamer.processor import StemProcessor
from streamer.testing import IdentitySeparator, ScriptedWorker, VirtualClock

_HOST_RATE = 48_000
_BLOCK_FRAMES = 512
_AIM_PERCENT = 3.0
_STEMS = {"vocals": 0.25, "drums": 0.25, "bass": 0.25, "other": 0.25}
_SHORT = {"window_frames": 8192, "hop_frames": 2048, "lookahead_frames": 512, "fade_frames": 256}
_LONG = {"window_frames": 261_120, "hop_frames": 65_280, "lookahead_frames": 26_112, "fade_frames": 16_320}
_ROWS = {
    "short windows, equal rates": (48_000, _SHORT),
    "short windows, converted": (44_100, _SHORT),
    "MDX23C's windows, equal rates": (48_000, _LONG),
    "MDX23C's windows, converted": (44_100, _LONG),
}
_PARTS = {
    "worker: overlap-add": ("overlap.py",),
    "worker: to the host's rate and channels": ("host_output.py",),
    "worker: windows cut": ("model_input.py",),
    "worker: not finite?": ("stream.py", "store"),
    "blocks: deadline ladder": ("timeline.py",),
    "blocks: stems and residual": ("assembler.py",),
    "blocks: taken and checked": ("block_input.py",),
}


class Free(IdentitySeparator):
    """A model that does nothing."""

    def runner(self, batch_size: int, window_frames: int) -> Runner:
        """Allocate rows that stay as they are."""
        return _FreeRunner(self, batch_size, window_frames)


class _FreeRunner(Runner):
    def run(self, n: int) -> None:
        """Do nothing."""


def main() -> None:
    """Measure every row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of audio a measurement (default 20)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements a row; the median counts (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--measure", nargs=2, metavar=("ROW", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        row, way = arguments.measure
        print(json.dumps(_MEASURES[way](row, arguments.seconds)))
        return
    print(
        f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, NumPy {np.__version__}; ", end=""
    )
    print(f"{arguments.seconds:g} s of audio, blocks of {_BLOCK_FRAMES} at {_HOST_RATE} Hz, four stems\n")
    waits = [
        run_alone(__file__, "--seconds", arguments.seconds, "--measure", "", "waiting") for _ in range(arguments.rounds)
    ]
    waiting = statistics.median(each["percent"] for each in waits)
    print(f"A loop that waits for its blocks takes {waiting:.2f} % of one core, which is taken off below.\n")
    print("| model | paced % of one core | at once % | misses | others' load |\n|---|---:|---:|---:|---:|")
    figures: dict[str, Any] = {}
    verdicts: dict[str, str] = {}
    for row in _ROWS:
        rounds = [
            {way: run_alone(__file__, "--seconds", arguments.seconds, "--measure", row, way) for way in _WAYS[:-1]}
            for _ in range(arguments.rounds)
        ]
        figures[row] = rounds
        paced, at_once = (statistics.median(each[way]["percent"] for each in rounds) for way in ("paced", "at once"))
        paced -= waiting
        misses = sum(each["paced"]["misses"] for each in rounds)
        others = max(each["paced"]["others"] for each in rounds)
        print(f"| {row} | {paced:.2f} | {at_once:.2f} | {misses} | {100 * others:.0f} % |", flush=True)
        verdicts[row] = "met" if paced <= _AIM_PERCENT else "NOT met"
    told = ", ".join(f"{row} {verdict}" for row, verdict in verdicts.items())
    print(f"\n- At most {_AIM_PERCENT:g} % of one core: {told}")
    print("- Where it goes, in percent of the time at once:\n")
    print("| model | " + " | ".join(_PARTS) + " |\n|---|" + "---:|" * len(_PARTS))
    for row, rounds in figures.items():
        parts = rounds[-1]["profile"]["parts"]
        print(f"| {row} | " + " | ".join(f"{100 * parts[name]:.0f}" for name in _PARTS) + " |")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


def _prepared(row: str, worker: Any, **settings: Any) -> StemProcessor:
    rate, lengths = _ROWS[row]
    model = Free(_STEMS, sample_rate=rate, **lengths)
    stream = StemProcessor(model, realtime=True, worker=worker, **settings)
    return stream.prepare(sample_rate=_HOST_RATE, channels=2, max_block_frames=_BLOCK_FRAMES, fixed_blocks=True)


def _blocks(seconds: float) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], int]:
    block = np.random.default_rng(0).uniform(-0.5, 0.5, (2, _BLOCK_FRAMES)).astype(np.float32)
    return block, np.zeros((4, 2, _BLOCK_FRAMES), np.float32), int(seconds * _HOST_RATE / _BLOCK_FRAMES)


def _waiting(_: str, seconds: float) -> dict[str, Any]:
    *_, count = _blocks(seconds)
    watch = Stopwatch()
    _pace(count, lambda: None)
    return {"percent": 100 * watch.read()["cpu_s"] / seconds}


def _pace(count: int, take_block: Callable[[], object]) -> None:
    begin = time.perf_counter()
    for number in range(count):
        take_block()
        time.sleep(max(0.0, begin + (number + 1) * _BLOCK_FRAMES / _HOST_RATE - time.perf_counter()))


def _paced(row: str, seconds: float) -> dict[str, Any]:
    block, out, count = _blocks(seconds)
    with _prepared(row, Worker()) as stream:
        watch = Stopwatch()
        _pace(count, lambda: stream.process(block, out))
        taken = watch.read()
        return {"percent": 100 * taken["cpu_s"] / seconds, "others": taken["others"], "misses": stream.misses}


def _play_at_once(row: str, seconds: float) -> float:
    block, out, count = _blocks(seconds)
    clock = VirtualClock(_HOST_RATE)
    with _prepared(row, ScriptedWorker(clock), clock=clock) as stream:
        begin = time.process_time()
        for _ in range(count):
            clock.advance(_BLOCK_FRAMES)
            stream.process(block, out)
        return time.process_time() - begin


def _at_once(row: str, seconds: float) -> dict[str, Any]:
    return {"percent": 100 * _play_at_once(row, seconds) / seconds}


def _profiled(row: str, seconds: float) -> dict[str, Any]:
    profile = cProfile.Profile(time.process_time)
    profile.runcall(_play_at_once, row, seconds)
    entries = pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    total = sum(own for _, (_, _, own, _, _) in entries)
    parts = {}
    for name, (file, *function) in _PARTS.items():
        # Of what a module's public functions take, all that they call included; of those that call one another, the
        # outermost.
        times = [
            cumulative
            for (path, _, called), (_, _, _, cumulative, callers) in entries
            if path.endswith(file)
            and (not function or called in function)
            and not any(caller[0].endswith(file) for caller in callers)
        ]
        parts[name] = sum(times) / total
    return {"parts": parts}


_MEASURES = {"paced": _paced, "at once": _at_once, "profile": _profiled, "waiting": _waiting}
_WAYS = tuple(_MEASURES)

if __name__ == "__main__":
    main()
