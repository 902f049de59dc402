"""What a model's file says about itself, without its network being built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ModelError

if TYPE_CHECKING:
    from engine.config import Mdx23cConfig

__all__ = ["file_facts"]

_CHECKPOINTS = (".ckpt", ".pth", ".pt", ".th", ".safetensors")


def file_facts(path: Path, config: Path | None) -> dict[str, Any]:
    """Describe a file that ``--model`` takes.

    Raises
    ------
    ModelError
        If it cannot be read, or does not fit its config.
    ConfigurationError
        If a config is given for a model that takes none.
    """
    if path.suffix.lower() not in _CHECKPOINTS:
        return _onnx_facts(path, config)
    from engine.model_file import check_model_file
    from engine.registry import require_torch

    check_model_file(path, f"checkpoint {str(path)!r}", kind="checkpoint", remedy="download it again")
    require_torch(path)
    return _checkpoint_facts(path, config)


def _onnx_facts(path: Path, config: Path | None) -> dict[str, Any]:
    from engine.digests import sha256_of
    from engine.registry import load_separator

    separator = load_separator(path, config=config)
    spec = separator.spec
    separator.release()
    return {
        **_beginning(path, "ONNX", sha256_of(path)),
        "description": spec.description,
        "stems": list(spec.output_stems),
        "sample_rate": spec.sample_rate,
        "channels": spec.channels,
        "window_frames": spec.window_frames,
        "hop_frames": spec.hop_frames,
        "stateful": spec.stateful,
    }


def _checkpoint_facts(path: Path, config: Path | None) -> dict[str, Any]:
    from engine.checkpoint import check_finite, container_of, read_tensors
    from engine.digests import sha256_of
    from engine.models.mdx23c_layout import match_architecture
    from engine.spec import ModelSpec

    source = f"checkpoint {str(path)!r}"
    tensors = read_tensors(path, source)
    facts = {
        **_beginning(path, container_of(path), sha256_of(path)),
        "tensors": len(tensors),
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "kinds": sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}),
    }
    settings, found, config_source = _settings(path, config, facts["sha256"])
    facts["config"] = found
    if settings is None:
        return facts
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    architecture = match_architecture(shapes, settings, file=source, config_source=config_source)
    check_finite(tensors, source)
    spec = ModelSpec(
        name=path.stem,
        sample_rate=settings.audio.sample_rate,
        channels=architecture.channels,
        stems=settings.stems,
        stateful=False,
        window_frames=settings.window_frames,
        hop_frames=settings.window_frames,
        overlap=settings.inference.num_overlap,
        residual=settings.residual,
    )
    return {
        **facts,
        "stems": list(spec.output_stems),
        "sample_rate": spec.sample_rate,
        "channels": spec.channels,
        "window_frames": spec.window_frames,
        "overlap": spec.overlap,
        "scales": architecture.scales,
        "bands": architecture.bands,
    }


def _settings(path: Path, config: Path | None, sha256: str) -> tuple[Mdx23cConfig | None, str, str]:
    """Give the config, where it comes from, and what to call it in errors."""
    from engine.config import read_config
    from engine.known_models import KNOWN_MODELS, known_by_end

    beside = path.with_suffix(".yaml")
    if config is not None or beside.is_file():
        place = beside if config is None else config
        return read_config(place), f"{place} ({'beside it' if config is None else 'given'})", f"config {str(place)!r}"
    known = KNOWN_MODELS.get(sha256) or known_by_end(path)
    if known is None:
        return None, "none: name the YAML file that came with it with --config", ""
    by = "its SHA-256" if known.is_verified else "the MD5 of its end, which proves nothing about the rest"
    return known.config, f"known by {by}: {known.title}", "the config that is known for it"


def _beginning(path: Path, container: str, sha256: str) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(f"model {str(path)!r} does not exist: check the path")
    return {"path": str(path), "format": container, "size_bytes": path.stat().st_size, "sha256": sha256}
