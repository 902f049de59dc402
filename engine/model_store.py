"""Public models on this machine: which are there, whether they are whole, and how they get there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from engine.cache import models_folder, other_models_folder
from engine.digests import ByteProgress, sha256_of
from engine.download import check_address, download, part_of, shown_bytes
from engine.errors import ConfigurationError, ModelError
from engine.file_lock import locked
from engine.files.part_file import write_whole
from engine.public_models import PublicModel

__all__ = [
    "FetchedModel",
    "check_request",
    "checked_model",
    "config_of",
    "fetch_model",
    "find_model_file",
    "kept_bytes",
    "own_file",
    "recorded_sha256",
    "wanted_sha256",
]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_OPTION = "STEMSTREAM_CACHE"


@dataclass(frozen=True)
class FetchedModel:
    """A model that was fetched, or was there already.

    Attributes
    ----------
    path : Path
        Of its file, checked.
    sha256 : str
    was_there : bool
        Nothing had to be fetched.
    """

    path: Path
    sha256: str
    was_there: bool


def own_file(model: PublicModel) -> Path:
    """Where a model lies once it is downloaded."""
    return models_folder() / model.files[0]


def config_of(model: PublicModel) -> Path:
    """Where its settings are written when it is downloaded."""
    return own_file(model).with_suffix(".yaml")


def find_model_file(model: PublicModel) -> Path | None:
    """Find a model's file by its name alone: downloaded, or where AUDIO_SEPARATOR_MODEL_DIR points.

    Nothing is read: whether it is that file is not known.
    """
    return next((path for path in _places(model) if path.is_file()), None)


def kept_bytes(model: PublicModel) -> int:
    """Bytes that an unfinished download left; 0 without one."""
    try:
        return part_of(own_file(model)).stat().st_size
    except OSError:
        return 0


def recorded_sha256(path: Path) -> str | None:
    """Give the SHA-256 by which a file was checked when it was downloaded, as written beside it."""
    try:
        digest, _, name = _record_of(path).read_text(encoding="utf-8").strip().partition("  ")
    except (OSError, ValueError):
        return None
    return digest if name == path.name and _SHA256.fullmatch(digest) else None


def wanted_sha256(model: PublicModel) -> str | None:
    """Give the SHA-256 that a model's file must have: the one that is stated, or the one given at its download."""
    return model.sha256 or recorded_sha256(own_file(model))


def checked_model(model: PublicModel) -> tuple[Path, Path | None]:
    """Give a model's file, after reading all of it to check it, and its config where one was written. No network.

    Raises
    ------
    ModelError
        If it is not on this machine, or is there and not the file that it should be.
    """
    wanted = wanted_sha256(model)
    remedy = f"stemstream models download {model.name}" + ("" if wanted else " --sha256 HEX")
    path = find_model_file(model)
    if path is not None and wanted is None:
        raise ModelError(
            f"{str(path)!r} has the name of model {model.name!r}, and nothing says what its SHA-256 must be: {remedy} "
            "records it, or use the file by its path"
        )
    if path is None:
        size = f" fetches it ({shown_bytes(model.size_bytes)})" if model.size_bytes else " fetches it"
        raise ModelError(f"model {model.name!r} is not on this machine: {remedy}{size}")
    found: dict[Path, str] = {}
    for place in _places(model):
        if place.is_file():
            found[place] = _sha256_of(place)
            if found[place] == wanted:
                config = config_of(model)
                return place, config if config.is_file() else None
    raise ModelError(
        f"{str(path)!r} is damaged, or another file: its SHA-256 is {found.get(path)} where model {model.name!r} has "
        f"{wanted}; {remedy} fetches it again"
    )


def fetch_model(
    model: PublicModel,
    *,
    sha256: str | None = None,
    url: str | None = None,
    progress: ByteProgress | None = None,
    waiting: Callable[[], None] | None = None,
) -> FetchedModel:
    """Download a model into the cache folder, unless it is on this machine.

    Its settings are written beside it, so that both can be carried elsewhere together. Where another process, or
    another thread, is fetching the same model, this one waits for it and finds the file there.

    Parameters
    ----------
    model : PublicModel
    sha256 : str, optional
        Needed where none is stated; written beside the file as ``sha256sum`` writes it.
    url : str, optional
        Another address than the stated one.
    progress : callable, optional
        See `engine.digests.ByteProgress`; what it raises ends the download and keeps what has come.
    waiting : callable, optional
        Called again and again while another process has the model; what it raises ends the wait.

    Raises
    ------
    ConfigurationError
        If no SHA-256 or no address is known and none is given, or what is given is unusable.
    ModelError
        If it cannot be fetched, kept, or is not the file that was wanted; see `engine.download.download`.
    OutputError
        If what belongs beside it cannot be written.
    """
    wanted = check_request(model, sha256=sha256, url=url)
    for place in _places(model):
        if place != own_file(model) and place.is_file() and _sha256_of(place, progress) == wanted:
            _write_beside(model, wanted)
            return FetchedModel(place, wanted, True)
    target = own_file(model)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.with_name(f".{target.name}.lock"), waiting):
            was_there = target.is_file() and _sha256_of(target, progress) == wanted
            if not was_there:
                download(_address(model, url), target, wanted, size_bytes=model.size_bytes, progress=progress)
            _write_beside(model, wanted)
    except OSError as error:
        raise ModelError(
            f"{str(target.parent)!r} cannot be written or locked ({error.strerror}): correct its permissions, or set "
            f"{_OPTION} to a folder on a disk of this machine"
        ) from error
    return FetchedModel(target, wanted, was_there)


def check_request(model: PublicModel, *, sha256: str | None = None, url: str | None = None) -> str:
    """Find out whether `fetch_model` can be asked for this; gives the SHA-256 that counts.

    Raises
    ------
    ConfigurationError
        As `fetch_model` does.
    """
    wanted = _chosen_sha256(model, sha256)
    if url is not None:
        check_address(url)
    elif not model.urls and find_model_file(model) is None:
        raise _no_address(model)
    return wanted


def _places(model: PublicModel) -> tuple[Path, ...]:
    other = other_models_folder()
    return (own_file(model), *(() if other is None else (other / name for name in model.files)))


def _chosen_sha256(model: PublicModel, given: str | None) -> str:
    if given is None:
        known = wanted_sha256(model)
        if known is None:
            raise ConfigurationError(
                f"nobody states the SHA-256 of model {model.name!r} ({model.files[0]}), so what comes could not be "
                f"checked: give the one that you trust with --sha256; it is published by {model.source}"
            )
        return known
    digest = given.strip().lower()
    if not _SHA256.fullmatch(digest):
        raise ConfigurationError(f"--sha256 {given!r} is no SHA-256: give its 64 digits, 0 to 9 and a to f")
    if model.sha256 is not None and digest != model.sha256:
        raise ConfigurationError(
            f"--sha256 {digest} is not that of model {model.name!r}, which is {model.sha256}: leave it out, and use "
            "another file by its path"
        )
    return digest


def _address(model: PublicModel, given: str | None) -> str:
    if given is None and not model.urls:
        raise _no_address(model)
    return given or model.urls[0]


def _no_address(model: PublicModel) -> ConfigurationError:
    return ConfigurationError(
        f"no address of model {model.name!r} ({model.files[0]}) is stated: give one with --url, what comes is checked "
        f"by its SHA-256; it is published by {model.source}"
    )


def _sha256_of(path: Path, progress: ByteProgress | None = None) -> str:
    try:
        return sha256_of(path, progress)
    except OSError as error:
        raise ModelError(f"{str(path)!r} cannot be read ({error.strerror}): correct its permissions") from error


def _record_of(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _write_beside(model: PublicModel, sha256: str) -> None:
    target, config = own_file(model), config_of(model)
    if not config.is_file():
        settings = yaml.safe_dump(model.config.model_dump(mode="json", exclude_none=True), sort_keys=False)
        heading = f"# Settings of {model.files[0]}, as published in {model.config_name}.\n"
        write_whole(config, heading + settings, option=_OPTION)
    if model.sha256 is None and recorded_sha256(target) != sha256:
        write_whole(_record_of(target), f"{sha256}  {target.name}\n", option=_OPTION)
