"""Models as ONNX files, run by ONNX Runtime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from engine.backends.description import read_description
from engine.backends.external_data import check_external_data
from engine.backends.onnx_devices import DeviceChoice, check_started, choose_device
from engine.backends.onnx_layout import GraphTensor, match_layout, trial_window_frames
from engine.backends.onnx_runners import OnnxRunner, SpectrumRunner
from engine.backends.runtime import RUNTIME_ERRORS, cause_of, ort, run_error
from engine.denormals import DenormalsAsZero
from engine.errors import ConfigurationError, ModelError
from engine.model_file import check_model_file
from engine.separator import F32, Separator, StateArrays

__all__ = ["OnnxSeparator"]

_DEFAULT_THREADS = 1
_FATAL = 4  # ONNX Runtime's log level; everything it has to say also comes as an exception
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


class OnnxSeparator(Separator):
    """A model in an ONNX file.

    The graph takes a waveform ``[batch, channels, frames]`` and gives ``[batch, stems, channels, frames]``, both
    float32. A stateful one also takes and gives its states, each ``[batch, ...]``. A graph whose description has a
    ``spectrum`` takes ``[batch, 2 * channels, bins, columns]`` and gives ``[batch, stems, 2 * channels, bins,
    columns]`` instead; the transforms are made around it, see `engine.spectrum.WindowSpectrum`. A graph whose batch
    axis is fixed at 1 works too: batches are then run row by row. What the graph does not tell stands in the
    description, see `engine.backends.description.ModelDescription`: in the file's metadata, or else in a YAML file
    beside it.

    One session serves every runner, and ``process`` and runners may be used from several threads at once. Denormals
    count as zero while the model runs, and only then.

    Parameters
    ----------
    path : str or path-like
        The ``.onnx`` file. Tensors kept outside of it must be in its own folder.
    threads : int, optional
        Threads for one run, the calling one included. Default 1: live audio gains more from a core that is never
        contended than from a second one. More than the machine has are not started.
    device : str
        What runs it, see `engine.backends.onnx_devices.choose_device`. Arrays stay where they are all the same. The
        processor takes over single operations that another device does not know.

    Attributes
    ----------
    path : Path
    spec : ModelSpec

    Raises
    ------
    ModelError
        If the file cannot be read, is not a model of this kind, does not fit its description, reaches outside its
        folder, or fails on a window of silence, which is run here.
    UnavailableError
        If the installed ONNX Runtime has nothing for the device, or it does not start.
    ConfigurationError
        If ``threads`` is not a positive integer, or the device is unknown.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int | None = None, device: str = "cpu") -> None:
        self.path = Path(path)
        source = f"model file {str(self.path)!r}"
        choice = choose_device(device)
        options = _session_options(threads, choice)
        check_model_file(self.path, source, kind=".onnx file", remedy="download or export it again")
        check_external_data(self.path)
        try:
            with DenormalsAsZero():
                session = ort.InferenceSession(str(self.path), options, providers=list(choice.providers))
            metadata = session.get_modelmeta().custom_metadata_map
        except RUNTIME_ERRORS as error:
            raise ModelError(f"{source} cannot be loaded: {cause_of(error)}; download or export it again") from error
        check_started(choice, session.get_providers())
        self._layout = match_layout(
            _tensors(session.get_inputs()),
            _tensors(session.get_outputs()),
            read_description(self.path, metadata),
            default_name=self.path.stem,
            source=source,
        )
        self.spec = self._layout.spec
        self._session: Any = session
        self._input_names = (self._layout.input, *(state.name for state in self.spec.states))
        self._output_names = (self._layout.output, *self._layout.state_outputs)
        self._check_silence(source)

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        """Separate a batch; see `Separator.process`. Any thread may call it, several at once too.

        Raises
        ------
        ModelError
            If the model has been released, or ONNX Runtime fails.
        """
        if self._layout.spectrum is not None:
            runner = self.runner(len(windows), windows.shape[-1])
            runner.windows[...] = windows
            runner.run(len(windows))
            return runner.stems, ()
        rows = [slice(n, n + 1) for n in range(len(windows))] if self._layout.single_row else [slice(None)]
        session = self._open_session()
        feeds = [dict(zip(self._input_names, (windows[row], *(s[row] for s in states)), strict=True)) for row in rows]
        try:
            with DenormalsAsZero():
                results = [session.run(self._output_names, feed) for feed in feeds]
        except RUNTIME_ERRORS as error:
            raise run_error(self.spec.name, error) from error
        stems, *new_states = results[0] if len(results) == 1 else map(np.concatenate, zip(*results, strict=True))
        return stems, tuple(new_states)

    def runner(self, batch_size: int, window_frames: int) -> OnnxRunner | SpectrumRunner:
        """Allocate the buffers of one thread; see `OnnxRunner` and `SpectrumRunner`."""
        kind = OnnxRunner if self._layout.spectrum is None else SpectrumRunner
        return kind(self, batch_size, window_frames)

    def release(self) -> None:
        """Let go of the session. Its memory is freed once its runners are gone as well."""
        self._session = None

    def _open_session(self) -> Any:
        if self._session is None:
            raise ModelError(f"model {self.spec.name!r} has been released: load it again")
        return self._session

    def _check_silence(self, source: str) -> None:
        spec = self.spec
        frames = trial_window_frames(spec, self._layout.spectrum)
        window = np.zeros((1, spec.channels, frames), np.float32)
        states = spec.initial_states(1)
        stems, new_states = self.process(window, states)
        wanted = (1, len(spec.stems), spec.channels, frames)
        for name, found, shape, dtype in (
            (self._layout.output, stems, wanted, "float32"),
            *(
                (name, found, state.shape, state.dtype.name)
                for name, found, state in zip(self._layout.state_outputs, new_states, states, strict=True)
            ),
        ):
            if found.shape != shape or found.dtype.name != dtype:
                raise ModelError(
                    f"{source}: output {name!r} gave {found.dtype.name} {list(found.shape)} for one window: "
                    f"it must be {dtype} {list(shape)}; correct the description, or export the model so"
                )


def _session_options(threads: int | None, choice: DeviceChoice) -> Any:
    threads = _DEFAULT_THREADS if threads is None else threads
    if not isinstance(threads, int) or threads < 1:
        raise ConfigurationError(f"threads is {threads!r}: it must be an integer from 1")
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = min(threads, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = choice.plans_memory
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return options


def _tensors(arguments: Any) -> list[GraphTensor]:
    return [
        GraphTensor(
            argument.name,
            _DTYPES.get(argument.type, ""),
            tuple(n if isinstance(n, int) and n >= 0 else None for n in argument.shape),
        )
        for argument in arguments
    ]
