"""``stemstream separate``: whole files into stem files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import ConfigurationError
from engine.excerpt import Excerpt, parse_time
from engine.files.stem_path import DEFAULT_TEMPLATE, check_ending, stem_path
from streamer.cli.batch_report import BatchReport
from streamer.cli.compute import ComputeWish, load_chosen, parse_batch_size, precision_mark
from streamer.cli.file_bars import watched_files
from streamer.cli.options import Backend, Config, Debug, Device, Json, Model, Precision
from streamer.cli.terminal import print_json

if TYPE_CHECKING:
    from engine.files.folders import AudioInput

__all__ = ["separate"]


class Extension(StrEnum):
    """Kinds of stem files."""

    WAV = "wav"
    FLAC = "flac"


class Clipping(StrEnum):
    """What is done with samples that integers cannot hold; see `engine.files.levels.Clip`."""

    CLAMP = "clamp"
    SCALE = "scale"


def separate(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="wav, flac, mp3, ogg, opus; m4a with PyAV. Or a folder: all songs in it."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the stems go; made if need be.")],
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Folders in folders too; the stems go into folders of the same names.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Do again what is done, and replace whatever is in the way, but never an input."
        ),
    ] = False,
    model: Model = "spatial",
    config: Config = None,
    device: Device = "auto",
    backend: Backend = "auto",
    precision: Precision = "auto",
    overlap: Annotated[
        int | None,
        typer.Option("--overlap", metavar="N", help="Windows that each frame is in; more is slower and smoother."),
    ] = None,
    batch_size: Annotated[
        str,
        typer.Option(
            "--batch-size",
            metavar="N|auto",
            help="Windows in one run of the model; more needs more memory. auto: what `stemstream bench` found, or 1.",
        ),
    ] = "auto",
    jobs: Annotated[
        int,
        typer.Option("--jobs", "-j", metavar="N", help="Files under way at once: read and written beside the model."),
    ] = 1,
    stem: Annotated[
        list[str] | None,
        typer.Option("--stem", metavar="NAME", help="Write only this stem; may be given several times."),
    ] = None,
    two_stems: Annotated[
        str | None,
        typer.Option("--two-stems", metavar="NAME", help="Write this stem, and the input without it as no_NAME."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start", metavar="TIME", help="Begin there, in seconds or m:ss; the rest is heard, not written."
        ),
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--duration", metavar="TIME", help="So much at most, in seconds or m:ss.")
    ] = None,
    filename: Annotated[
        str,
        typer.Option(
            "--filename",
            metavar="TEMPLATE",
            help="Path of a stem in DIR, made of {track}, {stem}, {ext}, and {suffix}, the input's.",
        ),
    ] = DEFAULT_TEMPLATE,
    ext: Annotated[Extension, typer.Option("--ext", help="Kind of file; flac holds integers.")] = Extension.WAV,
    float32: Annotated[
        bool, typer.Option("--float32", help="Samples as the model gives them, also above full scale; default for wav.")
    ] = False,
    int24: Annotated[bool, typer.Option("--int24", help="24-bit integers; default for flac.")] = False,
    int16: Annotated[bool, typer.Option("--int16", help="16-bit integers, without dither.")] = False,
    clip: Annotated[
        Clipping | None,
        typer.Option(
            "--clip",
            help="Integers above full scale. clamp, the default: they become full scale. scale: one gain for all stems "
            "of a track. Either is told.",
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Separate files and folders into stems, at their own rate, length and level.

    A file that fails is told and the others go on; the exit code is 1 then, or 4 if it was the model that failed.
    Two files whose stems would have the same names are refused before anything begins. The stems of a file appear
    together when all of it is done, and their paths are printed, one a line.

    Files that are done are skipped when the command is given again: their stems are there, say in their tags that
    they were made of this file by this model with these settings, and fit it in rate, channels and length. Files that
    are no stems of the input are replaced with --overwrite alone.
    """
    wish = ComputeWish(device, backend, precision)
    subtype = _subtype(ext, float32=float32, int24=int24, int16=int16)
    if clip is not None and ext is Extension.WAV and subtype == "FLOAT":
        raise ConfigurationError(
            f"--clip {clip} is for integers, and float32 holds what is above full scale: leave it out, or give --int24"
        )
    excerpt = Excerpt(
        0.0 if start is None else parse_time(start, "--start"),
        None if duration is None else parse_time(duration, "--duration"),
    )
    check_ending(filename, stem_path(out, filename, track="track", stem="stem", ext=ext, suffix=ext), ext)
    if stem and two_stems is not None:
        raise ConfigurationError(f"--stem {' '.join(stem)} and --two-stems {two_stems} were given: give one of them")
    from engine.file_batch import check_jobs, separate_files
    from engine.files.folders import find_audio
    from engine.files.levels import Clip
    from engine.model_identity import model_identity
    from engine.offline_model import OfflineModel
    from engine.plan import offline_plan
    from engine.worker import Worker

    check_jobs(jobs)
    asked_batch = parse_batch_size(batch_size)
    inputs, failed = find_audio(files, recursive=recursive, out=out)
    separator, choice = load_chosen(model, config, wish)
    with contextlib.ExitStack() as stack:
        stack.callback(separator.release)
        worker = Worker(choice.batch_size if asked_batch is None else asked_batch)
        plan = offline_plan(separator.spec, overlap=overlap)
        _check_stems(separator.spec.output_stems, stem, two_stems)
        chosen = OfflineModel(
            separator, [two_stems] if two_stems is not None else stem or None, with_rest=two_stems is not None
        )
        check_outputs(inputs, out, filename, chosen.names, ext)
        report = BatchReport(is_json=json, debug=debug)
        for each in failed:
            report.tell_failure(each.path, each.error)
        settings = {
            "template": filename,
            "ext": ext,
            "subtype": subtype,
            "clip": Clip(clip or Clipping.CLAMP),
            "excerpt": excerpt,
            "plan": plan,
            "overwrite": overwrite,
            "model_id": model_identity(separator, model, config) + precision_mark(wish, choice.compute),
        }
        try:
            with (
                watched_files(len(inputs)) as watch,
                contextlib.closing(
                    separate_files(chosen, inputs, out, jobs=jobs, worker=worker, watch=watch, **settings)
                ) as outcomes,
            ):
                for outcome in outcomes:
                    report.tell(outcome)
        except KeyboardInterrupt:
            # What was done until then is told all the same.
            report.is_interrupted = True
    if not report.is_interrupted:
        report.tell_sum()
    if json:
        print_json(report.as_dict(chosen.spec.name))
    return report.exit_code


def check_outputs(inputs: Sequence[AudioInput], folder: Path, template: str, stems: Sequence[str], ext: str) -> None:
    """Refuse inputs whose outputs would replace one another, or an input.

    Parameters
    ----------
    inputs : sequence of AudioInput
    folder, template, stems, ext
        As in ``engine.files.stem_path.stem_path``.

    Raises
    ------
    ConfigurationError
        Naming the two files.
    """
    from engine.file_separation import stem_outputs

    places = {_place(each.path): each.path for each in inputs}
    owners: dict[str, Path] = {}
    for each in inputs:
        path = each.path
        for stem, output in stem_outputs(path, folder, template, stems, ext, subfolders=each.subfolders).items():
            place = _place(output)
            if place in places:
                raise ConfigurationError(
                    f"stem {stem!r} of {str(path)!r} would replace the input {str(places[place])!r}: "
                    "choose another --out or --filename"
                )
            if owners.get(place) is path:
                raise ConfigurationError(
                    f"all stems of {str(path)!r} would become {str(output)!r}: put {{stem}} into --filename"
                )
            if owners.setdefault(place, path) is not path:
                raise ConfigurationError(
                    f"{str(owners[place])!r} and {str(path)!r} would both become {str(output)!r}: "
                    f"{_remedy(owners[place], path, template)}"
                )


def _remedy(first: Path, second: Path, template: str) -> str:
    if "{track}" not in template:
        return "put {track} into --filename"
    if first.suffix.lower() != second.suffix.lower() and "{suffix}" not in template:
        return "put {suffix} into --filename, as in '{track}.{suffix}/{stem}.{ext}'"
    return "separate them one at a time into folders of their own with --out"


def _place(path: Path) -> str:
    # Names that differ in case alone are one file on Windows and macOS.
    return os.path.realpath(path).casefold()


def _subtype(ext: Extension, *, float32: bool, int24: bool, int16: bool) -> str:
    wanted = {"--float32": float32, "--int24": int24, "--int16": int16}
    given = [name for name, is_given in wanted.items() if is_given]
    if len(given) > 1:
        raise ConfigurationError(f"{' and '.join(given)} were given: give one of them")
    if ext is Extension.FLAC and float32:
        raise ConfigurationError("--float32 does not go with --ext flac, which holds integers: use --int24 or wav")
    return "PCM_24" if int24 else "PCM_16" if int16 else "FLOAT"


def _check_stems(known: tuple[str, ...], stems: Sequence[str] | None, two_stems: str | None) -> None:
    from engine.spec import find_stem

    option = "--stem" if two_stems is None else "--two-stems"
    for name in (two_stems,) if two_stems is not None else stems or ():
        if find_stem(name, known) is None:
            raise ConfigurationError(f"{option} {name!r} is unknown: this model gives {', '.join(known)}")
