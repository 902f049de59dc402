"""One thread's buffers around a model in an ONNX file, bound to its session once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.backends.onnx_binding import BatchBindings
from engine.backends.runtime import RUNTIME_ERRORS, run_error
from engine.denormals import DenormalsAsZero
from engine.errors import ConfigurationError, ModelError
from engine.lock_keeping import copy
from engine.separator import F32, Runner, StateArrays
from engine.spec import ModelSpec
from engine.spectrum import WindowSpectrum

if TYPE_CHECKING:
    from engine.backends.onnx import OnnxSeparator

__all__ = ["OnnxRunner", "SpectrumRunner"]


class OnnxRunner(Runner):
    """One thread's buffers around an `OnnxSeparator`, bound to its session once.

    ONNX Runtime reads ``windows`` and ``states`` and writes ``stems`` where they are; new states are copied into
    ``states`` after a run that succeeded. ``run`` allocates no array. See `engine.separator.Runner` for the
    attributes.

    Parameters
    ----------
    separator : OnnxSeparator
    batch_size : int
        The most rows of one run.
    window_frames : int

    Raises
    ------
    ModelError
        If the model takes no windows of this length, or has been released.
    ConfigurationError
        If ``batch_size`` is not positive.
    """

    def __init__(self, separator: OnnxSeparator, batch_size: int, window_frames: int) -> None:
        _check_runner(separator.spec, batch_size, window_frames)
        super().__init__(separator, batch_size, window_frames)
        new_states: StateArrays = tuple(np.empty_like(state) for state in self.states)
        self._bindings = BatchBindings(
            separator._open_session(),
            zip(separator._input_names, (self.windows, *self.states), strict=True),
            zip(separator._output_names, (self.stems, *new_states), strict=True),
            batch_size,
            single_row=separator._layout.single_row,
        )
        pairs = tuple(zip(self.states, new_states, strict=True))
        self._kept_states = {n: tuple((kept[:n], new[:n]) for kept, new in pairs) for n in range(1, batch_size + 1)}
        self._denormals_as_zero = DenormalsAsZero()

    def run(self, n: int) -> None:
        """Separate the first ``n`` rows in place.

        Raises
        ------
        ModelError
            If ONNX Runtime fails; the states are then as before.
        ConfigurationError
            If ``n`` is not between 1 and the batch size.
        """
        _check_rows(n, self.batch_size)
        try:
            with self._denormals_as_zero:
                self._bindings.run(n)
        except RUNTIME_ERRORS as error:
            raise run_error(self.separator.spec.name, error) from error
        for kept, new in self._kept_states[n]:
            copy(kept, new)


class SpectrumRunner(Runner):
    """One thread's buffers around an `OnnxSeparator` whose graph takes and gives spectra.

    The spectra are bound to the session once, and the transforms have buffers of their own: ``run`` allocates no array.
    See `OnnxRunner` for the parameters and errors, and `engine.separator.Runner` for the attributes.
    """

    def __init__(self, separator: OnnxSeparator, batch_size: int, window_frames: int) -> None:
        spec, described = separator.spec, separator._layout.spectrum
        assert described is not None  # noqa: S101 - for the type; only such a separator makes this
        _check_runner(spec, batch_size, window_frames)
        if window_frames <= described.n_fft // 2:
            raise ModelError(
                f"model {spec.name!r} takes no window of {window_frames} frames: it must be longer than half of its "
                f"transform, {described.n_fft // 2}"
            )
        super().__init__(separator, batch_size, window_frames)
        self._transform = WindowSpectrum(described.n_fft, described.hop_frames, described.bins, window_frames)
        parts = (2 * spec.channels, described.bins, self._transform.columns)
        self._mixtures: F32 = np.zeros((batch_size, *parts), np.float32)
        self._estimates: F32 = np.zeros((batch_size, len(spec.stems), *parts), np.float32)
        self._bindings = BatchBindings(
            separator._open_session(),
            [(separator._layout.input, self._mixtures)],
            [(separator._layout.output, self._estimates)],
            batch_size,
            single_row=separator._layout.single_row,
        )
        self._denormals_as_zero = DenormalsAsZero()

    def run(self, n: int) -> None:
        """Separate the first ``n`` rows in place; raises as `OnnxRunner.run` does."""
        _check_rows(n, self.batch_size)
        try:
            # Values that are not finite are for whoever gets them to find, not for NumPy to warn of.
            with self._denormals_as_zero, np.errstate(all="ignore"):
                for window, spectrum in zip(self.windows[:n], self._mixtures[:n], strict=True):
                    self._transform.forward(window, spectrum)
                self._bindings.run(n)
                for estimates, stems in zip(self._estimates[:n], self.stems[:n], strict=True):
                    for estimate, stem in zip(estimates, stems, strict=True):
                        self._transform.inverse(estimate, stem)
        except RUNTIME_ERRORS as error:
            raise run_error(self.separator.spec.name, error) from error


def _check_runner(spec: ModelSpec, batch_size: int, window_frames: int) -> None:
    if batch_size < 1:
        raise ConfigurationError(f"batch size {batch_size} is out of range: it must be at least 1")
    spec.check_window(window_frames)


def _check_rows(n: int, batch_size: int) -> None:
    if not 1 <= n <= batch_size:
        raise ConfigurationError(f"{n} rows cannot be run: this runner takes 1 to {batch_size}")
