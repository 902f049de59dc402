"""Checkpoints whose settings are known by what is in them, so that a config may be left out.

A file is known by its SHA-256, never by its name. For a file that is not, the digest by which Ultimate Vocal Remover
tells its models apart may pick the settings: the tensors still have to agree with them, and nothing is trusted for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.config import Mdx23cConfig
from engine.digests import md5_of_end, sha256_of
from engine.public_models import PUBLIC_MODELS, PublicModel

__all__ = ["KNOWN_ENDS", "KNOWN_MODELS", "KnownModel", "known_by_end", "known_model"]

_END_DIGITS = 8


@dataclass(frozen=True)
class KnownModel:
    """What the contents of a file tell about it.

    Attributes
    ----------
    title : str
        What it is, in one line.
    config : Mdx23cConfig
    is_verified : bool
        It is that file, by its SHA-256. Otherwise only its end looks like it.
    """

    title: str
    config: Mdx23cConfig
    is_verified: bool = True


def _told(model: PublicModel) -> KnownModel:
    return KnownModel(f"{model.title} ({', '.join(file.removesuffix('.ckpt') for file in model.files)})", model.config)


def _by_end(name: str) -> KnownModel:
    model = next(model for model in PUBLIC_MODELS if model.name == name)
    return KnownModel(f"{model.title} (settings of {model.config_name})", model.config, is_verified=False)


KNOWN_MODELS = {model.sha256: _told(model) for model in PUBLIC_MODELS if model.sha256 is not None}
"""By the SHA-256 of the file."""

KNOWN_ENDS = {
    "99b6ceaa": _by_end("mdx23c-vocals-hq2"),
    "116f6f9d": _by_end("mdx23c-vocals-hq2"),
    "b1e60145": _by_end("mdx23c-drumsep-6"),
    "c7500d7f": _by_end("mdx23c-similarity"),
}
"""By the first digits of the MD5 of the file's end, see `engine.digests.md5_of_end`."""


def known_model(path: Path) -> KnownModel | None:
    """Look a checkpoint up by its contents; reads all of it.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    return KNOWN_MODELS.get(sha256_of(path)) or known_by_end(path)


def known_by_end(path: Path) -> KnownModel | None:
    """Look the settings of a file up by its end alone; raises as `known_model` does."""
    return KNOWN_ENDS.get(md5_of_end(path)[:_END_DIGITS])
