"""Which of the downloaded models are whole: every file is read and compared with what it must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from engine.cache import models_folder
from engine.digests import ByteProgress, sha256_of
from engine.model_store import find_model_file, own_file, wanted_sha256
from engine.public_models import PUBLIC_MODELS, PublicModel

__all__ = ["AuditState", "AuditedFile", "audit_models"]

_BESIDE = (".yaml", ".sha256", ".json", ".lock")


class AuditState(StrEnum):
    """What a file turned out to be."""

    OK = "ok"
    DAMAGED = "damaged"
    UNKNOWN = "unknown"
    PARTIAL = "partial"


@dataclass(frozen=True)
class AuditedFile:
    """A file that was read.

    Attributes
    ----------
    name : str or None
        Of the model that it is, or should be.
    path : Path
    state : AuditState
    sha256 : str or None
        What it has; None for one that cannot be read or is not whole yet.
    remedy : str
        Empty where all is well.
    """

    name: str | None
    path: Path
    state: AuditState
    sha256: str | None
    remedy: str

    def as_dict(self) -> dict[str, Any]:
        """Give everything as plain data."""
        return {**asdict(self), "path": str(self.path), "state": str(self.state)}


def audit_models(
    models: Sequence[PublicModel], *, strays: bool, progress: ByteProgress | None = None
) -> tuple[AuditedFile, ...]:
    """Read the files of these models, wherever they are found.

    Parameters
    ----------
    models : sequence of PublicModel
        Those that are not on this machine are left out of the result.
    strays : bool
        Also list what else lies in the folder of the downloaded models: other files, and unfinished downloads.
    progress : callable, optional
        Called with the bytes of one file after the other.
    """
    present = [(model, path) for model in models if (path := find_model_file(model)) is not None]
    found = [_audited(model, path, progress) for model, path in present]
    return (*found, *(_strays() if strays else ()))


def _audited(model: PublicModel, path: Path, progress: ByteProgress | None) -> AuditedFile:
    fetch, wanted = f"stemstream models download {model.name}", wanted_sha256(model)
    try:
        digest = sha256_of(path, progress)
    except OSError as error:
        return AuditedFile(model.name, path, AuditState.DAMAGED, None, f"it cannot be read ({error.strerror}), {fetch}")
    if wanted is None:
        remedy = f"nothing says what its SHA-256 must be; {fetch} --sha256 HEX records it"
        return AuditedFile(model.name, path, AuditState.UNKNOWN, digest, remedy)
    if digest == wanted:
        return AuditedFile(model.name, path, AuditState.OK, digest, "")
    if path != own_file(model):
        remedy = f"it is another file of that name, and is not used; {fetch} fetches the right one"
        return AuditedFile(model.name, path, AuditState.UNKNOWN, digest, remedy)
    return AuditedFile(model.name, path, AuditState.DAMAGED, digest, f"{fetch} fetches it again")


def _strays() -> list[AuditedFile]:
    folder = models_folder()
    known = {own_file(model) for model in PUBLIC_MODELS}
    strays: list[AuditedFile] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path in known or not path.is_file() or path.suffix in _BESIDE:
            continue
        if path.suffix == ".part":
            remedy = "the download is not finished: run it again, or delete the file"
            strays.append(AuditedFile(None, path, AuditState.PARTIAL, None, remedy))
        else:
            strays.append(AuditedFile(None, path, AuditState.UNKNOWN, None, "it is no model that is known here"))
    return strays
