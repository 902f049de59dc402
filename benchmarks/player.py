"""The player measured: how soon there is sound, how soon an order is heard, and what an hour costs in memory.

    python benchmarks/player.py
    .ci/virtual-audio start jack && eval "$(.ci/virtual-audio env)"
    python benchmarks/player.py --device loopback

Without a device: from the making of a `Player` to the first separated block, from a seek to the same, from a song whose
stems are kept to the same, and memory and threads over a playlist in virtual time.
With a device that loops back: from an order to the captured sound, ring and device taken off.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import soundfile

from engine import load_separator
from engine.stem_cache import StemCache
from streamer import Player
from streamer.cli.machine import describe_machine
from streamer.inline_player import InlinePlayer
from streamer.song import compose_song
from streamer.testing import IdentitySeparator

F32 = npt.NDArray[np.float32]

_RATE = 44_100
_SONG_S = 30.0
_BLOCK = 256
_LEVEL = 0.5


def first_separated_s(player: Player, order: Callable[[], object]) -> float:
    """Give the seconds from an order until a block is wholly separated, read at the pace of a device."""
    begin = time.perf_counter()
    before = player.stats().processor
    order()
    due = begin
    while True:
        player.read(_BLOCK, waits=False)
        now = player.stats().processor
        separated = now.final_frames + now.provisional_frames - before.final_frames - before.provisional_frames
        if separated >= _BLOCK:
            return time.perf_counter() - begin
        due += _BLOCK / _RATE
        time.sleep(max(0.0, due - time.perf_counter()))


def measure_program(song: Path, folder: Path, runs: int) -> dict[str, list[float]]:
    """Time starts, seeks and cache hits, in milliseconds."""
    separator = load_separator("spatial")
    times: dict[str, list[float]] = {"start": [], "seek": [], "cache hit": []}
    for _ in range(runs):
        begin = time.perf_counter()
        with Player(song, separator, output=None) as player:
            made_s = time.perf_counter() - begin
            times["start"].append(1000 * (made_s + first_separated_s(player, player.play)))
            for place in (20.0, 8.0, 25.0):
                times["seek"].append(1000 * first_separated_s(player, lambda place=place: player.seek(place)))  # type: ignore[misc]
    cache = StemCache(folder / "stems")
    with Player(song, separator, output=None, cache=cache) as player:
        player.play()
        player.finish()
    for _ in range(runs):
        begin = time.perf_counter()
        with Player(song, separator, output=None, cache=cache) as player:
            made_s = time.perf_counter() - begin
            times["cache hit"].append(1000 * (made_s + first_separated_s(player, player.play)))
    return times


def measure_hour(song: Path, minutes: int) -> dict[str, float]:
    """Play a playlist in virtual time and watch memory and threads."""
    process, separator = psutil.Process(), IdentitySeparator()
    most, after_first = 0, 0
    with InlinePlayer([song] * round(60 * minutes / _SONG_S), separator, run_s=lambda run: 0.001) as player:
        player.play()
        while not player.is_over:
            player.read(_RATE)
            used = process.memory_info().rss
            most = max(most, used)
            after_first = after_first or (used if player.track == 2 else 0)
        coverage = player.stats().coverage
    return {
        "minutes": minutes,
        "after_two_songs_mb": after_first / 1e6,
        "most_mb": most / 1e6,
        "threads": threading.active_count(),
        "coverage": coverage,
    }


def measure_command(song: Path) -> float:
    """Give the seconds of a whole command that plays the last tenth of a second to nobody."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "streamer.cli", "play", song, "--output", "none", "--no-cache"]
    subprocess.run([*command, "--start", str(_SONG_S - 0.1)], check=True, capture_output=True)
    return time.perf_counter() - begin


class Listener:
    """Records what a device that loops back plays, with the moment of each block."""

    def __init__(self, device: str, seconds: float) -> None:
        import sounddevice

        self.heard = np.zeros(round(seconds * 48_000), np.float32)
        self.frames = 0
        self._stream = sounddevice.InputStream(
            device=device, channels=1, samplerate=48_000, blocksize=0, dtype="float32", callback=self._hear
        )
        self._stream.start()

    def _hear(self, captured: Any, frames: int, times: object, flags: object) -> None:
        n = min(frames, len(self.heard) - self.frames)
        self.heard[self.frames : self.frames + n] = captured[:n, 0]
        self.frames += frames

    def close(self) -> None:
        """Stop."""
        self._stream.close()


def measure_device(device: str, folder: Path, presses: int) -> dict[str, float]:
    """Mute and unmute a steady tone, and give the milliseconds until half of it is gone in what is captured."""
    tone = folder / "tone.wav"
    soundfile.write(tone, np.full((48_000 * 120, 2), _LEVEL, np.float32), 48_000, subtype="FLOAT")
    later: list[int] = []
    random = np.random.default_rng(0)
    with Player(tone, IdentitySeparator(sample_rate=48_000), output=device, priority=True) as player:
        player.play()
        time.sleep(2.0)
        listener = Listener(device, presses * 0.5 + 10)
        time.sleep(1.0)
        for number in range(presses):
            press = listener.frames
            for stem in player.mixer:
                player.mixer[stem].mute = number % 2 == 0
            time.sleep(0.3 * random.uniform(0.8, 1.2))
            rest = listener.heard[press : listener.frames]
            found = np.flatnonzero(rest < _LEVEL / 2 if number % 2 == 0 else rest > _LEVEL / 2)
            later += [int(found[0])] if len(found) else []
        listener.close()
        assert player._device is not None
        between = player._device.delay_frames
        xruns = player.stats().stream.xruns
    own = 1000 * (np.array(later) - between) / 48_000
    return {
        "found": len(later),
        "presses": presses,
        "press_to_sound_ms": 1000 * float(np.median(later)) / 48_000,
        "ring_and_device_ms": 1000 * between / 48_000,
        "beyond_median_ms": float(np.median(own)),
        "beyond_longest_ms": float(own.max()),
        "xruns": xruns,
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help="one that loops back, at 48 kHz: measure orders on it instead")
    parser.add_argument("--presses", type=int, default=40)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--minutes", type=int, default=60, help="of the playlist in virtual time")
    parser.add_argument("--json", type=Path, help="write every figure there")
    arguments = parser.parse_args()
    print(describe_machine(), file=sys.stderr)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.device:
            figures["device"] = measure_device(arguments.device, folder, arguments.presses)
        else:
            song = folder / "song.wav"
            soundfile.write(song, compose_song(_SONG_S, sample_rate=_RATE).mixture.T, _RATE, subtype="PCM_16")
            figures["command_s"] = [measure_command(song) for _ in range(3)]
            figures["times_ms"] = measure_program(song, folder, arguments.runs)
            figures["hour"] = measure_hour(song, arguments.minutes)
    _show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))
    return 0


def _show(figures: dict[str, Any]) -> None:
    if "command_s" in figures:
        print(f"whole command      median {np.median(figures['command_s']):.2f} s, to play 0.1 s")
    for name, times in figures.get("times_ms", {}).items():
        spread = f"median {np.median(times):.0f} ms, longest {max(times):.0f} ms"
        print(f"{name + ' to stems':<18} {spread}, {len(times)} times")
    for title in ("hour", "device"):
        for name, value in figures.get(title, {}).items():
            print(f"{name:<18} {value:.4g}")


if __name__ == "__main__":
    sys.exit(main())
