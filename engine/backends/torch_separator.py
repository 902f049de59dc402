"""Models as PyTorch checkpoints, run on the processor by PyTorch."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from engine.backends.torch_runtime import torch
from engine.denormals import DenormalsAsZero
from engine.errors import ConfigurationError, ModelError
from engine.models.mdx23c import Mdx23c, SpectrumTransform
from engine.models.mdx23c_checkpoint import read_mdx23c
from engine.models.mdx23c_layout import Architecture
from engine.separator import F32, Runner, Separator, StateArrays

__all__ = ["TorchRunner", "TorchSeparator"]

_CAUSE_CHARACTERS = 300


class TorchSeparator(Separator):
    """An MDX23C model in a checkpoint.

    Weights are read without executing anything, see `engine.checkpoint.read_tensors`. All sizes of the network come
    from them; a config that says something else is refused before a network is built. The weights are kept as
    float32, in memory of their own: the file is no longer needed.

    ``process`` and runners may be used from several threads at once. Denormals count as zero in the calling thread
    while the model runs, and only then.

    Parameters
    ----------
    path : str or path-like
        ``.ckpt``, ``.pth``, ``.pt``, ``.th`` or ``.safetensors``.
    config : str or path-like, optional
        The YAML file that came with it. Default: the file of the same name with the suffix ``.yaml`` beside it, or
        else what is known of this file by its SHA-256.
    threads : int, optional
        Threads for one run, the calling one included. Default: as many as PyTorch uses by itself, one a core. More
        than the machine has are not started.

    Attributes
    ----------
    path : Path
    spec : ModelSpec
        Stems as the config spells them. Offline, each frame is in as many windows as the config says. When live, a
        hop is a quarter of the window, and the tenth of it that the offline crossfade trusts least is its
        look-ahead.

    Raises
    ------
    ModelError
        If the file or the config cannot be read, trusted or matched, or there is no config.
    ConfigurationError
        If ``threads`` is not a positive integer.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        config: str | os.PathLike[str] | None = None,
        threads: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.threads = _thread_count(threads)
        checkpoint = read_mdx23c(self.path, config)
        self.spec = checkpoint.spec
        self._model: _Model | None = _Model(checkpoint.architecture, checkpoint.tensors)

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        """Separate a batch; see `Separator.process`. Any thread may call it, several at once too.

        Raises
        ------
        ModelError
            If the model has been released, takes no windows of this length, or PyTorch fails.
        """
        runner = self.runner(len(windows), windows.shape[-1])
        runner.windows[...] = windows
        runner.run(len(windows))
        return runner.stems, ()

    def runner(self, batch_size: int, window_frames: int) -> TorchRunner:
        """Allocate the buffers of one thread; see `TorchRunner`."""
        return TorchRunner(self, batch_size, window_frames)

    def release(self) -> None:
        """Let go of the network. Its memory is freed once its runners are gone as well."""
        self._model = None

    def _open_model(self) -> _Model:
        if self._model is None:
            raise ModelError(f"model {self.spec.name!r} has been released: load it again")
        return self._model


class TorchRunner(Runner):
    """One thread's buffers around a `TorchSeparator`.

    PyTorch reads ``windows`` where they are, and what it gives is copied into ``stems``. Rows are run one after the
    other: on a processor a batch is no faster, and so it needs no more memory than one window does, and changes no bit
    of the result. See `engine.separator.Runner` for the attributes.

    Parameters
    ----------
    separator : TorchSeparator
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

    def __init__(self, separator: TorchSeparator, batch_size: int, window_frames: int) -> None:
        if batch_size < 1:
            raise ConfigurationError(f"batch size {batch_size} is out of range: it must be at least 1")
        separator.spec.check_window(window_frames)
        super().__init__(separator, batch_size, window_frames)
        self._model = separator._open_model()
        self._input = torch.from_numpy(self.windows)
        self._output = torch.from_numpy(self.stems)
        self._threads = _Threads(separator.threads)
        self._denormals_as_zero = DenormalsAsZero()

    def run(self, n: int) -> None:
        """Separate the first ``n`` rows in place.

        Raises
        ------
        ModelError
            If PyTorch fails, for want of memory for instance.
        ConfigurationError
            If ``n`` is not between 1 and the batch size.
        """
        if not 1 <= n <= self.batch_size:
            raise ConfigurationError(f"{n} rows cannot be run: this runner takes 1 to {self.batch_size}")
        try:
            with torch.inference_mode(), self._threads, self._denormals_as_zero:
                for row in range(n):
                    self._output[row].copy_(self._model(self._input[row]))
        except RuntimeError as error:
            cause = " ".join(str(error).split())[:_CAUSE_CHARACTERS]
            raise ModelError(
                f"model {self.separator.spec.name!r} failed in PyTorch: {cause}; where memory ran out, free some"
            ) from error


class _Model:
    """A window (channels, frames) in, its stems (stems, channels, frames) out."""

    def __init__(self, architecture: Architecture, tensors: dict[str, torch.Tensor]) -> None:
        self._transform = SpectrumTransform(architecture.n_fft, architecture.hop_frames, architecture.bins)
        # Without values of its own at first: random ones would take time, and numbers from the program's generator.
        with torch.device("meta"):
            network = Mdx23c(architecture)
        self._network = network.to_empty(device="cpu").eval().requires_grad_(False)
        self._network.load_state_dict(tensors)

    def __call__(self, window: torch.Tensor) -> torch.Tensor:
        return self._transform.inverse(self._network(self._transform.forward(window[None])))[0]


class _Threads:
    """Within a ``with`` block, PyTorch uses so many threads for what the calling thread asks of it."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._before = count

    def __enter__(self) -> None:
        self._before = torch.get_num_threads()
        if self._before != self._count:
            torch.set_num_threads(self._count)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._before != self._count:
            torch.set_num_threads(self._before)


def _thread_count(threads: int | None) -> int:
    if threads is None:
        return int(torch.get_num_threads())
    if not isinstance(threads, int) or threads < 1:
        raise ConfigurationError(f"threads is {threads!r}: it must be an integer from 1")
    return min(threads, os.cpu_count() or 1)
