"""Separate a file in the plain way of `streamer.bench.baseline`, and print what that took as JSON.

    python benchmarks/baseline.py CHECKPOINT CONFIG SONG DIR [--overlap N]

The song is at the model's rate; each stem becomes a WAV file of floats.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import soundfile
from measured_process import Stopwatch, peak_bytes

from streamer.bench.baseline import Baseline, Network, demix

__all__ = ["Baseline", "Network", "demix"]


def main() -> None:
    """Separate a file into one float WAV file a stem, and print what that took as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="bare float32 state dict")
    parser.add_argument("config", type=Path, help="its YAML file")
    parser.add_argument("song", type=Path, help="at the model's rate")
    parser.add_argument("folder", type=Path, help="where the stems go")
    parser.add_argument("--overlap", type=int, metavar="N", help="windows over each frame (default the config's)")
    arguments = parser.parse_args()
    model = Baseline(arguments.checkpoint, arguments.config)
    stopwatch = Stopwatch()
    audio, sample_rate = soundfile.read(arguments.song, dtype="float32", always_2d=True)
    stems = demix(model, audio.T, arguments.overlap)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, stem in stems.items():
        soundfile.write(arguments.folder / f"{name.lower()}.wav", stem.T, sample_rate, subtype="FLOAT")
    taken = stopwatch.read()
    print(json.dumps({"frames": len(audio), "windows": model.windows, "peak_mb": peak_bytes() / 1e6, **taken}))


if __name__ == "__main__":
    main()
