"""The transform of a window and the inverse of its stems, in several ways, without a network between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.backends.torch_runtime import torch
from engine.backends.torch_ways import best_way
from engine.errors import UnavailableError
from engine.models.buffered_spectrum import BufferedSpectrum
from engine.models.column_transform import ColumnTransform
from engine.models.mdx23c_architecture import Architecture
from engine.models.mdx23c_checkpoint import read_mdx23c
from engine.spectrum import WindowSpectrum
from streamer.bench.shared_spectrum import SharedSpectrum, aligned_overlap
from streamer.bench.tasks.loading import Meter, cut_windows

__all__ = ["Transform"]

_WINDOWS = 4
Step = Callable[[int], None]


class Transform:
    """A way to transform, with windows of music at hand.

    Parameters
    ----------
    model : Mapping
        See `streamer.bench.tasks.loading.load`.
    audio : str
        A ``.npy`` of shape (channels, frames) at the model's rate.
    variant : {"stft", "columns", "buffered", "shared", "numpy"}
    """

    def __init__(self, model: Mapping[str, Any], audio: str, variant: str) -> None:
        checkpoint = read_mdx23c(Path(model["checkpoint"]), model.get("config"))
        if model.get("threads") is not None:
            torch.set_num_threads(model["threads"])
        self._frames = checkpoint.spec.window_frames
        self._rate = checkpoint.spec.sample_rate
        self._meter = Meter(model["device"])
        on_processor = model["device"] == "cpu"
        if not on_processor and variant not in ("stft", "columns"):
            raise UnavailableError("this way is for processors")
        make = {
            "stft": self._stft,
            "columns": self._columns,
            "buffered": self._buffered,
            "shared": self._shared,
            "numpy": self._numpy,
        }[variant]
        architecture = checkpoint.architecture
        used = "columns" if not on_processor else "buffered" if best_way(architecture) == "fused" else "stft"
        self._is_used = variant == used
        self._overlap: int | None = None
        self._device = torch.device(model["device"])
        self._step = make(architecture, np.load(audio))
        with torch.inference_mode():
            self._step(0)

    def ready(self) -> dict[str, Any]:
        """Tell the overlap at which transforms are shared, and whether models are run with this way here."""
        return {"overlap": self._overlap, "is_used": self._is_used}

    def run(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Transform some windows, one after the other, and back."""
        with torch.inference_mode(), self._meter:
            for n in range(_WINDOWS):
                self._step(n)
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
        return self._meter.figures(_WINDOWS * self._frames / self._rate)

    def _windows(self, audio: Any) -> list[torch.Tensor]:
        return [torch.from_numpy(window) for window in cut_windows(audio, self._frames, _WINDOWS)]

    def _stft(self, a: Architecture, audio: Any) -> Step:
        window = torch.hann_window(a.n_fft, device=self._device)
        windows = [each.to(self._device) for each in self._windows(audio)]

        def step(n: int) -> None:
            spectrum = torch.stft(windows[n], a.n_fft, a.hop_frames, window=window, center=True, return_complex=True)
            spectrum[:, a.bins :] = 0
            stems = spectrum.repeat(a.outputs, 1, 1)
            torch.istft(stems, a.n_fft, a.hop_frames, window=window, center=True)

        return step

    def _columns(self, a: Architecture, audio: Any) -> Step:
        transform = ColumnTransform(a.n_fft, a.hop_frames, a.bins, device=self._device)
        windows = [each.to(self._device) for each in self._windows(audio)]

        def step(n: int) -> None:
            parts = transform.forward(windows[n][None])
            transform.inverse(parts[:, None].expand(-1, a.outputs, -1, -1, -1))

        return step

    def _buffered(self, a: Architecture, audio: Any) -> Step:
        spectrum = BufferedSpectrum(a, self._frames)
        return _through(spectrum, spectrum, a, self._windows(audio))

    def _shared(self, a: Architecture, audio: Any) -> Step:
        columns = self._frames // a.hop_frames + 1
        self._overlap = aligned_overlap(columns)
        if self._overlap is None:
            raise UnavailableError(f"no overlap from 2 to 8 divides the {columns - 1} hops of a window")
        spectrum = SharedSpectrum(a, self._frames, (columns - 1) // self._overlap)
        hop = self._frames // self._overlap
        stream = np.concatenate(cut_windows(audio, self._frames, 1 + _WINDOWS), axis=1)
        heard = [
            torch.from_numpy(np.ascontiguousarray(stream[:, n * hop :][:, : self._frames])) for n in range(_WINDOWS)
        ]
        return _through(spectrum, BufferedSpectrum(a, self._frames), a, heard)

    def _numpy(self, a: Architecture, audio: Any) -> Step:
        spectrum = WindowSpectrum(a.n_fft, a.hop_frames, a.bins, self._frames)
        parts = np.empty((2 * a.channels, a.bins, spectrum.columns), np.float32)
        stems = np.empty((a.outputs, a.channels, self._frames), np.float32)
        windows = cut_windows(audio, self._frames, _WINDOWS)

        def step(n: int) -> None:
            spectrum.forward(windows[n], parts)
            for stem in stems:
                spectrum.inverse(parts, stem)

        return step


def _through(
    there: BufferedSpectrum | SharedSpectrum, back: BufferedSpectrum, a: Architecture, windows: list[torch.Tensor]
) -> Step:
    mixture = torch.empty(back.columns, a.frequencies, a.spectrum_channels)
    stems = torch.zeros(back.columns, a.frequencies, a.outputs * a.spectrum_channels)
    made = torch.empty(a.outputs, *windows[0].shape)

    def step(n: int) -> None:
        there.forward(windows[n], mixture)
        back.inverse(stems, made)

    return step
