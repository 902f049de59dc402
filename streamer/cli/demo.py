"""``stemstream demo``: compose a song, separate it while it plays, and show how well that went."""

from __future__ import annotations

import json as jsonlib
import math
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import LatencyError
from streamer.cli.options import Debug, Json, LatencyMs, Pace, PaceOption, latency_s, named_latency_error
from streamer.cli.summary import summary_lines
from streamer.cli.terminal import print_json, print_note, print_result, watched_progress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from streamer.file_session import SessionReport
    from streamer.report import Recording
    from streamer.song import Song

    F32 = npt.NDArray[np.float32]

__all__ = ["demo"]

_MODEL = "spatial"
_SAMPLE_RATE = 48_000
_BLOCK_FRAMES = 512
_TRUE_STEMS = "true"
_LATENCY_MS = 150.0
"""Leaves the model 90 ms, so that a machine that is busy with other things can keep the promise too."""


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the files go.")] = Path("demo"),
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another number makes another song.")] = 0,
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", help="Length of the song, at most 600.")] = 20.0,
    pace: PaceOption = Pace.REALTIME,
    latency_ms: LatencyMs = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Compose a song and separate it while it plays; needs no music, no device and no network.

    Writes to DIR: the stems, mixture.wav, the song's own stems in true/, report.json with every block's time, and
    report.html, in which it can be seen and heard.
    """
    print_note("composing a song")
    from engine.files.part_file import whole_file
    from streamer.report import report_contents, report_page
    from streamer.song import compose_song

    song = compose_song(seconds, sample_rate=_SAMPLE_RATE, seed=seed)
    written, page = out / "report.json", out / "report.html"
    # Opened before the music, so that a place that cannot be written to is told at once.
    with whole_file(written) as json_file, whole_file(page) as page_file:
        report, recording, files = _separate_live(song, out, pace, latency_ms)
        result = _result(report, recording, files, seed=seed, seconds=seconds)
        lists = {"process_s": report.process_s, "missed_blocks": report.missed_blocks}
        json_file.write((jsonlib.dumps({**result, **lists}, indent=1) + "\n").encode())
        facts = {name: result[name] for name in ("model", "machine", "versions")}
        contents = report_contents(report, recording, title=f"Demo song, seed {seed}", **facts)
        page_file.write(report_page(contents).encode())
    if json:
        print_json({**result, "report": str(written), "report_html": str(page)})
        return 0
    for line in summary_lines(report):
        print_result(line)
    names = [Path(path).name for kind in ("stems", "mixture") for path in files[kind].values()]
    print_result(f"files     {out}: {', '.join(names)}, {written.name}")
    print_result(f"          {out / _TRUE_STEMS}: the stems that the song was made of")
    print_result(f"report    {page}: open it in a browser, to see and to hear it")
    print_result("next      stemstream separate YOUR_SONG.flac -o stems")
    return 0


def _separate_live(
    song: Song, out: Path, pace: Pace, latency_ms: float | None
) -> tuple[SessionReport, Recording, dict[str, dict[str, str]]]:
    """Stream the song and write all audio; it appears together or not at all."""
    from engine.files.stem_writers import StemWriters
    from engine.registry import load_separator
    from streamer.file_session import run_file_session
    from streamer.processor import StemProcessor
    from streamer.report import ReportRecorder

    channels, frames = song.mixture.shape
    with ExitStack() as stack:
        separator = load_separator(_MODEL)
        stack.callback(separator.release)
        if latency_ms is None and pace is Pace.REALTIME:
            latency_ms = _LATENCY_MS
        processor = StemProcessor(separator, latency_s=latency_s(latency_ms), realtime=pace is Pace.REALTIME)
        files = {
            "stems": {stem: str(out / f"{stem.lower()}.wav") for stem in processor.stems},
            "true_stems": {stem: str(out / _TRUE_STEMS / f"{stem.lower()}.wav") for stem in song.stems},
            "mixture": {"mixture": str(out / "mixture.wav")},
        }
        writers = {
            kind: stack.enter_context(StemWriters(paths, song.sample_rate, channels, frames_hint=frames))
            for kind, paths in files.items()
        }
        for stem, audio in song.stems.items():
            writers["true_stems"].writers[stem].write(audio)
        writers["mixture"].write(song.mixture[None])
        recorder = stack.enter_context(ReportRecorder(processor.stems, song.sample_rate, channels, truth=song.stems))

        def keep(stems: F32) -> None:
            writers["stems"].write(stems)
            recorder.take(stems)

        blocks = (song.mixture[:, start : start + _BLOCK_FRAMES] for start in range(0, frames, _BLOCK_FRAMES))
        with watched_progress("separating it while it plays") as progress:
            try:
                report = run_file_session(
                    processor,
                    recorder.hear(blocks),
                    sample_rate=song.sample_rate,
                    channels=channels,
                    block_frames=_BLOCK_FRAMES,
                    frames=frames,
                    sink=keep,
                    progress=progress,
                )
            except LatencyError as error:
                raise named_latency_error(latency_ms, error) from error
        print_note("making the report")
        recording = recorder.finish()
        if recorder.error is not None:
            print_note(f"the report has less to hear: {recorder.error}")
    return report, recording, files


def _result(
    report: SessionReport, recording: Recording, files: dict[str, dict[str, str]], *, seed: int, seconds: float
) -> dict[str, Any]:
    from streamer.cli.machine import describe_machine, installed_versions

    return {
        "song": {"seed": seed, "seconds": seconds},
        "model": _MODEL,
        **report.as_dict(),
        "scores": {stem: _finite(scores.as_dict()) for stem, scores in recording.scores.items()},
        "stems": files["stems"],
        "true_stems": files["true_stems"],
        "mixture": files["mixture"]["mixture"],
        "machine": describe_machine(),
        "versions": installed_versions(),
    }


def _finite(scores: dict[str, float]) -> dict[str, float | None]:
    # JSON has no infinity, and a stem that is silent in a short song has no score at all.
    return {name: round(value, 3) if math.isfinite(value) else None for name, value in scores.items()}
