"""Models as PyTorch checkpoints, run by PyTorch on a processor, a CUDA device or Apple's GPU."""

from __future__ import annotations

import os
from pathlib import Path

from engine.backends.torch_devices import check_device, parse_dtype
from engine.backends.torch_gpu import GpuModel, GpuRunner
from engine.backends.torch_runner import TorchRunner, thread_count, told_failures
from engine.backends.torch_runtime import torch
from engine.backends.torch_ways import WAYS, ProcessorModel, best_way, make_model
from engine.errors import ConfigurationError, ModelError, UnavailableError
from engine.models.mdx23c_checkpoint import read_mdx23c
from engine.overlap import OverlapAdd
from engine.plan import WindowPlan
from engine.separator import F32, Runner, Separator, StateArrays

__all__ = ["TorchRunner", "TorchSeparator"]


class TorchSeparator(Separator):
    """An MDX23C model in a checkpoint.

    Weights are read without executing anything, see `engine.checkpoint.read_tensors`. All sizes of the network come
    from them; a config that says something else is refused before a network is built. The weights are kept in memory
    of their own, in the precision that they are used in: the file is no longer needed.

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
        Threads for one run on a processor, the calling one included. Default: as many as PyTorch uses by itself, one
        a core. More than the machine has are not started.
    device : str
        ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    precision : {"fp32", "bf16", "fp16"}
        What convolutions and layers reckon with; norms, sums and the first and last layers are float32 always. A
        processor knows fp32 and bf16.
    way : {"fused", "eager", "compiled"}, optional
        How it is run, see `engine.backends.torch_ways`. Default: fused on a processor that has a C compiler, or else
        eager. On a GPU: eager or compiled.

    Attributes
    ----------
    path : Path
    spec : ModelSpec
        Stems as the config spells them. Offline, each frame is in as many windows as the config says. When live, a
        hop is a quarter of the window, and the tenth of it that the offline crossfade trusts least is its
        look-ahead.
    device, precision, way : str
        As they are.

    Raises
    ------
    ModelError
        If the file or the config cannot be read, trusted or matched, or there is no config.
    ConfigurationError
        If ``threads`` is not a positive integer, or a word is not known.
    UnavailableError
        If this machine lacks the device, the precision or the way.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        config: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        device: str = "cpu",
        precision: str = "fp32",
        way: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.threads = thread_count(threads)
        if way is not None and way not in WAYS:
            raise ConfigurationError(f"way {way!r} is not known: use {', '.join(WAYS)}")
        self.device = check_device(device)
        self.precision = precision
        dtype = parse_dtype(precision, self.device)
        checkpoint = read_mdx23c(self.path, config)
        architecture = checkpoint.architecture
        self.spec = checkpoint.spec
        self._model: ProcessorModel | GpuModel | None
        if self.device == "cpu":
            self.way = best_way(architecture) if way is None else way
            with told_failures(self.spec.name):
                self._model = make_model(self.way, architecture, checkpoint.tensors, dtype, self.spec.window_frames)
        else:
            self.way = "eager" if way is None else way
            if self.way == "fused":
                raise UnavailableError(f"fused steps are for processors: on {self.device} use eager or compiled")
            with told_failures(self.spec.name):
                self._model = GpuModel(
                    architecture,
                    checkpoint.tensors,
                    dtype,
                    torch.device(self.device),
                    is_compiled=self.way == "compiled",
                )

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

    def runner(self, batch_size: int, window_frames: int) -> Runner:
        """Allocate the buffers of one thread; see `TorchRunner` and `engine.backends.torch_gpu.GpuRunner`."""
        if batch_size < 1:
            raise ConfigurationError(f"batch size {batch_size} is out of range: it must be at least 1")
        self.spec.check_window(window_frames)
        model = self._loaded()
        if isinstance(model, GpuModel):
            return GpuRunner(self, model, batch_size, window_frames)
        with told_failures(self.spec.name):
            window_pass = model.make_pass(window_frames)
        return TorchRunner(self, window_pass, batch_size, window_frames, self.threads)

    def overlap_add(self, plan: WindowPlan, stems: int, *, keep_provisional: bool) -> OverlapAdd:
        """Allocate what adds up the windows of one stream, on the device that the model runs on."""
        model = self._loaded()
        if isinstance(model, GpuModel):
            with told_failures(self.spec.name):
                return model.overlap_add(plan, stems, self.spec.channels, keep_provisional=keep_provisional)
        return super().overlap_add(plan, stems, keep_provisional=keep_provisional)

    def _loaded(self) -> ProcessorModel | GpuModel:
        if self._model is None:
            raise ModelError(f"model {self.spec.name!r} has been released: load it again")
        return self._model

    def release(self) -> None:
        """Let go of the network. Its memory is freed once its runners are gone as well."""
        self._model = None
