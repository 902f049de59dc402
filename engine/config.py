"""The YAML file beside an MDX23C checkpoint: which of its keys count, and how it is read without executing anything."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError

from engine.errors import ModelError
from engine.plain_yaml import PlainLoader

__all__ = [
    "AudioSection",
    "InferenceSection",
    "Mdx23cConfig",
    "ModelSection",
    "TrainingSection",
    "parse_config",
    "read_config",
]

_MAX_CHARACTERS = 65_536  # with all of a training's settings, such files have some thousand
_MODEL_TYPE = "mdx23c"
_DEFAULT_OVERLAP = 4
_MAX_RATE = 768_000  # Hz
_MAX_FRAMES = 1 << 24  # six minutes; the longest window of a public model has 12 seconds
_MAX_FFT = 1 << 20
_MAX_CHANNELS = 1 << 16
_MAX_DEPTH = 64
_MAX_STEMS = 256


_Factor = Annotated[StrictInt, Field(ge=1, le=_MAX_DEPTH)]


class _Section(BaseModel):
    # Keys that only a training needs are many, differ from file to file and mean nothing here.
    model_config = ConfigDict(extra="ignore", frozen=True)


class AudioSection(_Section):
    """Section ``audio``.

    Attributes
    ----------
    sample_rate : int
        Hz.
    n_fft, hop_length : int
        Frames of one transform and between two.
    chunk_size : int
        Frames that the network sees at once.
    num_channels : int
        1 or 2; default 2.
    dim_f : int or None
        Bins that the network sees, from 0 up. The checkpoint says it too.
    """

    sample_rate: StrictInt = Field(ge=1, le=_MAX_RATE)
    n_fft: StrictInt = Field(ge=4, le=_MAX_FFT)
    hop_length: StrictInt = Field(ge=1, le=_MAX_FFT)
    chunk_size: StrictInt = Field(ge=1, le=_MAX_FRAMES)
    num_channels: StrictInt = Field(default=2, ge=1, le=2)
    dim_f: StrictInt | None = Field(default=None, ge=1, le=_MAX_FFT)


class ModelSection(_Section):
    """Section ``model``.

    Attributes
    ----------
    act : str
        Name of the activation.
    norm : str or None
        Name of the normalisation.
    num_channels, growth, num_scales, num_blocks_per_scale, bottleneck_factor, num_subbands, scale : optional
        Sizes of the network. The checkpoint says them too.
    """

    act: str
    norm: str | None
    num_channels: StrictInt | None = Field(default=None, ge=1, le=_MAX_CHANNELS)
    growth: StrictInt | None = Field(default=None, ge=0, le=_MAX_CHANNELS)
    num_scales: StrictInt | None = Field(default=None, ge=1, le=_MAX_DEPTH)
    num_blocks_per_scale: StrictInt | None = Field(default=None, ge=1, le=_MAX_DEPTH)
    bottleneck_factor: StrictInt | None = Field(default=None, ge=1, le=_MAX_CHANNELS)
    num_subbands: StrictInt | None = Field(default=None, ge=1, le=_MAX_CHANNELS)
    scale: tuple[_Factor, _Factor] | None = None


class TrainingSection(_Section):
    """Section ``training``.

    Attributes
    ----------
    instruments : tuple of str
        Names of the stems in the order of the network's output.
    target_instrument : str or None
        The only stem that the network gives; None where it gives all.
    model_type : str or None
        Kind of network, where the file names it.
    """

    instruments: tuple[str, ...] = Field(min_length=1, max_length=_MAX_STEMS)
    target_instrument: str | None = None
    model_type: str | None = None


class InferenceSection(_Section):
    """Section ``inference``.

    Attributes
    ----------
    chunk_size : int or None
        Takes the place of ``audio.chunk_size``.
    num_overlap : int
        Windows that each frame of a whole file is in; default 4.
    normalize : bool
        Whether a track is brought to unit variance first.
    """

    chunk_size: StrictInt | None = Field(default=None, ge=1, le=_MAX_FRAMES)
    num_overlap: StrictInt = Field(default=_DEFAULT_OVERLAP, ge=1, le=_MAX_FRAMES)
    normalize: StrictBool = False


class Mdx23cConfig(_Section):
    """What a config says about a network and its use.

    Attributes
    ----------
    audio : AudioSection
    model : ModelSection
    training : TrainingSection
    inference : InferenceSection
    """

    audio: AudioSection
    model: ModelSection
    training: TrainingSection
    inference: InferenceSection = InferenceSection()

    @property
    def window_frames(self) -> int:
        """Frames that the network sees at once."""
        return self.inference.chunk_size or self.audio.chunk_size

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of what the network gives, in its output order."""
        target = self.training.target_instrument
        return self.training.instruments if target is None else (target,)

    @property
    def residual(self) -> str:
        """The stem that takes what the others leave; not among ``stems`` where it is made by subtraction.

        Beside a target it is the other one of two instruments; of more, ``instrumental`` beside vocals and ``no_NAME``
        beside anything else. Where the network gives all stems it is ``other``, in the config's spelling, or the last.
        """
        target, instruments = self.training.target_instrument, self.training.instruments
        if target is None:
            return next((name for name in instruments if name.lower() == "other"), instruments[-1])
        rest = [name for name in instruments if name != target]
        if len(rest) == 1:
            return rest[0]
        return "instrumental" if target.lower() == "vocals" else f"no_{target}"


class _Loader(PlainLoader):
    """The loader of plain data, and the one tag of Python's that public configs use and that makes plain data."""


def _tuple(loader: _Loader, node: yaml.Node) -> tuple[Any, ...]:
    if not isinstance(node, yaml.SequenceNode):
        raise yaml.constructor.ConstructorError(None, None, "a tuple must be a list", node.start_mark)
    return tuple(loader.construct_sequence(node, deep=True))


_Loader.add_constructor("tag:yaml.org,2002:python/tuple", _tuple)


def read_config(path: Path) -> Mdx23cConfig:
    """Read a config file.

    Parameters
    ----------
    path : Path
        YAML, UTF-8. ``!!python/tuple`` is the only tag of Python's that is understood; no tag makes an object or
        calls anything.

    Raises
    ------
    ModelError
        If it cannot be read, is no YAML, or a key that counts is missing or out of range; the message names it.
    """
    source = f"config {str(path)!r}"
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_MAX_CHARACTERS + 1)
    except FileNotFoundError as error:
        raise ModelError(f"{source} does not exist: check the path") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{source} cannot be read ({error}): name a YAML file saved as UTF-8 text") from error
    if len(text) > _MAX_CHARACTERS:
        raise ModelError(f"{source} is longer than {_MAX_CHARACTERS} characters: name the YAML file of an MDX23C model")
    try:
        data = yaml.load(text, _Loader)  # noqa: S506 - it is a safe one
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        cause = " ".join(str(error).split())
        raise ModelError(
            f"{source} is not a YAML file of plain data ({cause}): allowed are plain values and !!python/tuple"
        ) from error
    return parse_config(data, source)


def parse_config(data: object, source: str) -> Mdx23cConfig:
    """Check what was read from a config.

    Parameters
    ----------
    data : object
        A mapping of the sections of `Mdx23cConfig`. Keys that do not count are ignored.
    source : str
        What to call it in errors, for instance ``config 'a.yaml'``.

    Raises
    ------
    ModelError
        Naming every key at fault, its value and what is allowed.
    """
    if not isinstance(data, dict):
        raise ModelError(
            f"{source} is {reprlib.repr(data)}: it must be a mapping with the sections audio, model and training"
        )
    try:
        config = Mdx23cConfig.model_validate(data)
    except ValidationError as error:
        faults = "; ".join(
            _fault(".".join(map(str, fault["loc"])), fault["type"], fault["input"], fault["msg"])
            for fault in error.errors(include_url=False)
        )
        raise ModelError(f"{source} has {faults}; is it the config of an MDX23C model?") from error
    _check_training(config, source)
    _check_transform(config, source)
    if config.inference.normalize:
        raise ModelError(
            f"{source} has inference.normalize true: only false is supported, since a stream's future level is not "
            "known; set it to false, and bring the audio to the level that the model expects"
        )
    return config


def _fault(key: str, kind: str, value: object, message: str) -> str:
    if kind == "missing":
        return f"no {key}: add it"
    return f"{key} {reprlib.repr(value)}: {message[:1].lower()}{message[1:]}"


def _check_training(config: Mdx23cConfig, source: str) -> None:
    kind, target, instruments = (
        config.training.model_type,
        config.training.target_instrument,
        config.training.instruments,
    )
    if kind is not None and kind != _MODEL_TYPE:
        raise ModelError(
            f"{source} has training.model_type {kind!r}: only {_MODEL_TYPE!r} is supported; "
            "export other networks to ONNX"
        )
    if len({name.lower() for name in instruments}) != len(instruments):
        raise ModelError(f"{source} has training.instruments {', '.join(instruments)}: each name must be there once")
    if target is not None and target not in instruments:
        raise ModelError(
            f"{source} has training.target_instrument {target!r}: it must be one of {', '.join(instruments)}, or null"
        )


def _check_transform(config: Mdx23cConfig, source: str) -> None:
    n_fft, hop, window = config.audio.n_fft, config.audio.hop_length, config.window_frames
    key = "inference.chunk_size" if config.inference.chunk_size else "audio.chunk_size"
    if 2 * hop > n_fft:
        raise ModelError(f"{source} has audio.hop_length {hop}: it must be at most half of audio.n_fft, {n_fft // 2}")
    if window % hop or window <= n_fft // 2:
        raise ModelError(
            f"{source} has {key} {window}: it must be a multiple of audio.hop_length ({hop}) and more than half of "
            f"audio.n_fft ({n_fft // 2})"
        )
    if "num_overlap" in config.inference.model_fields_set and config.inference.num_overlap > window:
        raise ModelError(
            f"{source} has inference.num_overlap {config.inference.num_overlap}: it must be at most {key}, {window}"
        )
