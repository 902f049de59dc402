"""Whether an exported file gives what PyTorch gives for the same checkpoint, on real audio."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.errors import ConfigurationError, ExportError
from engine.files.rate_converter import RateConverter
from engine.metrics import sdr_db
from engine.spec import ModelSpec

if TYPE_CHECKING:
    from engine.models.mdx23c_checkpoint import Mdx23cCheckpoint

__all__ = ["LEAST_SDR_DB", "MOST_DIFFERENCE", "CheckAudio", "ExportCheck", "StemDifference", "check_export"]

F32 = npt.NDArray[np.float32]
CheckAudio = tuple[F32, int] | Callable[[ModelSpec], tuple[F32, int]]
"""Audio and its rate in Hz, or what gives both for a model."""

MOST_DIFFERENCE = 1e-4
"""What float32 files may differ by, at full scale 1."""
LEAST_SDR_DB = 40.0
"""How close float16 files must be."""
_BATCHES = (1, 2)


@dataclass(frozen=True)
class StemDifference:
    """How far a stem is from PyTorch's.

    Attributes
    ----------
    stem : str
    max_difference : float
        Of any sample, at full scale 1.
    sdr_db : float
        Infinite where they agree to the last bit, not a number where PyTorch's is silent.
    """

    stem: str
    max_difference: float
    sdr_db: float


@dataclass(frozen=True)
class ExportCheck:
    """What was compared.

    Attributes
    ----------
    stems : tuple of StemDifference
        The worst of all batches.
    batches : tuple of int
        Sizes of the batches that were run.
    window_frames : int
        Frames in each window.
    """

    stems: tuple[StemDifference, ...]
    batches: tuple[int, ...]
    window_frames: int


def check_export(path: Path, checkpoint: Mdx23cCheckpoint, heard: CheckAudio, *, precision: str) -> ExportCheck:
    """Compare a file with PyTorch in float32 on two windows, alone and as a batch.

    Parameters
    ----------
    path : Path
        The file, read as any user would read it.
    checkpoint : Mdx23cCheckpoint
        What it was made of.
    heard : tuple of ndarray and int, or callable
        Audio of float32, shape (channels, frames), and its rate in Hz, or what gives both for the model's spec. 1 or 2
        channels; the windows are taken from its middle. Short audio is repeated.
    precision : {"fp32", "fp16"}
        What must hold: no sample differs by more than `MOST_DIFFERENCE`, or no stem has less than `LEAST_SDR_DB`.

    Raises
    ------
    ExportError
        If it does not hold.
    ConfigurationError
        If there is no sound in the audio.
    """
    from engine.backends.onnx import OnnxSeparator

    windows = _windows(checkpoint.spec, *(heard(checkpoint.spec) if callable(heard) else heard))
    wanted = _torch_stems(checkpoint, windows)
    separator = OnnxSeparator(path, threads=os.cpu_count())
    try:
        differences = [
            _differences(checkpoint.spec.stems, wanted[:size], separator.process(windows[:size], ())[0])
            for size in _BATCHES
        ]
    finally:
        separator.release()
    stems = tuple(_worst(each) for each in zip(*differences, strict=True))
    _check_limits(stems, precision)
    return ExportCheck(stems, _BATCHES, windows.shape[-1])


def _windows(spec: ModelSpec, audio: F32, sample_rate: int) -> F32:
    count = max(_BATCHES)
    if audio.ndim != 2 or not audio.any():
        raise ConfigurationError("the audio to check with is silent: give some with sound in it")
    if len(audio) != spec.channels:
        mono = audio.mean(axis=0, keepdims=True, dtype=np.float32)
        audio = np.repeat(mono, spec.channels, axis=0)
    if sample_rate != spec.sample_rate:
        converter = RateConverter(sample_rate, spec.sample_rate, spec.channels)
        audio = np.concatenate((converter.process(audio), converter.flush()), axis=1)
    length = count * spec.window_frames
    if audio.shape[1] < length:
        audio = np.tile(audio, -(-length // audio.shape[1]))
    start = (audio.shape[1] - length) // 2
    cut = audio[:, start : start + length].reshape(spec.channels, count, spec.window_frames)
    windows: F32 = np.ascontiguousarray(cut.transpose(1, 0, 2), np.float32)
    return windows


def _torch_stems(checkpoint: Mdx23cCheckpoint, windows: F32) -> F32:
    from engine.backends.torch_runtime import torch
    from engine.models.mdx23c import Mdx23c, SpectrumTransform

    a = checkpoint.architecture
    transform = SpectrumTransform(a.n_fft, a.hop_frames, a.bins)
    with torch.device("meta"):
        network: Any = Mdx23c(a)
    network = network.to_empty(device="cpu").eval().requires_grad_(False)
    network.load_state_dict(checkpoint.tensors)
    with torch.inference_mode():
        stems = [transform.inverse(network(transform.forward(torch.from_numpy(row)[None]))) for row in windows]
    wanted: F32 = torch.cat(stems).numpy()
    return wanted


def _differences(names: tuple[str, ...], wanted: F32, given: F32) -> list[StemDifference]:
    found = []
    for n, name in enumerate(names):
        truth, estimate = (np.concatenate(list(stems[:, n]), axis=-1) for stems in (wanted, given))
        found.append(StemDifference(name, float(np.abs(truth - estimate).max()), sdr_db(truth, estimate)))
    return found


def _worst(differences: tuple[StemDifference, ...]) -> StemDifference:
    known = [each.sdr_db for each in differences if not math.isnan(each.sdr_db)]
    # A value that is not a number is worse than any other.
    most = max((each.max_difference for each in differences), key=lambda value: (math.isnan(value), value))
    return StemDifference(differences[0].stem, most, min(known, default=math.nan))


def _check_limits(stems: tuple[StemDifference, ...], precision: str) -> None:
    for each in stems:
        if not math.isfinite(each.max_difference):
            raise ExportError(f"stem {each.stem!r} holds values that are not finite: nothing was written")
        is_close = each.max_difference <= MOST_DIFFERENCE
        if precision == "fp32" and not is_close:
            raise ExportError(
                f"stem {each.stem!r} differs from PyTorch's by {each.max_difference:.1e}, and {MOST_DIFFERENCE:.0e} is "
                "the most that is allowed for fp32: nothing was written"
            )
        if precision != "fp32" and not (is_close or each.sdr_db >= LEAST_SDR_DB):
            raise ExportError(
                f"stem {each.stem!r} is at {each.sdr_db:.1f} dB SDR against PyTorch's, and {LEAST_SDR_DB:g} dB are the "
                f"least that is allowed for {precision}: nothing was written; export with --precision fp32"
            )
