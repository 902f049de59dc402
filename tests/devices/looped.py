"""A program: a live session on a device that loops back, and what became of a known signal on its way around.

The processor hears the signal in place of the device's sound, and the device's sound is kept: what was given to the
processor as frame n has to come back as frame n + promised. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import DeviceLostError
from engine.separator import StateArrays
from streamer import LiveSession, StemProcessor
from streamer.testing import IdentitySeparator

F32 = npt.NDArray[np.float32]
PIECE_S, PROBE_FRAMES, FURTHEST_FRAMES = 0.25, 2048, 16_384


class Stalling(IdentitySeparator):
    """A model that stops for some time at one moment."""

    def __init__(self, stall_s: float) -> None:
        super().__init__(sample_rate=48_000)
        self.stall_s = stall_s
        self.is_due = threading.Event()

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        if self.is_due.is_set():
            self.is_due.clear()
            time.sleep(self.stall_s)
        return super().process(windows, states)


class Injected(StemProcessor):
    """Gives the stems of a known signal, and keeps what the device brought and where blocks were missed."""

    def __init__(self, signal: F32, hold_s: float, separator: Stalling) -> None:
        super().__init__(separator, realtime=True)
        self.missed: list[int] = []
        self._misses = 0
        self._separator_of_test = separator
        self.signal = signal
        self.heard = np.zeros_like(signal)
        self.frames, self.began_s = 0, 0.0
        self._hold_s = hold_s

    def process(self, block: npt.NDArray[Any], out: F32 | None = None) -> F32:
        begin, end = self.frames, self.frames + block.shape[1]
        self.frames = end
        if begin == 0:
            self.began_s = time.monotonic()
        self.heard[:, begin:end] = block
        if self._hold_s and begin <= 48_000 < end:
            time.sleep(self._hold_s)
        if self._separator_of_test.stall_s and begin <= 48_000 < end:
            self._separator_of_test.is_due.set()
        stems = super().process(self.signal[:, begin:end], out)
        if self.misses > self._misses:
            self._misses = self.misses
            self.missed.append(begin)
        return stems


def burn(end: threading.Event) -> None:
    """Keep the interpreter busy."""
    value = 0
    while not end.is_set():
        for n in range(1000):
            value ^= n


def pieces(processor: Injected, promised: int) -> list[dict[str, int]]:
    """Tell of each piece of the signal when it came back, -1 for never, and how many of its frames are wrong then."""
    sent, heard, gain = processor.signal[0], processor.heard[0], 1.0
    length = round(PIECE_S * 48_000)
    found = []
    for begin in range(0, processor.frames - length - FURTHEST_FRAMES, length):
        probe = sent[begin : begin + PROBE_FRAMES].astype(np.float64)
        spot = heard[begin : begin + PROBE_FRAMES + FURTHEST_FRAMES].astype(np.float64)
        match = np.correlate(spot, probe, "valid")
        delay = int(np.argmax(match))
        gain = match[delay] / (probe @ probe)
        wrong = np.abs(heard[begin + promised : begin + promised + length] - sent[begin : begin + length]) > 1e-6
        found.append({"delay": delay if gain > 0.3 else -1, "wrong": int(wrong.sum()), "gain": round(1000 * gain)})
    return found


def main() -> int:
    """Run the session and print what came back."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", required=True)
    parser.add_argument("--block", type=int, default=256)
    parser.add_argument("--ring", type=int)
    parser.add_argument("--engine", default="rtmixer")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--mute")
    parser.add_argument("--hold", type=float, default=0.0)
    parser.add_argument("--stall", type=float, default=0.0, help="seconds for which the model stops, after one second")
    parser.add_argument("--burn", type=int, default=0, help="threads that keep the interpreter busy")
    parser.add_argument("--kill", type=Path, help="file with the number of the server's process, to be killed")
    parser.add_argument("--restart", type=Path, help="script that starts it again")
    arguments = parser.parse_args()
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, (2, 48_000 * 30))
    processor = Injected(noise.astype(np.float32), arguments.hold, Stalling(arguments.stall))
    session = LiveSession(
        processor,
        source=f"mic:{arguments.device}",
        output=arguments.device,
        sample_rate=48_000,
        block_frames=arguments.block,
        ring_blocks=arguments.ring,
        engine=arguments.engine,
    )
    lost = ""
    end = threading.Event()
    for _ in range(arguments.burn):
        threading.Thread(target=burn, args=(end,), daemon=True).start()
    with session:
        if arguments.mute:
            session.mixer[arguments.mute].mute = True
        if arguments.kill:
            session.wait(0.5)
            os.kill(int(arguments.kill.read_text()), signal.SIGKILL)
            if arguments.restart:
                environment = {**os.environ, "VA_DIR": str(arguments.kill.parent)}
                start = [arguments.restart, "start", arguments.kill.stem]
                subprocess.run(start, env=environment, check=True, stdout=subprocess.DEVNULL)
        try:
            session.wait(arguments.seconds + arguments.hold + arguments.stall)
        except DeviceLostError as error:
            lost = str(error)
    stats = session.stats()
    promised = session.latency.total_frames
    end.set()
    result = {
        "promised": promised,
        "began_s": processor.began_s,
        "pieces": pieces(processor, promised),
        "missed": processor.missed,
        "stats": stats.as_dict(),
        "lost": lost,
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
