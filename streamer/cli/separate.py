"""``stemstream separate``: whole files into stem files."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import ConfigurationError, ModelError, StemstreamError
from engine.files.stem_path import DEFAULT_TEMPLATE, stem_path
from streamer.cli.options import Config, Debug, Json, Model
from streamer.cli.terminal import print_error, print_json, print_note, print_result, print_traceback, watched_progress

if TYPE_CHECKING:
    from engine.file_separation import FileReport

__all__ = ["separate"]

_FAILED = 1


class Extension(StrEnum):
    """Kinds of stem files."""

    WAV = "wav"
    FLAC = "flac"


def separate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="wav, flac, mp3, ogg, opus; m4a with PyAV.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the stems go; made if need be.")],
    model: Model = "spatial",
    config: Config = None,
    overlap: Annotated[
        int | None,
        typer.Option("--overlap", metavar="N", help="Windows that each frame is in; more is slower and smoother."),
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", metavar="N", help="Windows in one run of the model; more needs more memory.")
    ] = 1,
    stem: Annotated[
        list[str] | None,
        typer.Option("--stem", metavar="NAME", help="Write only this stem; may be given several times."),
    ] = None,
    two_stems: Annotated[
        str | None,
        typer.Option("--two-stems", metavar="NAME", help="Write this stem, and all others together as no_NAME."),
    ] = None,
    filename: Annotated[
        str,
        typer.Option(
            "--filename", metavar="TEMPLATE", help="Path of a stem in DIR, made of {track}, {stem} and {ext}."
        ),
    ] = DEFAULT_TEMPLATE,
    ext: Annotated[Extension, typer.Option("--ext", help="Kind of file; flac holds integers.")] = Extension.WAV,
    float32: Annotated[
        bool, typer.Option("--float32", help="Samples as the model gives them, also above full scale; default for wav.")
    ] = False,
    int24: Annotated[
        bool, typer.Option("--int24", help="24-bit integers, clipped at full scale; default for flac.")
    ] = False,
    int16: Annotated[bool, typer.Option("--int16", help="16-bit integers, clipped at full scale.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Separate files into stems, at their own rate, length and level.

    A file that fails is told and the others go on; the exit code is 1 then, or 4 if it was the model that failed.
    Two files whose stems would have the same names are refused before anything begins. The stems of a file appear
    together when all of it is done, and their paths are printed, one a line.
    """
    subtype = _subtype(ext, float32=float32, int24=int24, int16=int16)
    stem_path(out, filename, track="track", stem="stem", ext=ext)
    if stem and two_stems is not None:
        raise ConfigurationError(f"--stem {' '.join(stem)} and --two-stems {two_stems} were given: give one of them")
    from engine.file_separation import separate_file
    from engine.plan import offline_plan
    from engine.registry import load_separator
    from engine.worker import Worker

    worker = Worker(batch_size)
    separator = load_separator(model, config=config)
    plan = offline_plan(separator.spec, overlap=overlap)
    names = _output_names(separator.spec.output_stems, stem, two_stems)
    check_outputs(files, out, filename, names, ext)
    if not debug:
        # The worker's log tells live streams what is an error here, and is raised as one.
        logging.getLogger("stemstream").setLevel(logging.CRITICAL)
    done: list[dict[str, Any]] = []
    failed: list[tuple[Path, StemstreamError]] = []
    with contextlib.ExitStack() as stack:
        stack.callback(separator.release)
        for path in files:
            try:
                with watched_progress(f"separating {path}") as progress:
                    report = separate_file(
                        separator,
                        path,
                        out,
                        template=filename,
                        ext=ext,
                        subtype=subtype,
                        stems=stem or None,
                        two_stems=two_stems,
                        plan=plan,
                        worker=worker,
                        progress=progress,
                    )
            except StemstreamError as error:
                failed.append((path, error))
                if debug:
                    print_traceback()
                print_error(_named(path, error))
            else:
                done.append(report.as_dict())
                _tell(report, outputs=not json)
    if json:
        failures = [{"input": str(path), "error": str(error)} for path, error in failed]
        print_json({"model": separator.spec.name, "files": done, "failed": failures})
    return _exit_code([error for _, error in failed])


def check_outputs(files: Sequence[Path], folder: Path, template: str, stems: Sequence[str], ext: str) -> None:
    """Refuse inputs whose outputs would replace one another, or an input.

    Parameters
    ----------
    files : sequence of Path
        Folders among them are left out: they are not separated.
    folder, template, stems, ext
        As in ``engine.files.stem_path.stem_path``.

    Raises
    ------
    ConfigurationError
        Naming the two files.
    """
    inputs = [path for path in files if not path.is_dir()]
    places = {_place(path): path for path in inputs}
    owners: dict[str, Path] = {}
    for path in inputs:
        for stem in stems:
            output = stem_path(folder, template, track=path.stem, stem=stem.lower(), ext=ext)
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
                remedy = (
                    "separate them one at a time into folders of their own with --out"
                    if "{track}" in template
                    else "put {track} into --filename"
                )
                raise ConfigurationError(
                    f"{str(owners[place])!r} and {str(path)!r} would both become {str(output)!r}: {remedy}"
                )


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


def _output_names(known: tuple[str, ...], stems: Sequence[str] | None, two_stems: str | None) -> tuple[str, ...]:
    from engine.spec import find_stem

    option = "--stem" if two_stems is None else "--two-stems"
    wanted = (two_stems,) if two_stems is not None else stems or known
    found: dict[str, None] = {}
    for name in wanted:
        stem = find_stem(name, known)
        if stem is None:
            raise ConfigurationError(f"{option} {name!r} is unknown: this model gives {', '.join(known)}")
        found[stem] = None
    return tuple(found) if two_stems is None else (*found, *(f"no_{stem}" for stem in found))


def _named(path: Path, error: StemstreamError) -> str:
    return str(error) if str(path) in str(error) else f"{str(path)!r}: {error}"


def _tell(report: FileReport, *, outputs: bool) -> None:
    if outputs:
        for output in report.outputs.values():
            print_result(output)
    duration_s = report.frames / report.sample_rate
    print_note(
        f"{report.input}: {duration_s:.1f} s of audio in {report.seconds:.1f} s, "
        f"{duration_s / report.seconds:.1f} times as fast as it plays"
    )


def _exit_code(errors: Sequence[StemstreamError]) -> int:
    if any(isinstance(error, ModelError) for error in errors):
        return ModelError.exit_code
    return _FAILED if errors else 0
