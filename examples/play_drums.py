"""Play a song with one stem alone, and another place of it after a while.

    python examples/play_drums.py
    python examples/play_drums.py song.flac --stem vocals --output default

Without a device it is read as fast as the model is, and what was heard is told.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import soundfile

from engine import StemstreamError, load_separator
from streamer import Player
from streamer.song import compose_song


def main() -> int:
    """Play."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("song", nargs="?", help="a file; left out: a composed one")
    parser.add_argument("--stem", default="drums", help="the stem to hear (default drums)")
    parser.add_argument("--output", default="none", help="a device, default for the system's, or none (the default)")
    parser.add_argument("-m", "--model", default="spatial", help="name or path of a model (default spatial)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        song = arguments.song or composed(Path(folder) / "song.wav")
        try:
            separator = load_separator(arguments.model)
            output = None if arguments.output == "none" else arguments.output
            with Player(song, separator, output=output) as player:
                player.mixer[arguments.stem].solo = True
                player.play()
                player.seek(player.duration_s / 2)
                listen(player)
                for event in player.events():
                    print(event.text)
                print(f"coverage {100 * player.stats().coverage:.1f} %")
        except StemstreamError as error:
            print(error, file=sys.stderr)
            return error.exit_code if error.exit_code == 3 else 1
    return 0


def listen(player: Player) -> None:
    """Hear it to its end."""
    if player.output is not None:
        player.wait()
        return
    while not player.is_over:
        player.read(4096)


def composed(path: Path) -> Path:
    """Write a song of four seconds."""
    song = compose_song(4.0)
    soundfile.write(path, song.mixture.T, song.sample_rate)
    return path


if __name__ == "__main__":
    sys.exit(main())
