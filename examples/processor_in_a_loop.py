"""A processor in a loop: blocks in, stems out, with a delay that is known to the frame.

    python examples/processor_in_a_loop.py SONG.flac --stem vocals -o voice.wav
    python examples/processor_in_a_loop.py                     # composes four seconds of music instead

The loop waits for the model, as a render does. An audio callback makes the processor with ``realtime=True``, after
which ``process`` never waits; the rest stays as it is here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import soundfile

from engine import StemstreamError, load_separator
from streamer import StemProcessor
from streamer.song import compose_song


def main() -> int:
    """Stream a recording through a processor, keep one stem, and line it up with the recording again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("song", nargs="?", type=Path, help="a wav, flac, mp3 or ogg file; left out: a composed song")
    parser.add_argument("-o", "--out", type=Path, help="wav file for the stem; left out: it is not written")
    parser.add_argument("-m", "--model", default="spatial", help="name or path of a model (default spatial)")
    parser.add_argument("-b", "--block-frames", type=int, default=512, help="frames in a block (default 512)")
    parser.add_argument("--stem", default="vocals", help="the stem to keep (default vocals)")
    arguments = parser.parse_args()
    try:
        audio, sample_rate = read(arguments.song)
        processor = StemProcessor(load_separator(arguments.model), latency_s=0.15)
        if arguments.stem not in processor.stems:
            parser.error(f"--stem {arguments.stem}: this model gives {', '.join(processor.stems)}")
        with processor.prepare(sample_rate=sample_rate, channels=len(audio), max_block_frames=arguments.block_frames):
            stem = stream(processor, audio, arguments.block_frames, processor.stems.index(arguments.stem))
            latency, stats = processor.latency, processor.stats()
    except (StemstreamError, soundfile.LibsndfileError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"latency   {latency}")
    print(f"misses    {stats.misses} of {stats.blocks} blocks, coverage {100 * stats.coverage:.2f} %")
    if arguments.out:
        soundfile.write(arguments.out, stem.T, sample_rate, subtype="FLOAT")
    return 0


def stream(processor: StemProcessor, audio: np.ndarray, block_frames: int, index: int) -> np.ndarray:
    """Give one stem of the same length as the audio, without the processor's delay."""
    parts = []
    for start in range(0, audio.shape[1], block_frames):
        stems = processor.process(audio[:, start : start + block_frames])
        parts.append(stems[index].copy())  # what process gives is valid until the next call
    parts.append(processor.flush()[index].copy())  # the latency_frames that were still held back
    return np.concatenate(parts, axis=1)[:, processor.latency_frames :]


def read(path: Path | None) -> tuple[np.ndarray, int]:
    """Give audio as float32, shape (channels, frames), and its rate in Hz."""
    if path is None:
        song = compose_song(4.0)
        return song.mixture, song.sample_rate
    frames_first, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.ascontiguousarray(frames_first.T), sample_rate


if __name__ == "__main__":
    sys.exit(main())
