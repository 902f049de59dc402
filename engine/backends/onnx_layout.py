"""How the tensors of an ONNX graph and a description together make a model: pure checks, nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.backends.description import ModelDescription, SpectrumDescription
from engine.errors import ModelError
from engine.spec import ModelSpec, StateSpec

__all__ = ["GraphTensor", "OnnxLayout", "match_layout", "trial_window_frames"]

_AUDIO_AXES = ("batch", "channels", "frames")
_STEM_AXES = ("batch", "stems", "channels", "frames")
_TRIAL_PART = 8  # a large model takes long for a whole window
_PARTS = 2  # of a number of a spectrum


@dataclass(frozen=True)
class GraphTensor:
    """An input or output of a graph.

    Attributes
    ----------
    name : str
    dtype : str
        NumPy dtype name; empty for what NumPy has no type for.
    shape : tuple of int or None
        None for an axis that the graph leaves open. Empty where the graph does not tell.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class OnnxLayout:
    """Which tensor plays which part.

    Attributes
    ----------
    spec : ModelSpec
        Its states carry the names of the graph's state inputs.
    input, output : str
        The audio tensors.
    state_outputs : tuple of str
        In the order of ``spec.states``.
    single_row : bool
        The graph takes one stream at a time, so a batch is run row by row.
    spectrum : SpectrumDescription or None
        The graph takes and gives the spectra of this transform.
    """

    spec: ModelSpec
    input: str
    output: str
    state_outputs: tuple[str, ...]
    single_row: bool
    spectrum: SpectrumDescription | None = None


def match_layout(
    inputs: Sequence[GraphTensor],
    outputs: Sequence[GraphTensor],
    description: ModelDescription,
    *,
    default_name: str,
    source: str,
) -> OnnxLayout:
    """Match a description with the graph that it describes.

    Parameters
    ----------
    inputs, outputs : sequence of GraphTensor
    description : ModelDescription
    default_name : str
        The model's name where the description gives none.
    source : str
        What to call the file in errors, for instance ``model file 'a.onnx'``.

    Raises
    ------
    ModelError
        If they do not fit; the message names the tensor, its shape or type, and what is allowed.
    """
    if description.spectrum is not None and description.states:
        raise ModelError(f"{source}: a stateful model takes waveforms: leave out spectrum, or the states")
    by_input = {tensor.name: tensor for tensor in inputs}
    by_output = {tensor.name: tensor for tensor in outputs}
    state_inputs = [_named(state.input, by_input, "input", source) for state in description.states]
    state_outputs = [_named(state.output, by_output, "output", source) for state in description.states]
    for what, names in (
        ("input", [tensor.name for tensor in state_inputs]),
        ("output", [tensor.name for tensor in state_outputs]),
    ):
        if len(set(names)) != len(names):
            raise ModelError(f"{source}: two states use the same {what} ({', '.join(names)}): each needs its own")
    for before, after in zip(state_inputs, state_outputs, strict=True):
        _check_state(before, after, source)
    audio_in = _audio(description.input, by_input, {tensor.name for tensor in state_inputs}, "input", source)
    audio_out = _audio(description.output, by_output, {tensor.name for tensor in state_outputs}, "output", source)
    spare = [name for name in by_input if name != audio_in.name and name not in {t.name for t in state_inputs}]
    if spare:
        raise ModelError(
            f"{source}: input {spare[0]!r} is neither the audio {audio_in.name!r} nor a state: "
            "list it under states, or export the model with a constant in its place"
        )
    if description.spectrum is not None:
        audio_in = _heard(audio_in, _AUDIO_AXES, description.spectrum, source)
        audio_out = _heard(audio_out, _STEM_AXES, description.spectrum, source) if audio_out.shape else audio_out
    _check_audio(audio_in, _AUDIO_AXES, source)
    if audio_out.shape:
        _check_audio(audio_out, _STEM_AXES, source)
    channels = _agree("channels", {"the graph": audio_in.shape[1], "channels": description.channels}, source)
    window_frames, hop_frames, fade_frames = _lengths(audio_in.shape[2], description, source)
    expected = (audio_in.shape[0], len(description.stems), channels, window_frames)
    _check_fixed_axes(audio_out, expected, source)
    spec = ModelSpec(
        name=description.name or default_name,
        sample_rate=description.sample_rate,
        channels=channels,
        stems=description.stems,
        stateful=bool(description.states),
        window_frames=window_frames,
        hop_frames=hop_frames,
        lookahead_frames=description.lookahead_frames,
        fade_frames=fade_frames,
        window_granularity_frames=description.window_granularity_frames,
        priming_frames=description.priming_frames,
        states=tuple(
            StateSpec(tensor.name, tuple(n for n in tensor.shape[1:] if n is not None), tensor.dtype, state.initial)
            for tensor, state in zip(state_inputs, description.states, strict=True)
        ),
        overlap=description.overlap,
        residual=description.residual,
        description=description.description,
    )
    if description.spectrum is not None:
        _check_columns(spec, description.spectrum, source)
    return OnnxLayout(
        spec=spec,
        input=audio_in.name,
        output=audio_out.name,
        state_outputs=tuple(tensor.name for tensor in state_outputs),
        single_row=_single_row([audio_in, audio_out, *state_inputs, *state_outputs], source),
        spectrum=description.spectrum,
    )


def trial_window_frames(spec: ModelSpec, spectrum: SpectrumDescription | None = None) -> int:
    """Give the length of the window on which a model is tried when it is loaded.

    Where it takes windows of several lengths it is a short one: at least an eighth of its own, or as the transform
    around the graph allows.
    """
    window, step = spec.window_frames, spec.window_granularity_frames
    least = -(-window // _TRIAL_PART) if spectrum is None else spectrum.n_fft // 2 + 1
    return window - max(0, window - least) // step * step if step else window


def _named(name: str, tensors: dict[str, GraphTensor], what: str, source: str) -> GraphTensor:
    if name not in tensors:
        raise ModelError(f"{source}: the graph has no {what} {name!r}: it has {', '.join(tensors) or 'none'}")
    return tensors[name]


def _audio(name: str | None, tensors: dict[str, GraphTensor], states: set[str], what: str, source: str) -> GraphTensor:
    if name is not None:
        tensor = _named(name, tensors, what, source)
        if name in states:
            raise ModelError(f"{source}: {what} {name!r} is listed as a state and as the audio: it can be only one")
        return tensor
    candidates = [tensor for tensor in tensors.values() if tensor.name not in states]
    if len(candidates) != 1:
        found = ", ".join(tensor.name for tensor in candidates) or "none"
        raise ModelError(
            f"{source}: the graph has {len(candidates)} {what}s that are not states ({found}): "
            f"list the states, and name the audio tensor under {what!r}"
        )
    return candidates[0]


def _check_audio(tensor: GraphTensor, axes: tuple[str, ...], source: str) -> None:
    if len(tensor.shape) != len(axes):
        raise ModelError(
            f"{source}: {tensor.name!r} has shape {_shown(tensor.shape)}: it must be [{', '.join(axes)}]; "
            "export the model with waveforms in and out"
        )
    if tensor.dtype != "float32":
        raise ModelError(
            f"{source}: {tensor.name!r} holds {tensor.dtype or 'no tensor'}: audio must be float32; "
            "export the model with float32 inputs and outputs"
        )


def _heard(tensor: GraphTensor, axes: tuple[str, ...], spectrum: SpectrumDescription, source: str) -> GraphTensor:
    """Give the waveform that a spectrum is of: the parts of channels and the columns tell its channels and frames."""
    *before, _, _ = axes
    if len(tensor.shape) != len(axes) + 1:
        named = ", ".join((*before, f"{_PARTS} * channels", "bins", "columns"))
        raise ModelError(
            f"{source}: {tensor.name!r} has shape {_shown(tensor.shape)}: it must be [{named}], as its description "
            "has a spectrum; export the model with spectra in and out, or leave out spectrum"
        )
    *rows, parts, bins, columns = tensor.shape
    if bins not in (None, spectrum.bins) or (parts or _PARTS) % _PARTS:
        raise ModelError(
            f"{source}: {tensor.name!r} has shape {_shown(tensor.shape)}: it must have {_PARTS} parts for each channel "
            f"and {spectrum.bins} bins, as its description says"
        )
    frames = None if columns is None else (columns - 1) * spectrum.hop_frames
    return GraphTensor(tensor.name, tensor.dtype, (*rows, None if parts is None else parts // _PARTS, frames))


def _check_columns(spec: ModelSpec, spectrum: SpectrumDescription, source: str) -> None:
    hop, least = spectrum.hop_frames, spectrum.n_fft // 2
    for what, frames in (("window", spec.window_frames), ("window_granularity", spec.window_granularity_frames)):
        if frames % hop:
            raise ModelError(
                f"{source}: {what}_frames is {frames}: it must be a multiple of spectrum.hop_frames, {hop}"
            )
    if spec.window_frames <= least:
        raise ModelError(
            f"{source}: the window has {spec.window_frames} frames: it must be longer than half of spectrum.n_fft, "
            f"{least}"
        )


def _agree(what: str, values: dict[str, int | None], source: str) -> int:
    given = {origin: value for origin, value in values.items() if value is not None}
    if not given:
        keys = [origin for origin in values if origin != "the graph"]
        raise ModelError(f"{source}: the graph leaves its {what} open: give {' or '.join(keys)} in the description")
    if len(set(given.values())) > 1:
        listed = ", ".join(f"{value} by {origin}" for origin, value in given.items())
        raise ModelError(f"{source}: {what} is {listed}: correct the description, or leave the key out")
    return next(iter(given.values()))


def _lengths(frames: int | None, given: ModelDescription, source: str) -> tuple[int, int, int]:
    """Window, hop and fade: as given, or the defaults that the description documents."""
    if given.states:
        hop = _agree(
            "hop",
            {"the graph": frames, "hop_frames": given.hop_frames, "window_frames": given.window_frames},
            source,
        )
        if given.fade_frames or given.window_granularity_frames:
            raise ModelError(
                f"{source}: a stateful model has one hop and no crossfade: "
                "leave out fade_frames and window_granularity_frames"
            )
        return hop, hop, 0
    window = _agree("window", {"the graph": frames, "window_frames": given.window_frames}, source)
    if frames is not None and given.window_granularity_frames:
        raise ModelError(
            f"{source}: the graph takes windows of {frames} frames only: leave out window_granularity_frames "
            f"({given.window_granularity_frames}), or export the model with an open frame axis"
        )
    room = window - given.lookahead_frames
    hop = given.hop_frames or max(1, room // 2)
    fade = max(0, min(hop // 4, room - hop)) if given.fade_frames is None else given.fade_frames
    if hop + fade > room:
        raise ModelError(
            f"{source}: hop {hop}, fade {fade} and look-ahead {given.lookahead_frames} together are longer than "
            f"the window of {window} frames: make one of them shorter"
        )
    return window, hop, fade


def _check_fixed_axes(tensor: GraphTensor, expected: tuple[int | None, ...], source: str) -> None:
    for axis, found, wanted in zip(_STEM_AXES[1:], tensor.shape[1:], expected[1:], strict=False):
        if found is not None and found != wanted:
            raise ModelError(
                f"{source}: output {tensor.name!r} has shape {_shown(tensor.shape)}: "
                f"its {axis} axis must be {wanted}, as the description and the input say"
            )


def _check_state(before: GraphTensor, after: GraphTensor, source: str) -> None:
    for tensor in (before, after):
        if not tensor.dtype:
            raise ModelError(f"{source}: state {tensor.name!r} is no tensor of numbers: states must be")
    if not before.shape or None in before.shape[1:]:
        raise ModelError(
            f"{source}: state {before.name!r} has shape {_shown(before.shape)}: it must be [batch, ...] "
            "with every axis after the first fixed; export the model so"
        )
    if after.dtype != before.dtype:
        raise ModelError(
            f"{source}: state {after.name!r} holds {after.dtype} where {before.name!r} takes {before.dtype}: "
            "both must be the same"
        )
    if after.shape and (
        len(after.shape) != len(before.shape)
        or any(n is not None and n != m for n, m in zip(after.shape[1:], before.shape[1:], strict=True))
    ):
        raise ModelError(
            f"{source}: state {after.name!r} has shape {_shown(after.shape)} where {before.name!r} takes "
            f"{_shown(before.shape)}: both must be the same"
        )


def _single_row(tensors: Sequence[GraphTensor], source: str) -> bool:
    batches = {tensor.shape[0]: tensor for tensor in tensors if tensor.shape and tensor.shape[0] is not None}
    for size, tensor in batches.items():
        if size != 1:
            raise ModelError(
                f"{source}: {tensor.name!r} has shape {_shown(tensor.shape)}: its batch axis must be open, or 1; "
                "export the model so"
            )
    return bool(batches)


def _shown(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("?" if n is None else str(n) for n in shape) + "]"
