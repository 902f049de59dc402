"""``stemstream models info|download|verify``: one model, and the files of the public ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import ModelError
from streamer.cli.options import Config, Debug, Json
from streamer.cli.terminal import print_json, print_note, print_result, print_warning, watched_progress

if TYPE_CHECKING:
    from engine.digests import ByteProgress
    from engine.public_models import PublicModel

__all__ = ["download_model", "model_info", "verify_models"]

_MODEL_FAULT = 4
_Name = Annotated[str, typer.Argument(metavar="NAME", help="A name of `stemstream models list`.")]
_Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Names of `stemstream models list`; default: all.")
]
_NameOrPath = Annotated[
    str, typer.Argument(metavar="NAME|PATH", help="A name of `stemstream models list`, or a model's file.")
]
_Sha256 = Annotated[
    str | None, typer.Option("--sha256", metavar="HEX", help="What the file must have, where it is not known.")
]
_Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Another address; what comes is checked all the same.")
]


def model_info(model: _NameOrPath, config: Config = None, json: Json = False, debug: Debug = False) -> int:
    """Say all that is known of a model, or of a file.

    Of a file these are its SHA-256, its format, its weights, and where its config comes from. Nothing in it is
    executed.
    """
    from engine.public_models import find_public_model
    from engine.registry import available_models
    from streamer.cli.file_facts import file_facts
    from streamer.cli.models import public_facts, registered_facts

    entry = next((entry for entry in available_models() if entry.name == model), None)
    public = find_public_model(model)
    if public is not None and public.name != model and Path(model).exists():
        public = None
    if entry is not None:
        facts = registered_facts(entry)
    elif public is not None:
        facts = public_facts(public)
    else:
        facts = file_facts(Path(model), config)
    if json:
        print_json(facts)
    else:
        width = max(len(key) for key in facts)
        absent = {"path": None, "kept_bytes": 0}
        for key, value in facts.items():
            if key in absent and value == absent[key]:
                continue
            print_result(f"{key:<{width}}  {_shown(value)}")
    if "error" in facts:
        raise ModelError(facts["error"])
    return 0


def download_model(
    name: _Name, sha256: _Sha256 = None, url: _Url = None, json: Json = False, debug: Debug = False
) -> int:
    """Download a public model into the cache folder, check it, and name the file.

    An interrupted download goes on where it was when the same command is run again. Nothing is downloaded that cannot
    be checked: where no SHA-256 is known, --sha256 must say it. The cache folder is the user's, or STEMSTREAM_CACHE.
    """
    from engine.model_store import check_request, fetch_model, kept_bytes

    model = _public(name)
    check_request(model, sha256=sha256, url=url)
    try:
        with _bytes_watched(f"downloading {model.name}") as (progress, check):
            told: list[str] = []

            def waiting() -> None:
                if not told:
                    told.append(model.name)
                    print_note(f"another process is downloading {model.name}: waiting for it")
                check()

            fetched = fetch_model(model, sha256=sha256, url=url, progress=progress, waiting=waiting)
    except KeyboardInterrupt:
        if kept := kept_bytes(model):
            print_note(f"{kept} bytes of {model.name} are kept: run the same command again to go on")
        raise
    if json:
        print_json(
            {
                "name": model.name,
                "path": str(fetched.path),
                "sha256": fetched.sha256,
                "size_bytes": fetched.path.stat().st_size,
                "was_there": fetched.was_there,
            }
        )
    else:
        print_result(f"{model.name}: {fetched.path}{' (was there, and is whole)' if fetched.was_there else ''}")
    return 0


def verify_models(names: _Names = None, json: Json = False, debug: Debug = False) -> int:
    """Read the downloaded models and say which are whole: ok, damaged, or unknown where nothing says what they are.

    Exit code 4 if any is damaged, or a model that is named is not there.
    """
    from engine.model_audit import audit_models
    from engine.public_models import PUBLIC_MODELS

    models = [_public(name) for name in names or ()] or list(PUBLIC_MODELS)
    with _bytes_watched("reading the models") as (progress, _):
        found = audit_models(models, strays=not names, progress=progress)
    if json:
        print_json({"files": [each.as_dict() for each in found]})
    for each in found if not json else ():
        print_result(f"{each.state:<8} {each.path}")
    if not found and not json:
        print_result("no models are downloaded")
    missing = [model.name for model in models if names and model.name not in {each.name for each in found}]
    for each in found:
        if each.remedy and each.state != "damaged":
            print_warning(f"{each.path}: {each.remedy}")
    faults = [f"{each.path} is damaged: {each.remedy}" for each in found if each.state == "damaged"]
    faults += [f"{name} is not on this machine: stemstream models download {name}" for name in missing]
    if faults:
        raise ModelError("; ".join(faults))
    return 0


def _public(name: str) -> PublicModel:
    import difflib

    from engine.public_models import PUBLIC_MODELS, find_public_model

    model = find_public_model(name)
    if model is None:
        known = [model.name for model in PUBLIC_MODELS]
        close = difflib.get_close_matches(name.lower(), known, n=2)
        hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
        raise ModelError(f"{name!r} is no public model that is known here: {hint}known are {', '.join(known)}")
    return model


@contextmanager
def _bytes_watched(label: str) -> Iterator[tuple[ByteProgress, Callable[[], None]]]:
    """Give a progress callback that takes bytes, and one that only obeys Ctrl-C."""
    from engine.offline import Progress

    with watched_progress(label) as watched:

        def progress(done: int, total: int | None) -> None:
            watched(Progress(done / total if total else math.nan, math.nan))

        def check() -> None:
            watched(Progress(math.nan, math.nan))

        yield progress, check


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "not stated"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return "  ".join(f"{key} {_shown(inner)}" for key, inner in value.items())
    return str(value)
