"""The other side of a live session: plays a known sound to a device that loops back, and keeps what comes out of it.

The device has channels of its own for each of three things: what the session hears (1 and 2), what it plays (3 and up),
and a counter of frames (the last one). One client plays and another one records all of them, so what the session heard
and what it played lie side by side in one recording, whatever the player did. Where the counter jumps in it, a client
or the server itself has lost frames, and what is around that place says nothing about the session.

    python benchmarks/other_side.py --device loopback --seconds 30 --sound song.npy --out heard.npy

Everything is queued before the first call of the device and moved by rtmixer's callback in C. Prints when the recording
began, on the clock of ``time.monotonic``, to a twentieth of a second.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamer.audio.devices import find_device, list_devices
from streamer.audio.portaudio import mixer_library

__all__ = ["jumps_of"]

F32 = npt.NDArray[np.float32]

_COUNTED = 1 << 23
"""Float32 holds every whole number up to twice this."""
_STEP = 2.0**-34
"""Keeps the counter below a thousandth of full scale."""


def jumps_of(counted: F32) -> npt.NDArray[np.int64]:
    """Give the frames of a recorded counter at which it does not go on by one, from where it begins."""
    values = np.rint(counted.astype(np.float64) / _STEP).astype(np.int64)
    begin = int(np.argmax(values > 0))
    steps = np.diff(values[begin:]) % _COUNTED
    found: npt.NDArray[np.int64] = np.flatnonzero(steps != 1) + begin + 1
    return found


def main() -> int:
    """Play and record, and save what was heard."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--sound", type=Path, required=True, help=".npy, shape (2, frames), repeated as needed")
    parser.add_argument("--rate", type=int, default=48_000)
    parser.add_argument("--channels", type=int, default=8, help="of the device; the last one is the counter's")
    parser.add_argument("--out", type=Path, required=True, help=".npy, shape (channels, frames)")
    arguments = parser.parse_args()
    rtmixer = mixer_library()
    number = find_device(list_devices(), arguments.device, "input").index
    frames, channels = round(arguments.seconds * arguments.rate), arguments.channels
    # The player begins before the recorder and ends after it.
    played = np.zeros((frames + 2 * arguments.rate, channels), np.float32)
    played[:, :2] = np.resize(np.load(arguments.sound).T, (len(played), 2))
    played[:, -1] = (np.arange(len(played)) % _COUNTED) * _STEP
    heard = np.zeros((frames, channels), np.float32)
    settings: dict[str, Any] = {
        "device": number,
        "channels": channels,
        "samplerate": arguments.rate,
        "latency": "low",
    }
    player, recorder = rtmixer.Mixer(**settings), rtmixer.Recorder(**settings)
    player.play_buffer(played, channels=channels)
    recording = recorder.record_buffer(heard, channels=channels)
    with player, recorder:
        while recording in recorder.actions:
            time.sleep(0.05)
        began_s = time.monotonic() - arguments.seconds
    print(began_s)
    np.save(arguments.out, heard.T)
    return 0


if __name__ == "__main__":
    sys.exit(main())
