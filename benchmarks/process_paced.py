"""What ``process()`` costs when it is called at the rate of a sound card, and whether results are there in time.

One thread calls ``process`` on an absolute schedule, as a device would, and half a block after each call runs an empty
body on the same schedule: the control, which tells what of all this the machine and the interpreter cause. A row is a
budget for the worker and what else the interpreter does meanwhile: nothing, or a thread that burns Python. The control
lost a period, which is an xrun on any device without further buffers, where the empty body began later than a whole
block. A miss is excused if the control lost a period while the window that it misses was due or under way: within the
budget and four hops before it, three of which the entry gate takes to let separation back in.

    python benchmarks/process_paced.py [--callbacks 10000] [--block 128] [--rate 48000] [--budgets-ms 5 10 20 40]
        [--burn off|on|both] [--switch-interval-ms 5] [--model spatial] [--json FILE]

A row lasts as long as its audio: 27 s with the defaults.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engine import Separator, load_separator
from engine.backends.runtime import ort
from engine.machine import processor_name
from streamer import StemProcessor

_AIM_P99_MS = 0.3
_AIM_BUDGET_MS = 20.0
_HEADER = (
    "| budget ms | beside | process() p50 / p99 / p99.9 / max ms | called late p50 / p99 / max ms "
    "| empty body p99 / max ms | called late p50 / p99 / max ms | lost by the control "
    "| model p50 / p99 / max ms | misses | of them excused | coverage |\n"
    "|---:|---|---|---|---|---|---:|---|---:|---:|---:|"
)


@dataclass(frozen=True)
class Row:
    """One run: every time in milliseconds, as percentiles 50, 99, 99.9 and 100."""

    budget_ms: float
    latency_ms: float
    beside: str
    callbacks: int
    process_ms: tuple[float, ...]
    late_ms: tuple[float, ...]
    empty_ms: tuple[float, ...]
    empty_late_ms: tuple[float, ...]
    lost_share: float
    model_ms: tuple[float, ...]
    misses: int
    excused_misses: int
    coverage: float
    provisional_share: float
    skipped_windows: int
    other_load: float
    """Share of the machine that everything else took, a hypervisor included; NaN where it is not known."""


def main() -> None:
    """Run every row and print the table and the aims."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--callbacks", type=int, default=10_000, help="a row (default 10000)")
    parser.add_argument("--block", type=int, default=128, help="frames a callback (default 128)")
    parser.add_argument("--rate", type=int, default=48_000, help="of the host, in Hz (default 48000)")
    parser.add_argument("--budgets-ms", type=float, nargs="+", default=[5.0, 10.0, 20.0, 40.0], help="for the worker")
    parser.add_argument("--burn", choices=("off", "on", "both"), default="both", help="a thread that burns Python")
    parser.add_argument("--switch-interval-ms", type=float, default=5.0, help="of the interpreter (default 5)")
    parser.add_argument("--model", default="spatial", help="name or path (default spatial)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    arguments = parser.parse_args()
    sys.setswitchinterval(arguments.switch_interval_ms / 1e3)
    print(f"{processor_name()}, {os.cpu_count()} cores; Python {platform.python_version()}, ", end="")
    print(f"NumPy {np.__version__}, ONNX Runtime {ort.__version__}; {arguments.model}, ", end="")
    print(f"blocks of {arguments.block} at {arguments.rate} Hz, {arguments.callbacks} callbacks a row, ", end="")
    print(f"switch interval {1e3 * sys.getswitchinterval():g} ms\n\n{_HEADER}")
    separator = load_separator(arguments.model)
    rows = []
    for burns in {"off": (False,), "on": (True,), "both": (False, True)}[arguments.burn]:
        for budget_ms in arguments.budgets_ms:
            rows.append(_run(separator, arguments, budget_ms, burns))
            print(_line(rows[-1]), flush=True)
    print("\n" + "\n".join(_verdicts(rows)))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=2), encoding="utf-8")


def _run(separator: Separator, arguments: argparse.Namespace, budget_ms: float, burns: bool) -> Row:
    latency_s = _latency_for(separator, arguments, budget_ms / 1e3)
    n, block_s = arguments.callbacks, arguments.block / arguments.rate
    with StemProcessor(separator, latency_s=latency_s, realtime=True) as processor, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the row itself says whether the budget was too small
        processor.prepare(sample_rate=arguments.rate, channels=2, max_block_frames=arguments.block)
        with _burning_python() if burns else nullcontext():
            busy = _busy_s()
            times, misses = _call(processor, _music(arguments.rate), arguments.block, n, block_s)
            # The system counts in hundredths of a second, so what is left of a quiet machine may fall below 0.
            load = max(0.0, (_busy_s() - busy) / (n * block_s * (os.cpu_count() or 1)))
        stats = processor.stats()
    process_s, late_s, empty_s, empty_late_s = times
    lost = np.flatnonzero(empty_late_s > block_s)
    window = (budget_ms / 1e3 + 4 * separator.spec.hop_frames / separator.spec.sample_rate) / block_s
    excused = sum(bool(np.any((lost <= miss) & (lost >= miss - window))) for miss in misses)
    given = stats.final_frames + stats.late_frames + stats.provisional_frames + stats.mixture_frames
    return Row(
        budget_ms=budget_ms,
        latency_ms=1e3 * latency_s,
        beside="burning Python" if burns else "nothing",
        callbacks=n,
        process_ms=_percentiles(process_s),
        late_ms=_percentiles(late_s),
        empty_ms=_percentiles(empty_s),
        empty_late_ms=_percentiles(empty_late_s),
        lost_share=len(lost) / n,
        model_ms=tuple(1e3 * t for t in (stats.compute_p50_s, stats.compute_p99_s, stats.compute_max_s)),
        misses=stats.misses,
        excused_misses=excused,
        coverage=stats.coverage,
        provisional_share=stats.provisional_frames / given,
        skipped_windows=stats.skipped_windows,
        other_load=load,
    )


def _latency_for(separator: Separator, arguments: argparse.Namespace, budget_s: float) -> float:
    """Give the latency that leaves the worker ``budget_s``: what is left out goes to compute."""
    with StemProcessor(separator, realtime=True) as processor, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        processor.prepare(sample_rate=arguments.rate, channels=2, max_block_frames=arguments.block)
        latency = processor.latency
        without = latency.total_frames - latency.compute_frames
        return (without + round(budget_s * arguments.rate)) / arguments.rate


def _call(
    processor: StemProcessor, audio: np.ndarray, block: int, callbacks: int, block_s: float
) -> tuple[np.ndarray, list[int]]:
    """Call ``process`` and the empty body in turn; give their times and latenesses, and which calls were misses."""
    clock = time.perf_counter
    times = np.zeros((4, callbacks))
    misses: list[int] = []
    places = audio.shape[1] // block
    start = clock() + 0.1
    for n in range(callbacks):
        at = n % places * block
        due = start + n * block_s
        begin = _wait_until(due)
        processor.process(audio[:, at : at + block])
        end = clock()
        times[0, n], times[1, n] = end - begin, begin - due
        if len(misses) < processor.misses:
            misses.append(n)
        due += 0.5 * block_s
        # Where process() itself took until after the control was due, that is not the control's own lateness.
        due = max(due, clock())
        begin = _wait_until(due)
        _empty()
        end = clock()
        times[2, n], times[3, n] = end - begin, begin - due
    return times, misses


def _empty() -> None:
    """Do nothing: what a callback costs without ``process``."""


def _wait_until(due: float) -> float:
    """Sleep until then and give the time at which this thread runs again; at once where it is late already."""
    while (left := due - (now := time.perf_counter())) > 0.0:
        time.sleep(left)
    return now


def _music(sample_rate: int) -> np.ndarray:
    """Two seconds of noise and tones, stereo."""
    seconds = np.arange(2 * sample_rate) / sample_rate
    tones = 0.2 * np.sin(2.0 * math.pi * np.array([[110.0], [440.0]]) * seconds)
    noise = np.random.default_rng(0).normal(0.0, 0.05, tones.shape)
    return (tones + noise).astype(np.float32)


@contextmanager
def _burning_python() -> Iterator[None]:
    stop = threading.Event()

    def burn() -> None:
        total = 0
        while not stop.is_set():
            for number in range(1000):
                total += number

    thread = threading.Thread(target=burn)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _busy_s() -> float:
    """Give the processor seconds that all but this process took since the machine started."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return math.nan
    user, nice, system, _idle, _wait, irq, soft, steal = (int(f) / os.sysconf("SC_CLK_TCK") for f in fields)
    return user + nice + system + irq + soft + steal - time.process_time()


def _percentiles(seconds: np.ndarray) -> tuple[float, ...]:
    return tuple(float(v) for v in np.percentile(1e3 * seconds, (50, 99, 99.9, 100)))


def _line(row: Row) -> str:
    def shown(values: tuple[float, ...], *places: int) -> str:
        return " / ".join(f"{values[place]:.3f}" for place in places)

    return (
        f"| {row.budget_ms:g} | {row.beside} | {shown(row.process_ms, 0, 1, 2, 3)} | {shown(row.late_ms, 0, 1, 3)} "
        f"| {shown(row.empty_ms, 1, 3)} | {shown(row.empty_late_ms, 0, 1, 3)} | {row.lost_share:.2%} "
        f"| {shown(row.model_ms, 0, 1, 2)} | {row.misses} | {row.excused_misses} | {row.coverage:.5f} |"
    )


def _verdicts(rows: list[Row]) -> Iterator[str]:
    loads = [row.other_load for row in rows]
    yield f"Other load on the machine, its hypervisor included: {min(loads):.0%} to {max(loads):.0%} of all cores"
    idle = [row.process_ms[1] for row in rows if row.beside == "nothing"]
    if idle:
        verdict = "met" if max(idle) <= _AIM_P99_MS else "NOT met"
        yield f"p99 of process() at most {_AIM_P99_MS} ms idle: {verdict}, {min(idle):.3f} to {max(idle):.3f} ms"
    for beside in dict.fromkeys(row.beside for row in rows):
        ample = [row for row in rows if row.beside == beside and row.budget_ms >= _AIM_BUDGET_MS]
        if ample:
            unexcused = sum(row.misses - row.excused_misses for row in ample)
            calls = sum(row.callbacks for row in ample)
            yield (
                f"no miss that the control does not excuse at {_AIM_BUDGET_MS:g} ms or more, beside {beside}: "
                f"{'NOT met' if unexcused else 'met'}, {unexcused} of {calls} callbacks"
            )


if __name__ == "__main__":
    main()
