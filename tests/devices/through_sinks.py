"""A program: a live session listens to what is played to one sink and plays it to another, heard by somebody else.

Prints where a known signal, played to the first sink, was heard at the second, over three seconds.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import numpy as np

from streamer import LiveSession, StemProcessor
from streamer.audio.portaudio import library
from streamer.testing import IdentitySeparator

RATE, PROBE_FRAMES, STEP_FRAMES = 48_000, 2048, 24_000


def main() -> int:
    """Play, listen and print."""
    sounddevice = library()
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, 4 * RATE).astype(np.float32)
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

    processor = StemProcessor(IdentitySeparator(sample_rate=RATE), realtime=True)
    session = LiveSession(
        processor, source="loopback:va_out", output="va_loop", sample_rate=RATE, ring_blocks=8, block_frames=512
    )
    with (
        session,
        sounddevice.Stream(
            device="va_test", samplerate=RATE, channels=2, blocksize=512, dtype="float32", callback=other_side
        ),
    ):
        done.wait(20.0)
    delays = []
    for begin in range(RATE, 3 * RATE, STEP_FRAMES):
        probe = noise[begin : begin + PROBE_FRAMES].astype(np.float64)
        match = np.correlate(heard[begin : begin + STEP_FRAMES].astype(np.float64), probe, "valid")
        place = int(np.argmax(match))
        delays.append(place if match[place] > 0.3 * (probe @ probe) else -1)
    stats = session.stats().as_dict()
    print(json.dumps({"delays": delays, "stats": stats, "promised": session.latency.total_frames}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
