"""The MDX23C checkpoints that are public: their names here, where they are, and what is known of them.

Everything in the table is stated by those who publish or list these files. What nobody states is None: no address and
no digest is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.config import Mdx23cConfig

__all__ = ["PUBLIC_MODELS", "PublicModel", "find_public_model"]

_LONG = (8192, 1024, 4096)  # frames of a transform and between two, and the bins that count
_SHORT = (2048, 512, 1024)
_LONGEST = (12_288, 2048, 4096)

_MSST = "https://github.com/ZFTurbo/Music-Source-Separation-Training"
_UVR = "https://github.com/TRvlvr/model_repo/releases/download/all_public_uvr_models"
_UVR_CONFIGS = "https://raw.githubusercontent.com/TRvlvr/application_data/main/mdx_model_data/mdx_c_configs"
_DRUMS = "https://github.com/jarredou/models/releases/download"
_IN_MIT_REPOSITORY = "not stated for the weights; released in a repository under the MIT licence"


@dataclass(frozen=True)
class PublicModel:
    """A public checkpoint.

    Attributes
    ----------
    name : str
        What `engine.registry.load_separator` takes.
    title : str
        What it is, in one line.
    config : Mdx23cConfig
        The settings that were published with it, as far as its tensors do not say them.
    files : tuple of str
        Names under which the same bytes are spread; the first is the one that is used here.
    sha256 : str or None
        Of the file, in lower case; None where nobody states it.
    size_bytes : int or None
        Of the file; None where nobody states it.
    urls : tuple of str
        Addresses of the file. Empty where only its repository is stated, or where it is not for everybody.
    source : str
        Who publishes it, or the repository.
    config_name : str
        The YAML file that was published with it.
    config_url : str or None
        Its address, where one is stated. It is not fetched: nothing is stated to check it by.
    licence : str or None
        What is stated about it; None for nothing.
    """

    name: str
    title: str
    config: Mdx23cConfig
    files: tuple[str, ...]
    sha256: str | None
    size_bytes: int | None
    urls: tuple[str, ...]
    source: str
    config_name: str
    config_url: str | None = None
    licence: str | None = None


def find_public_model(name: str) -> PublicModel | None:
    """Look a model up by its name, or by one of its files' names, with or without ``.ckpt``; in any case of letters."""
    wanted = name.lower().removesuffix(".ckpt")
    return next((model for model in PUBLIC_MODELS if wanted in _names(model)), None)


def _names(model: PublicModel) -> set[str]:
    return {model.name, *(file.lower().removesuffix(".ckpt") for file in model.files)}


def _config(
    *instruments: str,
    transform: tuple[int, int, int] = _LONG,
    window: int = 261_120,
    target: str | None = None,
    overlap: int = 4,
) -> Mdx23cConfig:
    n_fft, hop, bins = transform
    return Mdx23cConfig.model_validate(
        {
            "audio": {"sample_rate": 44_100, "n_fft": n_fft, "hop_length": hop, "chunk_size": window, "dim_f": bins},
            "model": {"act": "gelu", "norm": "InstanceNorm"},
            "training": {"instruments": instruments, "target_instrument": target},
            "inference": {"num_overlap": overlap},
        }
    )


PUBLIC_MODELS = (
    PublicModel(
        name="mdx23c-vocals",
        title="vocals and the rest",
        config=_config("vocals", "other"),
        files=("MDX23C-8KFFT-InstVoc_HQ.ckpt", "model_vocals_mdx23c_sdr_10.17.ckpt"),
        sha256="49d51472769e34a2501cd1da782346a3212555c3a5619fc2c53507445528d816",
        size_bytes=448_101_203,
        urls=(
            f"{_MSST}/releases/download/v1.0.0/model_vocals_mdx23c_sdr_10.17.ckpt",
            f"{_UVR}/MDX23C-8KFFT-InstVoc_HQ.ckpt",
        ),
        source=_MSST,
        config_name="config_vocals_mdx23c.yaml",
        licence=_IN_MIT_REPOSITORY,
    ),
    PublicModel(
        name="mdx23c-vocals-hq2",
        title="vocals and the instrumental, for those who support Ultimate Vocal Remover",
        config=_config("Vocals", "Instrumental", overlap=8),
        files=("MDX23C-8KFFT-InstVoc_HQ_2.ckpt",),
        sha256=None,
        size_bytes=None,
        urls=(),
        source="Ultimate Vocal Remover, for its supporters",
        config_name="model_2_stem_full_band_8k.yaml",
        config_url=f"{_UVR_CONFIGS}/model_2_stem_full_band_8k.yaml",
    ),
    PublicModel(
        name="mdx23c-vocals-d1581",
        title="vocals and the instrumental, a smaller and earlier network that ends at 14.7 kHz",
        config=_config("Vocals", "Instrumental", transform=_LONGEST, window=260_096, overlap=8),
        files=("MDX23C_D1581.ckpt",),
        sha256=None,
        size_bytes=None,
        urls=(f"{_UVR}/MDX23C_D1581.ckpt",),
        source="https://github.com/TRvlvr/model_repo",
        config_name="model_2_stem_061321.yaml",
        config_url=f"{_UVR_CONFIGS}/model_2_stem_061321.yaml",
    ),
    PublicModel(
        name="mdx23c-musdb18",
        title="four stems, trained on MUSDB18",
        config=_config("vocals", "bass", "drums", "other"),
        files=("model_mdx23c_ep_168_sdr_7.0207.ckpt",),
        sha256="c1d31e3c47a98e8cdb12b3382a1a313c1a95c835da4310dd6350e7e1892f821c",
        size_bytes=448_119_834,
        urls=(f"{_MSST}/releases/download/v1.0.1/model_mdx23c_ep_168_sdr_7.0207.ckpt",),
        source=_MSST,
        config_name="config_musdb18_mdx23c.yaml",
        config_url=f"{_MSST}/releases/download/v1.0.1/config_musdb18_mdx23c.yaml",
        licence=_IN_MIT_REPOSITORY,
    ),
    PublicModel(
        name="mdx23c-dereverb",
        title="reverberation and the dry sound",
        config=_config("No Reverb", "Reverb"),
        files=("dereverb_mdx23c_sdr_6.9096.ckpt", "MDX23C-De-Reverb-aufr33-jarredou.ckpt"),
        sha256="eae2471b707758d74db38ac1b1d5800e12f57c4e9d1ebbb2faf004b8e086e914",
        size_bytes=448_098_867,
        urls=(),
        source="https://huggingface.co/jarredou/aufr33_jarredou_MDXv3_DeReverb",
        config_name="config_dereverb_mdx23c.yaml",
        config_url=f"{_UVR_CONFIGS}/config_dereverb_mdx23c.yaml",
    ),
    PublicModel(
        name="mdx23c-drumsep-6",
        title="six parts of a drum set",
        config=_config("Kick", "Snare", "Toms", "Hh", "Ride", "Crash", window=130_560, transform=_SHORT),
        files=(
            "aufr33-jarredou_DrumSep_model_mdx23c_ep_141_sdr_10.8059.ckpt",
            "MDX23C-DrumSep-aufr33-jarredou.ckpt",
        ),
        sha256="d2a4aa53eb584d21eead358a4e66d1882ad182911be018f052b5da73be9096d0",
        size_bytes=437_652_699,
        urls=(
            f"{_DRUMS}/aufr33-jarredou_MDX23C_DrumSep_model_v0.1/"
            "aufr33-jarredou_DrumSep_model_mdx23c_ep_141_sdr_10.8059.ckpt",
        ),
        source="https://github.com/jarredou/models",
        config_name="aufr33-jarredou_DrumSep_model_mdx23c_ep_141_sdr_10.8059.yaml",
    ),
    PublicModel(
        name="mdx23c-drumsep-5",
        title="five parts of a drum set",
        config=_config("kick", "snare", "toms", "hh", "cymbals", window=523_776, transform=_SHORT),
        files=("drumsep_5stems_mdx23c_jarredou.ckpt",),
        sha256="1f8e636fb674b88a52c8399fde9a4ebe2b72b065ca07eed4e03ab1c9f0bfb2e0",
        size_bytes=437_648_758,
        urls=(f"{_DRUMS}/DrumSep/drumsep_5stems_mdx23c_jarredou.ckpt",),
        source="https://github.com/jarredou/models",
        config_name="config_mdx23c.yaml",
        config_url=f"{_DRUMS}/DrumSep/config_mdx23c.yaml",
    ),
    PublicModel(
        name="mdx23c-similarity",
        title="what both channels share",
        config=_config("Similarity", "Difference", window=130_560, target="Similarity", transform=_SHORT),
        files=("model_mdx23c_ep_271_l1_freq_72.2383.ckpt",),
        sha256="1227f8d97c7436004d03e46091427393abefebcc08ce53ef30082742c4e482f7",
        size_bytes=437_613_512,
        urls=(f"{_MSST}/releases/download/v1.0.10/model_mdx23c_ep_271_l1_freq_72.2383.ckpt",),
        source=_MSST,
        config_name="config_mdx23c_similarity.yaml",
        config_url=f"{_UVR_CONFIGS}/config_mdx23c_similarity.yaml",
        licence=_IN_MIT_REPOSITORY,
    ),
)
"""In the order in which they are listed."""
