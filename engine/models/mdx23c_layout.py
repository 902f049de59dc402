"""What the tensors of an MDX23C checkpoint say about its network, and whether a config agrees: nothing is built."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.config import Mdx23cConfig
from engine.errors import ModelError
from engine.models.mdx23c_architecture import BATCH, COMPLEX, Architecture, tensor_shapes

__all__ = ["Architecture", "Shapes", "match_architecture", "tensor_shapes"]

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of each tensor, by its name in the file."""

_ACTIVATIONS = re.compile(r"gelu|relu|elu(?:\d{1,4}(?:\.\d{0,8})?|\.\d{1,8})")
_GROUPS = re.compile(r"GroupNorm([1-9]\d*)")
_INSTANCE = "InstanceNorm"
_FIRST_NORM = "encoder_blocks.0.tfc_tdf.blocks.0.tfc1.0"
_FIRST_LINEAR = "encoder_blocks.0.tfc_tdf.blocks.0.tdf.2.weight"
_FIRST_DOWN = "encoder_blocks.0.downscale.conv.2.weight"
_FIRST_CONV, _FINAL_CONV = "first_conv.weight", "final_conv.2.weight"
_FIRST = (_FIRST_CONV, _FIRST_LINEAR, _FIRST_DOWN, _FINAL_CONV)
_NAMED = 10


def match_architecture(shapes: Shapes, config: Mdx23cConfig, *, file: str, config_source: str) -> Architecture:
    """Derive from the shapes all that they say, take the rest from the config, and check that they agree.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
    config : Mdx23cConfig
    file, config_source : str
        What to call them in errors, for instance ``checkpoint 'a.ckpt'`` and ``config 'a.yaml'``.

    Raises
    ------
    ModelError
        If the config says something else than the file: the key, its value and the file's. Or if tensors are
        missing, unknown or of another shape than the first ones promise.
    """
    _check_first(shapes, config, file)
    sizes = _sizes(shapes, file)
    audio, model = config.audio, config.model
    folded = audio.num_channels * COMPLEX
    if sizes.folded % folded:
        raise _disagreement(config_source, file, "audio.num_channels", audio.num_channels, f"{sizes.folded} inputs")
    bands = sizes.folded // folded
    stems = len(config.stems)
    told: tuple[tuple[str, object, object], ...] = (
        ("model.num_subbands", model.num_subbands, bands),
        ("model.num_channels", model.num_channels, sizes.width),
        ("model.growth", model.growth, sizes.growth),
        ("model.num_scales", model.num_scales, sizes.scales),
        ("model.num_blocks_per_scale", model.num_blocks_per_scale, sizes.blocks),
        ("model.scale", model.scale, sizes.scale),
        ("audio.dim_f", audio.dim_f, bands * sizes.frequencies),
    )
    for key, value, found in told:
        if value is not None and value != found:
            raise _disagreement(config_source, file, key, _shown(value), _shown(found))
    shrunk = max(1, sizes.frequencies // sizes.hidden)
    bottleneck = model.bottleneck_factor or shrunk
    if sizes.frequencies // bottleneck != sizes.hidden:
        found_factor = f"{shrunk} ({sizes.hidden} of {sizes.frequencies} frequencies)"
        raise _disagreement(config_source, file, "model.bottleneck_factor", bottleneck, found_factor)
    if sizes.final != stems * sizes.folded:
        key = "training.instruments" if config.training.target_instrument is None else "training.target_instrument"
        value = f"{stems} ({', '.join(config.stems)})"
        raise _disagreement(config_source, file, key, value, f"{sizes.final / sizes.folded:g} stems")
    _check_names(config, sizes.norm, file=file, source=config_source)
    architecture = Architecture(
        n_fft=audio.n_fft,
        hop_frames=audio.hop_length,
        channels=audio.num_channels,
        bands=bands,
        frequencies=sizes.frequencies,
        width=sizes.width,
        growth=sizes.growth,
        scales=sizes.scales,
        blocks=sizes.blocks,
        scale=sizes.scale,
        bottleneck=bottleneck,
        outputs=stems,
        norm=(model.norm or "") if sizes.norm else "",
        act=model.act,
    )
    _check_tensors(shapes, architecture, file)
    _check_lengths(architecture, config, file=file, source=config_source)
    return architecture


@dataclass(frozen=True)
class _Sizes:
    """What the first tensors of a file say."""

    folded: int
    width: int
    growth: int
    scales: int
    blocks: int
    scale: tuple[int, int]
    frequencies: int
    hidden: int
    final: int
    norm: str


def _check_first(shapes: Shapes, config: Mdx23cConfig, file: str) -> None:
    """Where some tensors that say the sizes are missing, take these from the config, so that all faults are told."""
    audio, model = config.audio, config.model
    sizes = (audio.dim_f, model.num_channels, model.growth, model.num_scales, model.num_blocks_per_scale)
    if sum(name in shapes for name in _FIRST) in (0, len(_FIRST)) or None in (*sizes, model.scale):
        return
    bins, width, growth, scales, blocks = (size or 0 for size in sizes)
    promised = Architecture(
        n_fft=audio.n_fft,
        hop_frames=audio.hop_length,
        channels=audio.num_channels,
        bands=model.num_subbands or 1,
        frequencies=bins // (model.num_subbands or 1),
        width=width,
        growth=growth,
        scales=scales,
        blocks=blocks,
        scale=model.scale or (1, 1),
        bottleneck=model.bottleneck_factor or 1,
        outputs=len(config.stems),
        norm=model.norm or "",
        act=model.act,
    )
    _check_tensors(shapes, promised, file)


def _sizes(shapes: Shapes, file: str) -> _Sizes:
    width, folded, *_ = _shape(shapes, _FIRST_CONV, 4, file)
    below, _, *scale = _shape(shapes, _FIRST_DOWN, 4, file)
    hidden, frequencies = _shape(shapes, _FIRST_LINEAR, 2, file)
    final = _shape(shapes, _FINAL_CONV, 4, file)[0]
    has_norm, has_statistics = f"{_FIRST_NORM}.weight" in shapes, f"{_FIRST_NORM}.running_mean" in shapes
    return _Sizes(
        folded=folded,
        width=width,
        growth=below - width,
        scales=_count(shapes, "encoder_blocks."),
        blocks=_count(shapes, "encoder_blocks.0.tfc_tdf.blocks."),
        scale=(scale[0], scale[1]),
        frequencies=frequencies,
        hidden=hidden,
        final=final,
        norm=BATCH if has_statistics else _INSTANCE if has_norm else "",
    )


def _shape(shapes: Shapes, name: str, axes: int, file: str) -> tuple[int, ...]:
    shape = shapes.get(name, ())
    if len(shape) != axes or not all(shape):
        found = f"a tensor {name!r} of shape {_shown(shape)}" if name in shapes else f"no tensor {name!r}"
        raise ModelError(f"{file} has {found}: it is no MDX23C (TFC-TDF v3) network; export other networks to ONNX")
    return shape


def _count(shapes: Shapes, prefix: str) -> int:
    return len({name[len(prefix) :].split(".", 1)[0] for name in shapes if name.startswith(prefix)})


def _shown(value: object) -> str:
    return "x".join(map(str, value)) or "()" if isinstance(value, tuple) else str(value)


def _disagreement(config: str, file: str, key: str, value: object, found: object) -> ModelError:
    return ModelError(
        f"{config} has {key} {value} where {file} has {found}: use the config that belongs to this file, or correct it"
    )


def _check_names(config: Mdx23cConfig, found: str, *, file: str, source: str) -> None:
    act, norm = config.model.act, config.model.norm
    if not _ACTIVATIONS.fullmatch(act):
        raise ModelError(
            f"{source} has model.act {act!r}: allowed are 'gelu', 'relu' and 'elu' with its alpha below 10,000, "
            "such as 'elu1.0'"
        )
    known = norm in (BATCH, _INSTANCE) or _GROUPS.fullmatch(norm or "") is not None
    asked = (BATCH if norm == BATCH else _INSTANCE) if known else ""
    if asked != found:
        has = {
            BATCH: f"running statistics: use {BATCH!r}",
            _INSTANCE: f"gains and no running statistics: use {_INSTANCE!r} or 'GroupNormN'",
            "": "no norms: use null",
        }
        raise ModelError(f"{source} has model.norm {norm!r} where {file} has {has[found]}")


def _check_tensors(shapes: Shapes, architecture: Architecture, file: str) -> None:
    wanted = tensor_shapes(architecture)
    missing, unknown = [n for n in wanted if n not in shapes], [n for n in shapes if n not in wanted]
    if missing or unknown:
        states = ((missing, "missing"), (unknown, "unknown, of no part of the network"))
        faults = "; ".join(f"{len(names)} {state}: {_first_names(names)}" for names, state in states if names)
        raise ModelError(
            f"{file} does not hold the {len(wanted)} tensors of an MDX23C network of {architecture.scales} scales "
            f"({faults}): download it again, or export another network to ONNX"
        )
    misshapen = [name for name, shape in wanted.items() if shapes[name] != shape]
    if misshapen:
        shown = [f"{name!r} is {_shown(shapes[name])} and not {_shown(wanted[name])}" for name in misshapen]
        raise ModelError(
            f"{file} has tensors of other shapes than the rest needs ({len(shown)}): {_first_names(shown)}; "
            "it is damaged, or another kind of network: download it again"
        )


def _first_names(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _check_lengths(architecture: Architecture, config: Mdx23cConfig, *, file: str, source: str) -> None:
    a, hop = architecture, config.audio.hop_length
    if a.bins > a.n_fft // 2 + 1:
        raise ModelError(
            f"{source} has audio.n_fft {a.n_fft}, which gives {a.n_fft // 2 + 1} bins, where {file} needs {a.bins}: "
            "use the config that belongs to this file, or correct it"
        )
    step = int(a.scale[1] ** a.scales)
    if a.frequencies % step:
        raise ModelError(f"{file} folds {a.frequencies} frequencies by {step}, which leaves a rest: it is damaged")
    columns = config.window_frames // hop + 1
    if columns % a.column_step:
        key = "inference.chunk_size" if config.inference.chunk_size else "audio.chunk_size"
        raise ModelError(
            f"{source} has {key} {config.window_frames}: it must be audio.hop_length x ({a.column_step} m - 1), "
            f"such as {hop * (-(-columns // a.column_step) * a.column_step - 1)}"
        )
    groups = _GROUPS.fullmatch(a.norm)
    if groups:
        for channels in _normed(a):
            if channels % int(groups[1]):
                raise ModelError(
                    f"{source} has model.norm {a.norm!r} where {file} has a norm of {channels} channels: "
                    "the groups must divide each"
                )


def _normed(architecture: Architecture) -> Iterator[int]:
    for n in range(architecture.scales + 1):
        yield architecture.level(n)[0]
