"""``stemstream play``: the live path on a file."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import LatencyError
from streamer.cli.options import Debug, Json, LatencyMs, Model, Pace, PaceOption, latency_s, named_latency_error
from streamer.cli.summary import summary_lines
from streamer.cli.terminal import print_error, print_json, print_result, watched_progress

__all__ = ["play"]

_NO_DEVICE = 3


def play(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="wav, flac, mp3, ogg, opus; m4a with PyAV.")],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="DEVICE|none", help="Where the sound goes; this version knows `none`."),
    ] = "default",
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", help="Write the stems to DIR/TRACK/STEM.wav, at FILE's rate and length."),
    ] = None,
    model: Model = "spatial",
    pace: PaceOption = Pace.REALTIME,
    latency_ms: LatencyMs = None,
    block_frames: Annotated[
        int, typer.Option("--block-frames", "-b", metavar="N", help="Frames in a block, as a device would ask for.")
    ] = 512,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Separate a file on the live path, as it would be heard, and tell how well that went.

    Nothing is written unless --save is given; the files appear whole, after the last frame.
    """
    if output != "none":
        print_error(f"--output {output!r}: this version has no audio device output; use --output none")
        return _NO_DEVICE
    from engine.files.reader import AudioReader
    from engine.files.stem_path import stem_path
    from engine.files.stem_writers import StemWriters
    from engine.registry import load_separator
    from streamer.file_session import run_file_session
    from streamer.processor import StemProcessor

    saved: dict[str, str] = {}
    with ExitStack() as stack:
        reader = stack.enter_context(AudioReader(file))
        separator = load_separator(model)
        stack.callback(separator.release)
        processor = StemProcessor(separator, latency_s=latency_s(latency_ms), realtime=pace is Pace.REALTIME)
        blocks = reader.blocks(block_frames)
        sink = None
        if save is not None:
            paths = {s: stem_path(save, track=file.stem, stem=s.lower(), ext="wav") for s in processor.stems}
            writers = StemWriters(paths, reader.sample_rate, reader.channels, frames_hint=reader.frames)
            sink = stack.enter_context(writers).write
            saved = {stem: str(path) for stem, path in paths.items()}
        progress = stack.enter_context(watched_progress(f"playing {file}"))
        try:
            report = run_file_session(
                processor,
                blocks,
                sample_rate=reader.sample_rate,
                channels=reader.channels,
                block_frames=block_frames,
                frames=reader.frames,
                sink=sink,
                progress=progress,
            )
        except LatencyError as error:
            raise named_latency_error(latency_ms, error) from error
    if json:
        print_json(
            {"input": str(file), "output": output, "model": separator.spec.name, **report.as_dict(), "saved": saved}
        )
        return 0
    for line in summary_lines(report):
        print_result(line)
    for path in saved.values():
        print_result(path)
    return 0
