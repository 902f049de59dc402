"""Where this project keeps what it fetched and made, and where another program's models may lie."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = [
    "CACHE_VARIABLE",
    "OTHER_MODELS_VARIABLE",
    "cache_folder",
    "exports_folder",
    "models_folder",
    "other_models_folder",
]

CACHE_VARIABLE = "STEMSTREAM_CACHE"
OTHER_MODELS_VARIABLE = "AUDIO_SEPARATOR_MODEL_DIR"
"""Set for python-audio-separator, which keeps the same checkpoints there."""

_PROGRAM = "stemstream"


def cache_folder() -> Path:
    """Folder that `STEMSTREAM_CACHE` names, or else the user's cache folder of this system; it need not be there."""
    named = _folder_named_by(CACHE_VARIABLE)
    if named is not None:
        return named
    import platformdirs

    return Path(platformdirs.user_cache_dir(_PROGRAM))


def models_folder() -> Path:
    """Folder of the downloaded models, inside the cache folder."""
    return cache_folder() / "models"


def exports_folder() -> Path:
    """Folder of the checkpoints that were exported once, inside the cache folder."""
    return cache_folder() / "exports"


def other_models_folder() -> Path | None:
    """Folder that `AUDIO_SEPARATOR_MODEL_DIR` names; nothing is ever written into it."""
    return _folder_named_by(OTHER_MODELS_VARIABLE)


def _folder_named_by(variable: str) -> Path | None:
    text = os.environ.get(variable, "")
    return Path(text).expanduser().absolute() if text else None
