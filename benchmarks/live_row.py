"""One row of the table of `live.py`: a session beside a load, as a process of its own that prints what it counted.

    python benchmarks/live_row.py --device loopback --model spatial-low --block 256 --load python

It says ``ready`` on standard error when it plays, and ends with standard input.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import threading

from engine import load_separator
from streamer import LiveSession, StemProcessor

__all__ = ["LOADS"]

LOADS = ("idle", "python", "torch")


def burn_python(end: threading.Event) -> None:
    """Keep the interpreter busy, as a program's own code does."""
    value = 0.0
    while not end.is_set():
        for n in range(1000):
            value = math.sin(value + n)


def burn_torch(end: threading.Event) -> None:
    """Keep two cores busy without the interpreter."""
    from engine.backends.torch_runtime import torch

    torch.set_num_threads(2)
    matrix = torch.rand(512, 512)
    while not end.is_set():
        torch.mm(matrix, matrix)


def main() -> int:
    """Run the session until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", required=True)
    parser.add_argument("--model", default="spatial")
    parser.add_argument("--block", type=int, default=256)
    parser.add_argument("--ring", type=int, help="blocks; left out: the session's own choice")
    parser.add_argument("--engine", default="rtmixer", choices=("rtmixer", "callback"))
    parser.add_argument("--load", default="idle", choices=LOADS)
    arguments = parser.parse_args()
    processor = StemProcessor(load_separator(arguments.model), realtime=True, priority=True)
    end = threading.Event()
    burners = {"idle": None, "python": burn_python, "torch": burn_torch}
    burner = burners[arguments.load]
    with LiveSession(
        processor,
        source=f"mic:{arguments.device}",
        output=arguments.device,
        block_frames=arguments.block,
        ring_blocks=arguments.ring,
        engine=arguments.engine,
        outputs="mix=3,4",
    ) as session:
        thread = threading.Thread(target=burner, args=(end,), daemon=True) if burner is not None else None
        if thread is not None:
            thread.start()
        print("ready", file=sys.stderr, flush=True)
        sys.stdin.read()
        end.set()
        if thread is not None:
            thread.join()
    print(json.dumps(session.stats().as_dict()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
