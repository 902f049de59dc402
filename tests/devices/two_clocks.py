"""A program: a stream whose input and output are two devices, and when what somebody plays to the one is heard there.

Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from dataclasses import asdict
from typing import Any

import numpy as np

from streamer.audio.devices import find_device, list_devices
from streamer.audio.portaudio import library
from streamer.audio.stream import StreamFormat
from streamer.audio.two_devices import open_two_clock_stream

RATE, PROBE_FRAMES, STEP_FRAMES, FURTHEST_FRAMES = 48_000, 2048, 12_000, 60_000
BLOCK, RING_BLOCKS, DEVICE_LATENCY_S = 512, 12, 0.05


def main() -> int:
    """Play, listen and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default="rtmixer")
    parser.add_argument("--seconds", type=float, default=6.0)
    arguments = parser.parse_args()
    sounddevice = library()
    total = round(arguments.seconds * RATE)
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, total).astype(np.float32)
    heard = np.zeros_like(noise)
    position, done = 0, threading.Event()

    def other_side(captured: Any, played: Any, frames: int, times: object, flags: object) -> None:
        nonlocal position
        n = min(frames, len(noise) - position)
        played.fill(0.0)
        played[:n] = noise[position : position + n, None]
        heard[position : position + n] = captured[:n, 0]
        position += n
        if not n:
            done.set()

    devices = list_devices()
    asked = StreamFormat(
        find_device(devices, "va_out_monitor", "input"),
        find_device(devices, "va_loop", "output"),
        RATE,
        2,
        2,
        BLOCK,
        RING_BLOCKS,
        DEVICE_LATENCY_S,
    )
    stream = open_two_clock_stream(asked, engine=arguments.engine)
    tells = []
    try:
        with sounddevice.Stream(
            device="va_test", samplerate=RATE, channels=2, blocksize=512, dtype="float32", callback=other_side
        ):
            stream.start()
            while not done.is_set():
                stream.catch_up(RATE // 4)
                if stream.wait(0.1):
                    stream.write(stream.read())
                    tells.append(stream.rendered_frame - stream.captured_frame)
    finally:
        stream.close(2.0)
    delays = []
    for begin in range(2 * RATE, total - FURTHEST_FRAMES, STEP_FRAMES):
        probe = noise[begin : begin + PROBE_FRAMES].astype(np.float64)
        match = np.correlate(heard[begin : begin + FURTHEST_FRAMES].astype(np.float64), probe, "valid")
        place = int(np.argmax(match))
        delays.append(place if match[place] > 0.3 * (probe @ probe) else -1)
    result = {
        "delays": delays,
        "promised": asked.ring_frames + stream.bridge_frames,
        "stated": asdict(stream.latency),
        "told": [min(tells), max(tells)],
        "drift": asdict(stream.drift),
        "counters": asdict(stream.counters),
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
