"""The player measured: how soon there is sound, how soon an order is heard, and what an hour costs in memory.

    python benchmarks/player.py
    .ci/virtual-audio start jack && eval "$(.ci/virtual-audio env)"
    python benchmarks/player.py --device loopback

Without a device: from the making of a `Player` to the first separated block, from a seek to the same, from a song whose
stems are kept to the same, all read at the pace of a device; and memory and threads over a playlist in virtual time.
With a device that loops back, at 48 kHz: from the command to the captured sound, without and with kept stems; from a
seek to a place that is not separated; and from a fader. Silence stands for stems that are not there, so that sound is
stems.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import soundfile
from listener import LEVEL, RATE, Listener, crossing, place_of, tell_tale

from engine import load_separator
from engine.stem_cache import StemCache
from streamer import Player
from streamer.cli.machine import describe_machine
from streamer.song import compose_song
from streamer.testing import IdentitySeparator

F32 = npt.NDArray[np.float32]
Times = dict[str, list[float]]

_FILE_RATE = 44_100
_SONG_S = 30.0
_BLOCK = 256
_HOUR_RATE = 22_050
_LONG_BLOCK = 8192
_FAR_S = 400.0
_GIVE_UP_S = 20.0


def first_separated_s(player: Player, order: Callable[[], object]) -> float:
    """Give the seconds from an order until a block is wholly separated, read at the pace of a device."""
    begin = time.perf_counter()
    before = player.stats()
    jumps = before.jumps
    order()
    due = begin
    while True:
        player.read(_BLOCK, waits=False)
        now = player.stats()
        separated, separated_before = (
            stats.processor.final_frames + stats.processor.provisional_frames for stats in (now, before)
        )
        # The block of the jump itself still fades out of what was heard before.
        if before.jumps > jumps and separated - separated_before >= _BLOCK:
            return time.perf_counter() - begin
        before = now
        due += _BLOCK / _FILE_RATE
        time.sleep(max(0.0, due - time.perf_counter()))


def measure_program(song: Path, folder: Path, runs: int) -> Times:
    """Time starts, seeks and cache hits, in milliseconds."""
    separator = load_separator("spatial")
    times: Times = {"player to stems": [], "seek to stems": [], "player to stems, kept": []}

    def start(kind: str, player: Player, begin_s: float) -> None:
        times[kind].append(1000 * (begin_s + first_separated_s(player, player.play)))

    for _ in range(runs):
        begin = time.perf_counter()
        with Player(song, separator, output=None, finish="never") as player:
            start("player to stems", player, time.perf_counter() - begin)
            for place in (20.0, 8.0, 25.0):
                times["seek to stems"].append(1000 * first_separated_s(player, partial(player.seek, place)))
    cache = StemCache(folder / "stems")
    with Player(song, separator, output=None, cache=cache) as player:
        player.play()
        player.finish()
    for _ in range(runs):
        begin = time.perf_counter()
        with Player(song, separator, output=None, cache=cache) as player:
            start("player to stems, kept", player, time.perf_counter() - begin)
    return times


def measure_hour(song: Path, minutes: int) -> dict[str, float]:
    """Play a playlist to nobody, as fast as it can be read, and watch memory, threads and files.

    The model is a scripted one of two stems, rate and blocks are such that an hour passes in a minute.
    """
    process = psutil.Process()
    separator = IdentitySeparator(
        {"vocals": 0.5, "other": 0.5}, window_frames=32_768, hop_frames=16_384, sample_rate=_HOUR_RATE
    )
    most_bytes, most_threads, most_files = [], 0, 0
    songs = [song] * max(4, round(60 * minutes / _SONG_S))
    begin = time.perf_counter()
    with Player(songs, separator, output=None, block_frames=_LONG_BLOCK) as player:
        player.play()
        while not player.is_over:
            player.read(_HOUR_RATE)
            quarter = 4 * player.track // len(songs)
            most_bytes += [0] * (quarter + 1 - len(most_bytes))
            most_bytes[quarter] = max(most_bytes[quarter], process.memory_info().rss)
            most_threads, most_files = max(most_threads, threading.active_count()), max(most_files, process.num_fds())
        coverage = player.stats().coverage
    return {
        "minutes": len(songs) * _SONG_S / 60,
        "songs": len(songs),
        "rate, Hz": _HOUR_RATE,
        "frames a block": _LONG_BLOCK,
        **{f"most memory in quarter {n + 1}, MB": most / 1e6 for n, most in enumerate(most_bytes)},
        "most threads": most_threads,
        "threads afterwards": threading.active_count(),
        "most files": most_files,
        "coverage": coverage,
        "took s": time.perf_counter() - begin,
    }


def command_ms(listener: Listener, device: str, song: Path, cache: Path | None) -> float:
    """Give the milliseconds from a whole command to its first separated sound, as captured; then end it."""
    command = [sys.executable, "-m", "streamer.cli", "play", str(song), "--output", device, "--gaps", "silence"]
    environment = dict(os.environ)
    if cache is None:
        command.append("--no-cache")
    else:
        environment["STEMSTREAM_CACHE"] = str(cache)
    moment = listener.frames
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while (found := crossing(listener.heard[moment:], LEVEL / 2, rises=True)) is None:
            if listener.frames - moment > _GIVE_UP_S * RATE:
                return float("nan")
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
    time.sleep(0.5)
    return 1000 * found / RATE


def measure_commands(device: str, folder: Path, runs: int) -> Times:
    """Time commands that play a song whose sound begins with its first frame."""
    song, cache = folder / "song.wav", folder / "cache"
    soundfile.write(song, tell_tale(_SONG_S), RATE, subtype="FLOAT")
    fill = [sys.executable, "-m", "streamer.cli", "play", str(song), "--output", "none"]
    subprocess.run(fill, env={**os.environ, "STEMSTREAM_CACHE": str(cache)}, check=True, capture_output=True)
    listener = Listener(device, 2 * runs * (_GIVE_UP_S + 1) + 5)
    time.sleep(0.5)
    times: Times = {"command to sound": [], "command to sound, kept": []}
    for _ in range(runs):
        times["command to sound"].append(command_ms(listener, device, song, None))
        times["command to sound, kept"].append(command_ms(listener, device, song, cache))
    listener.close()
    return times


def seek_ms(player: Player, listener: Listener, sound: F32, seconds: float) -> float:
    """Give the milliseconds from a seek until the sound of the new place is captured."""
    moment = listener.frames
    player.seek(seconds)
    time.sleep(0.8)
    heard = listener.heard[moment:]
    late = len(heard) - RATE // 10
    near = max(0, round((seconds - 1.0) * RATE))
    place = place_of(heard[late:], sound[near : near + 3 * RATE])
    if place is None:
        return float("nan")
    place += near
    # What was captured at frame n is the song's frame n + shift, where it is of the new place.
    shift = place - late
    begin = max(0, round(seconds * RATE) - shift)
    expected = sound[begin + shift : len(heard) + shift]
    alike = np.abs(heard[begin : begin + len(expected)] - expected) < 1e-3
    found = crossing(alike.astype(np.float32), 0.5, rises=True)
    return float("nan") if found is None else 1000 * (begin + found) / RATE


def measure_orders(device: str, folder: Path, presses: int, runs: int) -> tuple[Times, dict[str, float]]:
    """Time seeks and faders in what is captured; also ring and device, which are a part of it, and xruns."""
    times: Times = {"seek to sound": [], "fader to sound": []}
    sound, random = tell_tale(_FAR_S), np.random.default_rng(0)
    song = folder / "far.wav"
    soundfile.write(song, sound, RATE, subtype="PCM_16")
    with Player(
        song, load_separator("spatial"), output=device, priority=True, finish="never", gaps="silence"
    ) as player:
        player.play()
        listener = Listener(device, 2.0 * runs + 10)
        time.sleep(1.0)
        # From the end towards the pass through the whole song, which does not come so far meanwhile.
        for place in np.linspace(_FAR_S - 5.0, 0.7 * _FAR_S, runs):
            times["seek to sound"].append(seek_ms(player, listener, sound[:, 0], float(place)))
        listener.close()
        assert player._device is not None
        between_ms = 1000 * player._device.delay_s
        xruns = player.stats().stream.xruns
    with Player(song, IdentitySeparator(sample_rate=RATE), output=device, priority=True) as player:
        player.play()
        listener = Listener(device, presses * 0.5 + 10)
        time.sleep(1.0)
        for number in range(presses):
            moment, rises = listener.frames, number % 2 == 1
            for stem in player.mixer:
                player.mixer[stem].gain_db = 0.0 if rises else -60.0
            time.sleep(0.3 * random.uniform(0.8, 1.2))
            found = crossing(listener.heard[moment:], LEVEL / 2, rises=rises)
            times["fader to sound"].append(float("nan") if found is None else 1000 * found / RATE)
        listener.close()
        xruns += player.stats().stream.xruns
    return times, {"ring and device, ms": between_ms, "xruns": xruns}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help="one that loops back, at 48 kHz: measure captured sound instead")
    parser.add_argument("--presses", type=int, default=40, help="of the fader")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--minutes", type=int, default=60, help="of the playlist in virtual time")
    parser.add_argument("--json", type=Path, help="write every figure there")
    arguments = parser.parse_args()
    print(describe_machine(), file=sys.stderr)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.device:
            times, facts = measure_orders(arguments.device, folder, arguments.presses, arguments.runs)
            times = {**measure_commands(arguments.device, folder, arguments.runs), **times}
        else:
            song = folder / "song.wav"
            mixture = compose_song(_SONG_S, sample_rate=_FILE_RATE).mixture
            soundfile.write(song, mixture.T, _FILE_RATE, subtype="PCM_16")
            times = measure_program(song, folder, arguments.runs)
            soundfile.write(song, mixture.T[::2], _HOUR_RATE, subtype="PCM_16")
            facts = measure_hour(song, arguments.minutes)
    _show(times, facts)
    if arguments.json:
        figures = {"machine": describe_machine(), "times_ms": times, "facts": facts}
        arguments.json.write_text(json.dumps(figures, indent=1))
    return 0


def _show(times: Times, facts: dict[str, float]) -> None:
    print("| from, to | times | not found | median ms | shortest | 90 % within | longest |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, each in times.items():
        found = np.array([value for value in each if np.isfinite(value)])
        row = [np.median(found), found.min(), np.quantile(found, 0.9), found.max()] if len(found) else [np.nan] * 4
        print(f"| {name} | {len(each)} | {len(each) - len(found)} |", *(f"{value:.0f} |" for value in row))
    print("\n| | |\n|---|---:|")
    for name, value in facts.items():
        print(f"| {name} | {value:.5g} |")


if __name__ == "__main__":
    sys.exit(main())
