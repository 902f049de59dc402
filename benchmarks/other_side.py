"""The other side of a live session: plays a known sound to a device that loops back, and keeps what comes out of it.

The device has channels of its own for each of three things: what the session hears (1 and 2), what it plays (3 and up),
and a counter of frames (the last one). One client plays and another one records all of them, so what the session heard
and what it played lie side by side in one recording, whatever the player did. Where the counter jumps in it, a client
or the server itself has lost frames, and what is around that place says nothing about the session. The two are in
processes of their own: PortAudio is one client of a JACK server however many streams it has, and a client that is late
loses the same frames of all of them, which no counter would show.

    python benchmarks/other_side.py --device loopback --seconds 30 --sound song.npy --out heard.npy

Everything is queued before the first call of the device and moved by rtmixer's callback in C. Prints when the recording
began, on the clock of ``time.monotonic``, to a twentieth of a second.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from multiprocessing.synchronize import Event
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
_LONGER_S = 5.0
"""So much longer is played than is recorded: the recorder opens its stream once the player is heard."""


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
    context = multiprocessing.get_context("spawn")
    plays, is_recorded = context.Event(), context.Event()
    # The player begins before the recorder and ends after it.
    player = context.Process(target=_play, args=(arguments, plays, is_recorded), daemon=True)
    player.start()
    while not plays.wait(0.1):
        if not player.is_alive():
            return 1
    heard, began_s = _record(arguments)
    is_recorded.set()
    player.join()
    print(began_s)
    np.save(arguments.out, heard.T)
    return player.exitcode or 0


def _play(arguments: argparse.Namespace, plays: Event, is_recorded: Event) -> None:
    frames = round((arguments.seconds + _LONGER_S) * arguments.rate)
    played = np.zeros((frames, arguments.channels), np.float32)
    played[:, :2] = np.resize(np.load(arguments.sound).T, (frames, 2))
    played[:, -1] = (np.arange(frames) % _COUNTED) * _STEP
    player = mixer_library().Mixer(**_stream_settings(arguments))
    player.play_buffer(played, channels=arguments.channels)
    with player:
        plays.set()
        is_recorded.wait()


def _record(arguments: argparse.Namespace) -> tuple[F32, float]:
    heard = np.zeros((round(arguments.seconds * arguments.rate), arguments.channels), np.float32)
    recorder = mixer_library().Recorder(**_stream_settings(arguments))
    recording = recorder.record_buffer(heard, channels=arguments.channels)
    with recorder:
        while recording in recorder.actions:
            time.sleep(0.05)
        return heard, time.monotonic() - arguments.seconds


def _stream_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    number = find_device(list_devices(), arguments.device, "input").index
    return {
        "device": number,
        "channels": arguments.channels,
        "samplerate": arguments.rate,
        "latency": "low",
    }


if __name__ == "__main__":
    sys.exit(main())
