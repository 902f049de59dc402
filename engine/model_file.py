"""Whether a model file can be read at all, before anything is made of it."""

from __future__ import annotations

from pathlib import Path

from engine.errors import ModelError

__all__ = ["check_model_file"]


def check_model_file(path: Path, source: str, *, kind: str, remedy: str) -> None:
    """Refuse what is no file with something in it.

    Parameters
    ----------
    path : Path
    source : str
        What to call it in errors, for instance ``model file 'a.onnx'``.
    kind : str
        What to name instead of a folder.
    remedy : str
        What to do about an empty file.

    Raises
    ------
    ModelError
        If ``path`` does not exist, is a folder, is empty or cannot be read.
    """
    if path.is_dir():
        raise ModelError(f"{source} is a folder: name the {kind} in it")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        raise ModelError(f"{source} does not exist: check the path") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{source} cannot be read ({error}): check the path and its permissions") from error
    if empty:
        raise ModelError(f"{source} is empty: {remedy}")
