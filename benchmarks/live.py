"""Live sound measured on a device that loops back: latency, lost frames and coverage, idle and beside other work.

    .ci/virtual-audio start jack && eval "$(.ci/virtual-audio env)"
    python benchmarks/live.py --device loopback

Each row is a session in a process of its own. Another process plays a composed song to it and records both sides, with
a counter that tells where that process or the server lost frames themselves (`other_side.py`); what the session lost is
counted apart. Latency is found by correlation, second by second, and compared with the promise. With ``--server`` the
JACK dummy server is started anew for each length of block, at that period.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.live_row import LOADS
from benchmarks.other_side import F32, jumps_of
from streamer.cli.machine import describe_machine
from streamer.song import compose_song

__all__ = ["Row", "evaluate"]

RATE = 48_000
ROOT = Path(__file__).parents[1]
_FURTHEST_FRAMES = 24_000
_PROBE_FRAMES = 4096
_SONG_S = 20.0


@dataclass(frozen=True)
class Row:
    """What one session had.

    Attributes
    ----------
    model, engine, load : str
    block_frames : int
    promised_ms : float
        From end to end, as the session says.
    measured_ms : float
        Median of the seconds, by correlation.
    is_exact : bool
        Every second in which a place was found had the promised one, to the frame.
    glitches_per_min, lost_frames_per_min : float
        Of the session: stretches that do not equal what it heard, and their frames, where the counter is whole.
    server_jumps_per_min : float
        Of the counter.
    xruns : int
        As the session counts them.
    coverage : float
    p99_ms, hop_ms : float
        Of the model.
    seconds : float
    """

    model: str
    engine: str
    load: str
    block_frames: int
    promised_ms: float
    measured_ms: float
    is_exact: bool
    glitches_per_min: float
    lost_frames_per_min: float
    server_jumps_per_min: float
    xruns: int
    coverage: float
    p99_ms: float
    hop_ms: float
    seconds: float


def evaluate(heard: F32, report: dict[str, Any], *, model: str, engine: str, load: str, block_frames: int) -> Row:
    """Compare both sides of a session, shape (channels, frames): 1 and 2 what it heard, 3 and 4 what it played."""
    total = report["latency"]["total_frames"]
    played, returned = heard[:2, :-total], heard[2:4, total:]
    wrong = np.abs(returned - played).max(axis=0) > 1e-6
    jumps = jumps_of(heard[-1])
    for place in jumps:
        # Wherever this recording lost frames, both sides lie wrong beside each other for as long as the way takes.
        wrong[max(0, place - 2 * total) : place + 1] = False
    edges = np.flatnonzero(np.diff(wrong.astype(np.int8), prepend=0) == 1)
    # Frames that are the same by chance do not end a glitch.
    glitches = 1 + np.count_nonzero(np.diff(edges) > RATE // 100) if len(edges) else 0
    minutes = played.shape[1] / RATE / 60
    delays = [d for d in _delays(heard) if d >= 0]
    return Row(
        model=model,
        engine=engine,
        load=load,
        block_frames=block_frames,
        promised_ms=1000 * total / RATE,
        measured_ms=1000 * float(np.median(delays)) / RATE if delays else float("nan"),
        is_exact=bool(delays) and set(delays) == {total},
        glitches_per_min=glitches / minutes,
        lost_frames_per_min=float(np.count_nonzero(wrong)) / minutes,
        server_jumps_per_min=len(jumps) / minutes,
        xruns=report["xruns"],
        coverage=report["counters"]["coverage"],
        p99_ms=1000 * report["counters"]["compute_p99_s"],
        hop_ms=1000 * report["hop_s"],
        seconds=played.shape[1] / RATE,
    )


def _delays(heard: F32) -> Iterator[int]:
    """Find, second by second, how much later a piece comes back; -1 where it does not."""
    for begin in range(0, heard.shape[1] - _PROBE_FRAMES - _FURTHEST_FRAMES, RATE):
        probe = heard[0, begin : begin + _PROBE_FRAMES].astype(np.float64)
        spot = heard[2, begin : begin + _PROBE_FRAMES + _FURTHEST_FRAMES].astype(np.float64)
        sums = np.cumsum(np.concatenate([[0.0], spot**2]))
        # A louder place that is alike must not win over the one that is the same.
        energy = np.sqrt(np.maximum((sums[_PROBE_FRAMES:] - sums[:-_PROBE_FRAMES]) * (probe @ probe), 1e-6))
        likeness = np.correlate(spot, probe, "valid") / energy
        place = int(np.argmax(likeness))
        yield place if likeness[place] > 0.99 else -1


@contextmanager
def server_at(period: int | None) -> Iterator[dict[str, str]]:
    """Start a JACK server of this period, and give the environment of its clients; without one, nothing is started."""
    if period is None:
        yield dict(os.environ)
        return
    with tempfile.TemporaryDirectory() as folder:
        script, settings = ROOT / ".ci" / "virtual-audio", {"VA_DIR": folder, "VA_PERIOD": str(period)}
        environment = {**os.environ, **settings}
        said = subprocess.run([script, "start", "jack"], env=environment, capture_output=True, text=True, check=True)
        try:
            yield {**os.environ, **dict(re.findall(r"(\w+)=(\S+)", said.stdout))}
        finally:
            subprocess.run([script, "stop"], env=environment, check=True)


def measure(
    environment: dict[str, str],
    song: Path,
    device: str,
    seconds: float,
    *,
    model: str,
    engine: str,
    load: str,
    block: int,
) -> Row:
    """Run one session and its other side."""
    environment = {**environment, "PYTHONPATH": str(ROOT)}
    options = {"--device": device, "--model": model, "--engine": engine, "--load": load, "--block": str(block)}
    session = subprocess.Popen(
        [sys.executable, ROOT / "benchmarks" / "live_row.py", *(part for pair in options.items() for part in pair)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert session.stderr is not None
    while (line := session.stderr.readline()).strip() != "ready":
        assert line, "the session ended before it began"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "heard.npy"
        command = [sys.executable, ROOT / "benchmarks" / "other_side.py", "--device", device, "--sound", song]
        options = ["--seconds", str(seconds + 1), "--out", out]
        subprocess.run([*command, *options], env=environment, check=True, stdout=subprocess.DEVNULL)
        # What the session began with is not what it does.
        heard = np.load(out)[:, RATE:]
    said, _ = session.communicate("")
    report: dict[str, Any] = json.loads(said)
    return evaluate(heard, report, model=model, engine=engine, load=load, block_frames=block)


def print_row(row: Row) -> None:
    """Print a line of the table."""
    exact = "exact" if row.is_exact else f"{row.measured_ms:.1f}"
    print(
        f"| {row.model} | {row.block_frames} | {row.engine} | {row.load} | {row.promised_ms:.1f} | {exact} "
        f"| {row.glitches_per_min:.1f} | {row.lost_frames_per_min:.0f} | {row.server_jumps_per_min:.1f} | {row.xruns} "
        f"| {100 * row.coverage:.2f} | {row.p99_ms:.1f} of {row.hop_ms:.1f} |",
        flush=True,
    )


def main() -> int:
    """Measure the rows that are asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="loopback", help="with eight channels that loop back")
    parser.add_argument("--server", action="store_true", help="start a JACK dummy server for each length of block")
    parser.add_argument("--blocks", type=int, nargs="+", default=[64, 128, 256, 512, 1024])
    parser.add_argument("--models", nargs="+", default=["spatial-low", "spatial"])
    parser.add_argument("--engines", nargs="+", default=["rtmixer", "callback"])
    parser.add_argument("--loads", nargs="+", default=list(LOADS), choices=LOADS)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path, help="also write every row here")
    arguments = parser.parse_args()
    print(describe_machine(), file=sys.stderr)
    print("| model | block | callback | beside | promised ms | measured | glitches/min | lost frames/min ", end="")
    print("| server jumps/min | xruns | coverage % | model p99 ms |")
    print("|---|---:|---|---|---:|---:|---:|---:|---:|---:|---:|---|", flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "song.npy"
        np.save(song, 0.7 * compose_song(_SONG_S, sample_rate=RATE).mixture.astype(np.float32))
        for block in arguments.blocks:
            with server_at(block if arguments.server else None) as environment:
                for model in arguments.models:
                    for engine in arguments.engines:
                        for load in arguments.loads:
                            row = measure(
                                *(environment, song, arguments.device, arguments.seconds),
                                **{"model": model, "engine": engine, "load": load, "block": block},
                            )
                            print_row(row)
                            rows.append(asdict(row))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"machine": describe_machine(), "rows": rows}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
