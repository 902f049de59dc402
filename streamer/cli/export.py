"""``stemstream export``: a checkpoint as an ONNX file."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import ConfigurationError
from streamer.cli.options import Config, Debug, Json
from streamer.cli.terminal import print_json, print_note, print_result

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from engine.export import ExportReport
    from engine.spec import ModelSpec

    F32 = npt.NDArray[np.float32]

__all__ = ["export"]

_WINDOWS = 2
_MOST_SECONDS = 120.0


class Part(StrEnum):
    """What becomes a graph; see `engine.export.export_onnx`."""

    WAVEFORM = "waveform"
    CORE = "core"


class ExportPrecision(StrEnum):
    """What a network reckons with; see `engine.export.export_onnx`."""

    FP32 = "fp32"
    FP16 = "fp16"


def export(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A checkpoint of an MDX23C model, or the name of a public one."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.onnx", help="The file to write.")],
    audio: Annotated[
        Path | None, typer.Argument(metavar="AUDIO", help="What to check with; without it, a composed song.")
    ] = None,
    config: Config = None,
    part: Annotated[
        Part,
        typer.Option(
            "--part", help="waveform: audio in, audio out. core: the network alone, from spectrum to spectra."
        ),
    ] = Part.WAVEFORM,
    precision: Annotated[
        ExportPrecision,
        typer.Option("--precision", help="What the network reckons with; fp16 halves the file, for graphics cards."),
    ] = ExportPrecision.FP32,
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare it with PyTorch on two windows; write nothing if they differ."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Write a checkpoint as an ONNX file that any ONNX Runtime runs, without PyTorch and without a config.

    It takes batches of any size, and holds the stems' names, the sample rate and all else that `-m FILE.onnx` needs.
    With --check, fp32 may differ from PyTorch by 1e-4 at most, and fp16 must reach 40 dB SDR for every stem. The file
    appears whole or not at all; exit code 4 if it cannot be made, is there already, or fails the check.
    """
    if audio is not None and not check:
        raise ConfigurationError(f"audio {str(audio)!r} was given to check with: add --check, or leave it out")
    from engine.export import export_onnx

    def heard(spec: ModelSpec) -> tuple[F32, int]:
        sound = _composed(spec) if audio is None else _read(audio)
        print_note(f"checking two windows of {spec.window_frames / spec.sample_rate:.2f} s against PyTorch")
        return sound

    print_note(f"exporting {model}")
    report = export_onnx(
        model,
        out,
        config=config,
        part=part.value,
        precision=precision.value,
        check_with=heard if check else None,
        overwrite=overwrite,
    )
    if json:
        print_json(_facts(report))
        return 0
    if report.check is not None:
        width = max(len(each.stem) for each in report.check.stems)
        for each in report.check.stems:
            print_result(f"{each.stem:<{width}}  max difference {each.max_difference:.1e}  SDR {each.sdr_db:.1f} dB")
    print_result(str(report.path))
    return 0


def _composed(spec: ModelSpec) -> tuple[F32, int]:
    from streamer.song import compose_song

    seconds = max(1.0, _WINDOWS * spec.window_frames / spec.sample_rate)
    song = compose_song(min(seconds, _MOST_SECONDS), sample_rate=44_100)
    return song.mixture, song.sample_rate


def _read(path: Path) -> tuple[F32, int]:
    import numpy as np

    from engine.files.reader import AudioReader

    with AudioReader(path) as reader:
        blocks, left = [], round(_MOST_SECONDS * reader.sample_rate)
        for block in reader.blocks(1 << 16):
            blocks.append(block)
            left -= block.shape[1]
            if left <= 0:
                break
        if not blocks:
            raise ConfigurationError(f"audio {str(path)!r} is empty: give some with sound in it")
        return np.concatenate(blocks, axis=1), reader.sample_rate


def _facts(report: ExportReport) -> dict[str, Any]:
    check = report.check
    return {
        "path": str(report.path),
        "part": report.part,
        "precision": report.precision,
        "size_bytes": report.size_bytes,
        "check": None
        if check is None
        else {
            "window_frames": check.window_frames,
            "batches": list(check.batches),
            "stems": {
                each.stem: {
                    "max_difference": each.max_difference,
                    # JSON has no infinity, which is what equality to the last bit is.
                    "sdr_db": round(each.sdr_db, 2) if math.isfinite(each.sdr_db) else None,
                }
                for each in check.stems
            },
        },
    }
