"""What a model file says about itself: the keys, their defaults, and where they are read from."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, model_validator

from engine.errors import ModelError
from engine.plain_yaml import PlainLoader

__all__ = [
    "METADATA_KEY",
    "ModelDescription",
    "SpectrumDescription",
    "StateDescription",
    "parse_description",
    "read_description",
]

METADATA_KEY = "stemstream"
_MAX_FFT = 1 << 20
_MAX_CHARACTERS = 65_536  # a description has a dozen keys; anything longer is another kind of file


class StateDescription(BaseModel):
    """One state of a stateful model: which input of the graph takes what which output gave one hop before.

    Attributes
    ----------
    input, output : str
        Names of the two tensors in the graph; shape and type are read from there.
    initial : float
        Value of every element at the start of a stream.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str = Field(min_length=1)
    output: str = Field(min_length=1)
    initial: float = Field(default=0.0, strict=True, allow_inf_nan=False)


class SpectrumDescription(BaseModel):
    """The transform around a graph that takes and gives spectra, see `engine.spectrum.WindowSpectrum`.

    Attributes
    ----------
    n_fft : int
        Frames of one transform; even.
    hop_frames : int
        Frames between two; at most half of ``n_fft``.
    bins : int
        Bins that the graph sees, from 0 up.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_fft: StrictInt = Field(ge=4, le=_MAX_FFT, multiple_of=2)
    hop_frames: StrictInt = Field(ge=1)
    bins: StrictInt = Field(ge=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if 2 * self.hop_frames > self.n_fft:
            raise ValueError(f"hop_frames must be at most half of n_fft, {self.n_fft // 2}")
        if self.bins > self.n_fft // 2 + 1:
            raise ValueError(f"bins must be at most {self.n_fft // 2 + 1}, which is all that n_fft gives")
        return self


class ModelDescription(BaseModel):
    """The facts about a model file that its graph does not tell, as its author writes them down.

    Attributes
    ----------
    sample_rate : int
        Hz. Required.
    stems : tuple of str
        Names of the model's outputs in order. Required.
    name : str or None
        Default: the file's name without its suffix.
    channels : int or None
        Needed only where the graph leaves its channel axis open.
    window_frames : int or None
        Needed only where the graph leaves its frame axis open.
    hop_frames : int or None
        Windowed models: default ``(window_frames - lookahead_frames) // 2``. Stateful models: the same as
        ``window_frames``, so either of the two is enough.
    lookahead_frames : int
        Default 0.
    fade_frames : int or None
        Windowed models: default a quarter of the hop, or what the window leaves if that is less.
        Stateful models: 0.
    window_granularity_frames : int
        Default 0: the window's length is fixed. Otherwise windows may differ from it by any multiple of this, which is
        allowed only where the graph leaves its frame axis open.
    priming_frames : int
        Default 0.
    overlap : int
        Windowed models: windows that each frame of a whole recording is in when nothing else is asked for. Default 4.
    residual : str
        Default: ``other`` where the model has it, or else its last stem.
    description : str
        One line for listings.
    spectrum : SpectrumDescription or None
        Makes the graph one that takes and gives spectra in place of waveforms. Default: None.
    states : tuple of StateDescription
        Makes the model a stateful one. Default: none.
    input, output : str or None
        Names of the graph's audio tensors. Default: the only ones that are not states.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample_rate: StrictInt = Field(ge=1)
    stems: tuple[str, ...] = Field(min_length=1)
    name: str | None = Field(default=None, min_length=1)
    channels: StrictInt | None = Field(default=None, ge=1, le=2)
    window_frames: StrictInt | None = Field(default=None, ge=1)
    hop_frames: StrictInt | None = Field(default=None, ge=1)
    lookahead_frames: StrictInt = Field(default=0, ge=0)
    fade_frames: StrictInt | None = Field(default=None, ge=0)
    window_granularity_frames: StrictInt = Field(default=0, ge=0)
    priming_frames: StrictInt = Field(default=0, ge=0)
    overlap: StrictInt = Field(default=4, ge=1)
    residual: str = ""
    description: str = ""
    spectrum: SpectrumDescription | None = None
    states: tuple[StateDescription, ...] = ()
    input: str | None = Field(default=None, min_length=1)
    output: str | None = Field(default=None, min_length=1)


def read_description(path: Path, metadata: Mapping[str, str]) -> ModelDescription:
    """Find and check the description of a model file.

    Parameters
    ----------
    path : Path
        The model file.
    metadata : mapping of str to str
        The file's own metadata. Its value for ``stemstream``, JSON, is the description. Only where there is none
        is the YAML file of the same name beside the model read: what travels inside the file cannot get lost
        or belong to another model.

    Raises
    ------
    ModelError
        If there is no description, or it cannot be read, or a key or value is not allowed.
    """
    if METADATA_KEY in metadata:
        source = f"the metadata {METADATA_KEY!r} of {str(path)!r}"
        return parse_description(_load(metadata[METADATA_KEY], source, is_json=True), source)
    beside = path.with_suffix(".yaml")
    if not beside.is_file():
        raise ModelError(
            f"model file {str(path)!r} has no description: write {beside.name!r} beside it with at least "
            f"sample_rate and stems, or put the same keys as JSON into its metadata under {METADATA_KEY!r}"
        )
    try:
        with beside.open(encoding="utf-8") as file:
            text = file.read(_MAX_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"description {str(beside)!r} cannot be read ({error}): save it as UTF-8 text") from error
    return parse_description(_load(text, repr(str(beside)), is_json=False), repr(str(beside)))


def parse_description(data: object, source: str) -> ModelDescription:
    """Check what was read against the allowed keys and values.

    Parameters
    ----------
    data : object
        A mapping of the keys of `ModelDescription`.
    source : str
        Where it came from, for the error.

    Raises
    ------
    ModelError
        Naming every key at fault, its value and what is allowed.
    """
    if not isinstance(data, dict):
        raise ModelError(
            f"the description in {source} is {reprlib.repr(data)}: it must be a mapping with the keys "
            f"{', '.join(ModelDescription.model_fields)}"
        )
    try:
        return ModelDescription.model_validate(data)
    except ValidationError as error:
        faults = "; ".join(
            _fault(".".join(map(str, fault["loc"])), fault["type"], fault["input"], fault["msg"])
            for fault in error.errors(include_url=False)
        )
        raise ModelError(f"the description in {source} has {faults}") from error


def _fault(key: str, kind: str, value: object, message: str) -> str:
    if kind == "missing":
        return f"no {key}: add it"
    if kind == "extra_forbidden":
        inner: dict[str, type[BaseModel]] = {"states": StateDescription, "spectrum": SpectrumDescription}
        fields = inner.get(key.rpartition(".")[0].partition(".")[0], ModelDescription)
        return f"an unknown key {key!r}: allowed are {', '.join(fields.model_fields)}"
    return f"{key} {reprlib.repr(value)}: {message[:1].lower()}{message[1:]}"


def _load(text: str, source: str, *, is_json: bool) -> object:
    if len(text) > _MAX_CHARACTERS:
        raise ModelError(
            f"the description in {source} is longer than {_MAX_CHARACTERS} characters: keep it to the keys "
            f"{', '.join(ModelDescription.model_fields)}"
        )
    try:
        return json.loads(text) if is_json else yaml.load(text, PlainLoader)  # noqa: S506 - it is a safe one
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        cause = " ".join(str(error).split())
        raise ModelError(
            f"the description in {source} is not {'JSON' if is_json else 'YAML'} ({cause}): correct it"
        ) from error
