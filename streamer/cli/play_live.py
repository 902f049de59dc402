"""``stemstream play --as-live`` without a device: the live path on a file, and how well that went."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, LatencyError
from streamer.cli.compute import ComputeWish, load_chosen
from streamer.cli.options import Pace, latency_s, named_latency_error
from streamer.cli.summary import summary_lines
from streamer.cli.terminal import print_json, print_note, print_result, watched_progress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from streamer.file_session import SessionReport, Sink
    from streamer.report import Recording

    F32 = npt.NDArray[np.float32]

__all__ = ["play_live"]

_PAGES = (".html", ".htm")


def play_live(
    file: Path,
    *,
    output: str,
    save: Path | None,
    report: Path | None,
    model: str,
    config: Path | None,
    compute: ComputeWish,
    pace: Pace,
    latency_ms: float | None,
    block_frames: int,
    json: bool,
) -> int:
    """Separate a file on the live path without a device, and tell how well that went.

    Nothing is written unless ``save`` or ``report`` is given; the files appear whole, after the last frame.
    """
    if report is not None and report.suffix.lower() not in _PAGES:
        raise ConfigurationError(f"--report {str(report)!r} ends in {report.suffix!r}: allowed are {', '.join(_PAGES)}")
    from engine.files.part_file import whole_file
    from engine.files.reader import AudioReader
    from engine.files.stem_path import stem_path
    from engine.files.stem_writers import StemWriters
    from streamer.file_session import run_file_session
    from streamer.processor import StemProcessor
    from streamer.report import ReportRecorder

    saved: dict[str, str] = {}
    with ExitStack() as stack:
        reader = stack.enter_context(AudioReader(file))
        separator, _ = load_chosen(model, config, compute)
        stack.callback(separator.release)
        processor = StemProcessor(separator, latency_s=latency_s(latency_ms), realtime=pace is Pace.REALTIME)
        blocks = reader.blocks(block_frames)
        sinks: list[Sink] = []
        if report is not None:
            _check_replaces_no_input(f"--report {str(report)!r}", report, file)
            # Opened before the music, so that a place that cannot be written to is told at once; it appears last.
            page = stack.enter_context(whole_file(report, option="--report"))
        if save is not None:
            paths = {s: stem_path(save, track=file.stem, stem=s.lower(), ext="wav") for s in processor.stems}
            for stem, place in paths.items():
                _check_replaces_no_input(f"--save {str(save)!r}: stem {stem!r}", place, file)
            writers = StemWriters(paths, reader.sample_rate, reader.channels, frames_hint=reader.frames)
            sinks.append(stack.enter_context(writers).write)
            saved = {stem: str(path) for stem, path in paths.items()}
        if report is not None:
            recorder = stack.enter_context(ReportRecorder(processor.stems, reader.sample_rate, reader.channels))
            blocks = recorder.hear(blocks)
            sinks.append(recorder.take)
        with watched_progress(f"playing {file}") as progress:
            try:
                session = run_file_session(
                    processor,
                    blocks,
                    sample_rate=reader.sample_rate,
                    channels=reader.channels,
                    block_frames=block_frames,
                    frames=reader.frames,
                    sink=_all_of(sinks),
                    progress=progress,
                )
            except LatencyError as error:
                raise named_latency_error(latency_ms, error) from error
        if report is not None:
            print_note("making the report")
            recording = recorder.finish()
            if recorder.error is not None:
                print_note(f"the report has less to hear: {recorder.error}")
            page.write(_page(session, recording, title=file.name, model=separator.spec.name).encode())
    if json:
        print_json(
            {
                "input": str(file),
                "output": output,
                "model": separator.spec.name,
                **session.as_dict(),
                "saved": saved,
                "report_html": None if report is None else str(report),
            }
        )
        return 0
    for line in summary_lines(session):
        print_result(line)
    if report is not None:
        print_result(f"report    {report}")
    for path in saved.values():
        print_result(path)
    return 0


def _check_replaces_no_input(named: str, output: Path, file: Path) -> None:
    # The file is there, and may have more than one name.
    if output.exists() and output.samefile(file):
        raise ConfigurationError(f"{named} would replace the input {str(file)!r}: choose another place")


def _all_of(sinks: list[Sink]) -> Sink:
    def take(stems: F32) -> None:
        for sink in sinks:
            sink(stems)

    return take


def _page(session: SessionReport, recording: Recording, *, title: str, model: str) -> str:
    from streamer.cli.machine import describe_machine, installed_versions
    from streamer.report import report_contents, report_page

    machine, versions = describe_machine(), installed_versions()
    return report_page(
        report_contents(session, recording, title=title, model=model, machine=machine, versions=versions)
    )
