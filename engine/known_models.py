"""Public MDX23C checkpoints whose config is known, so that it may be left out.

A file is known by its SHA-256, never by its name. All of these share the settings in `_config`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from engine.config import Mdx23cConfig

__all__ = ["KNOWN_MODELS", "KnownModel", "known_model"]


_LONG = (8192, 1024, 4096)  # frames of a transform and between two, and the bins that count
_SHORT = (2048, 512, 1024)


@dataclass(frozen=True)
class KnownModel:
    """A public checkpoint.

    Attributes
    ----------
    title : str
        What it is, in one line.
    config : Mdx23cConfig
    """

    title: str
    config: Mdx23cConfig


def _config(
    *instruments: str, transform: tuple[int, int, int] = _LONG, window: int = 261_120, target: str | None = None
) -> Mdx23cConfig:
    n_fft, hop, bins = transform
    return Mdx23cConfig.model_validate(
        {
            "audio": {"sample_rate": 44_100, "n_fft": n_fft, "hop_length": hop, "chunk_size": window, "dim_f": bins},
            "model": {"act": "gelu", "norm": "InstanceNorm"},
            "training": {"instruments": instruments, "target_instrument": target},
            "inference": {"num_overlap": 4},
        }
    )


KNOWN_MODELS = {
    "49d51472769e34a2501cd1da782346a3212555c3a5619fc2c53507445528d816": KnownModel(
        "vocals and the rest (MDX23C-8KFFT-InstVoc_HQ, model_vocals_mdx23c_sdr_10.17)", _config("vocals", "other")
    ),
    "c1d31e3c47a98e8cdb12b3382a1a313c1a95c835da4310dd6350e7e1892f821c": KnownModel(
        "four stems, trained on MUSDB18 (model_mdx23c_ep_168_sdr_7.0207)",
        _config("vocals", "bass", "drums", "other"),
    ),
    "eae2471b707758d74db38ac1b1d5800e12f57c4e9d1ebbb2faf004b8e086e914": KnownModel(
        "reverberation and the dry sound (dereverb_mdx23c_sdr_6.9096)", _config("No Reverb", "Reverb")
    ),
    "d2a4aa53eb584d21eead358a4e66d1882ad182911be018f052b5da73be9096d0": KnownModel(
        "six parts of a drum set (aufr33-jarredou_DrumSep_model_mdx23c_ep_141_sdr_10.8059)",
        _config("Kick", "Snare", "Toms", "Hh", "Ride", "Crash", window=130_560, transform=_SHORT),
    ),
    "1f8e636fb674b88a52c8399fde9a4ebe2b72b065ca07eed4e03ab1c9f0bfb2e0": KnownModel(
        "five parts of a drum set (drumsep_5stems_mdx23c_jarredou)",
        _config("kick", "snare", "toms", "hh", "cymbals", window=523_776, transform=_SHORT),
    ),
    "1227f8d97c7436004d03e46091427393abefebcc08ce53ef30082742c4e482f7": KnownModel(
        "what both channels share (model_mdx23c_ep_271_l1_freq_72.2383)",
        _config("Similarity", "Difference", window=130_560, target="Similarity", transform=_SHORT),
    ),
}
"""By the SHA-256 of the file."""


def known_model(path: Path) -> KnownModel | None:
    """Look a checkpoint up by its contents; reads all of it.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        return KNOWN_MODELS.get(hashlib.file_digest(file, "sha256").hexdigest())
