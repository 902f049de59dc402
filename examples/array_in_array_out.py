"""Array in, array out: separate a whole recording that is in memory.

    python examples/array_in_array_out.py SONG.flac -o stems
    python examples/array_in_array_out.py                      # composes four seconds of music instead

Use this where the recording is an array already. Files of any length are better off with ``engine.file_separation``,
which never holds more than a few windows in memory.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import soundfile

from engine import Progress, StemstreamError, load_separator, separate
from streamer.song import compose_song


def main() -> int:
    """Separate, say how loud each stem is, and write them where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("song", nargs="?", type=Path, help="a wav, flac, mp3 or ogg file; left out: a composed song")
    parser.add_argument("-o", "--out", type=Path, help="folder for the stems; left out: they are not written")
    parser.add_argument("-m", "--model", default="spatial", help="name or path of a model (default spatial)")
    arguments = parser.parse_args()
    try:
        audio, sample_rate = read(arguments.song)
        separator = load_separator(arguments.model)
        stems = separate(
            separator, audio, sample_rate, progress=show
        )  # (channels, frames) -> (stems, channels, frames)
    except (StemstreamError, soundfile.LibsndfileError) as error:
        print(error, file=sys.stderr)
        return 1
    print(file=sys.stderr)
    for name, stem in zip(separator.spec.output_stems, stems, strict=True):
        level_db = 10 * np.log10(np.mean(np.square(stem)) + 1e-20)
        print(f"{name:8} {level_db:6.1f} dBFS")
        if arguments.out:
            arguments.out.mkdir(parents=True, exist_ok=True)
            soundfile.write(arguments.out / f"{name}.wav", stem.T, sample_rate, subtype="FLOAT")
    return 0


def read(path: Path | None) -> tuple[np.ndarray, int]:
    """Give audio as float32, shape (channels, frames), and its rate in Hz."""
    if path is None:
        song = compose_song(4.0)
        return song.mixture, song.sample_rate
    frames_first, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.ascontiguousarray(frames_first.T), sample_rate


def show(progress: Progress) -> None:
    """Tell how far it is."""
    print(f"\r{100 * progress.fraction:3.0f} %", end="", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
