"""A program: an input and an output in streams of their own, on a device that loops back, and how long a signal takes.

Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

import numpy as np

from streamer.audio.devices import find_device, list_devices
from streamer.audio.stream import StreamFormat
from streamer.audio.two_devices import open_two_clock_stream

RATE, PROBE_FRAMES, FURTHEST_FRAMES = 48_000, 2048, 16_384


def main() -> int:
    """Play, listen and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", required=True)
    parser.add_argument("--engine", default="rtmixer")
    parser.add_argument("--block", type=int, default=512)
    parser.add_argument("--ring", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    block, blocks = arguments.block, round(arguments.seconds * RATE / arguments.block)
    devices = list_devices()
    asked = StreamFormat(
        find_device(devices, arguments.device, "input"),
        find_device(devices, arguments.device, "output"),
        RATE,
        2,
        2,
        block,
        arguments.ring,
    )
    stream = open_two_clock_stream(asked, engine=arguments.engine)
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, (2, blocks * block)).astype(np.float32)
    heard = np.zeros_like(noise)
    skipped = 0
    try:
        stream.start()
        for number in range(blocks):
            skipped += stream.catch_up(RATE // 4)
            while not stream.wait(0.1):
                pass
            place = slice(number * block, (number + 1) * block)
            heard[:, place] = stream.read()
            stream.write(noise[:, place])
    finally:
        stream.close(2.0)
    delays = []
    for begin in range(0, blocks * block - FURTHEST_FRAMES - PROBE_FRAMES, RATE // 8):
        probe = noise[0, begin : begin + PROBE_FRAMES].astype(np.float64)
        match = np.correlate(heard[0, begin : begin + FURTHEST_FRAMES].astype(np.float64), probe, "valid")
        found = int(np.argmax(match))
        delays.append(found if match[found] > 0.5 * (probe @ probe) else -1)
    result = {
        "delays": delays,
        "bridge": stream.bridge_frames,
        "ring": asked.ring_frames,
        "stated": asdict(stream.latency),
        "skipped": skipped,
        "drift": asdict(stream.drift),
        "counters": asdict(stream.counters),
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
