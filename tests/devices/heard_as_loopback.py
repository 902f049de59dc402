"""A program: hears the monitor of a sink through SoundCard while a known signal is played to it.

Prints what became of each piece of the signal: whether it was heard bit for bit where the one before it leads to
expect it. The sink or the server can be taken away meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import DeviceError
from streamer.audio.capture import Capture
from streamer.audio.device import Device
from streamer.audio.loopback import list_loopbacks, open_capture

F32 = npt.NDArray[np.float32]
RATE, PIECE_FRAMES, WAIT_S = 48_000, 6_000, 20.0


def monitor_of(sink: str) -> Device:
    """Give the monitor of a sink, as SoundCard shows it."""
    return next(device for device in list_loopbacks() if device.key == f"{sink}.monitor")


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    ends = time.monotonic() + WAIT_S
    while not holds() and time.monotonic() < ends:
        time.sleep(0.01)


def started(sink: str) -> Capture:
    """Open and start a capture, and wait for its first frames."""
    capture = open_capture(monitor_of(sink), sample_rate=RATE, channels=2, block_frames=480)
    capture.start()
    until(lambda: capture.written)
    return capture


def pieces(sent: F32, heard: F32) -> list[dict[str, int]]:
    """Tell of each piece where it was heard, -1 for nowhere, and how many of its frames are wrong there."""
    found = []
    for begin in range(0, sent.shape[1], PIECE_FRAMES):
        piece = sent[:, begin : begin + PIECE_FRAMES]
        # The first samples are as good as a name.
        starts = np.flatnonzero(np.all(heard[:, :-PIECE_FRAMES] == piece[:, :1], axis=0))
        spot = next((int(n) for n in starts if np.array_equal(heard[:, n : n + 8], piece[:, :8])), -1)
        wrong = np.any(heard[:, spot : spot + PIECE_FRAMES] != piece, axis=0).sum() if spot >= 0 else PIECE_FRAMES
        found.append({"delay": spot - begin if spot >= 0 else -1, "wrong": int(wrong)})
    return found


def hear(sink: str) -> dict[str, Any]:
    """Play two seconds of a signal to the sink, by a client that gives all of it to the server at once, and hear it."""
    sent = np.random.default_rng(1).uniform(-0.3, 0.3, (2, 2 * RATE)).astype(np.float32)
    capture = started(sink)
    heard, taken = np.zeros((2, 12 * RATE), np.float32), 0
    block = np.zeros((2, 480), np.float32)
    gone, begin = 0, capture.written
    play = ["pacat", "--raw", "--format=float32le", f"--rate={RATE}", "--channels=2", f"--device={sink}"]
    with subprocess.Popen([*play, "--latency-msec=4000"], stdin=subprocess.PIPE) as player:
        assert player.stdin is not None
        player.stdin.write(sent.T.tobytes())
        player.stdin.close()
        ends = time.monotonic() + 4.0
        while time.monotonic() < ends or player.poll() is None:
            while capture.written >= begin + taken + 480 and taken + 480 <= heard.shape[1]:
                gone += not capture.copy(begin + taken, block)
                heard[:, taken : taken + 480] = block
                taken += 480
            time.sleep(0.005)
    result = {"pieces": pieces(sent, heard[:, :taken]), "gone": gone, "error": str(capture.error or "")}
    return {**result, "heard_s": taken / RATE, "latency_frames": capture.latency_frames, "closed": capture.close(5.0)}


def lose_sink() -> dict[str, Any]:
    """Take a sink away under a capture."""
    load = ["pactl", "load-module", "module-null-sink", "sink_name=va_passing", f"rate={RATE}", "norewinds=1"]
    number = subprocess.run(load, check=True, capture_output=True, text=True).stdout.strip()
    capture = started("va_passing")
    subprocess.run(["pactl", "unload-module", number], check=True)
    until(lambda: capture.error)
    return {"error": str(capture.error), "closed": capture.close(5.0)}


def lose_server(pid_file: Path, script: Path) -> dict[str, Any]:
    """Kill the server under a capture, ask for what is there, and start it again."""
    capture = started("va_out")
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    until(lambda: capture.error)
    without = ""
    try:
        list_loopbacks()
    except DeviceError as error:
        without = str(error)
    environment = {**os.environ, "VA_DIR": str(pid_file.parent)}
    subprocess.run([script, "start", "pulse"], env=environment, check=True, stdout=subprocess.DEVNULL)
    result = {"error": str(capture.error), "closed": capture.close(5.0), "without": without}
    again = started("va_out")
    return {**result, "again": again.written, "error_again": str(again.error or ""), "closed_again": again.close(5.0)}


def main() -> int:
    """Hear and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sink", default="va_out")
    parser.add_argument("--lose", choices=["sink", "server"])
    parser.add_argument("--pid", type=Path, help="file with the number of the server's process")
    parser.add_argument("--script", type=Path, help="script that starts it again")
    arguments = parser.parse_args()
    if arguments.lose == "sink":
        result = lose_sink()
    elif arguments.lose == "server":
        result = lose_server(arguments.pid, arguments.script)
    else:
        result = hear(arguments.sink)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
