"""Models that PyTorch runs on a GPU: batches, pinned memory, an own stream, and graphs that are replayed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.backends.torch_runner import check_rows, told_failures
from engine.backends.torch_runtime import torch
from engine.backends.torch_ways import build_network
from engine.errors import ModelError
from engine.models.mdx23c import SpectrumTransform
from engine.models.mdx23c_architecture import Architecture
from engine.separator import Runner, Separator

__all__ = ["GpuModel", "GpuRunner"]

Tensor = torch.Tensor
_WARM_UPS = 3
"""Runs before a graph is captured, in which libraries choose their algorithms."""


class GpuModel:
    """A network on a GPU. Immutable: any number of runners share it.

    Convolutions and layers work in ``dtype``, with maps in the order that tensor cores read; norms, the first and last
    layers and the transforms are float32, whose products may use TF32 where ``dtype`` is smaller anyway.

    Parameters
    ----------
    architecture : Architecture
    tensors : mapping of str to Tensor
    dtype : torch.dtype
    device : torch.device
    is_compiled : bool
        By ``torch.compile``, which fuses norms and activations and takes a minute at first.
    """

    def __init__(
        self,
        architecture: Architecture,
        tensors: Mapping[str, Tensor],
        dtype: torch.dtype,
        device: torch.device,
        *,
        is_compiled: bool,
    ) -> None:
        self.device = device
        self.outputs = architecture.outputs
        self._transform = SpectrumTransform(
            architecture.n_fft, architecture.hop_frames, architecture.bins, device=device
        )
        network = build_network(architecture, tensors)
        if dtype is not torch.float32:
            network = network.reduce_to(dtype)
        network.to(device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network: Callable[[Tensor], Tensor] = torch.compile(network, dynamic=False) if is_compiled else network

    def __call__(self, windows: Tensor) -> Tensor:
        """Separate a batch (batch, channels, frames) that is on the device."""
        return self._transform.inverse(self._network(self._transform.forward(windows)))


class GpuRunner(Runner):
    """One thread's buffers around a `GpuModel`: pinned ones that the caller fills, and their images on the device.

    On CUDA the model runs on a stream of this runner, as a graph captured once for each number of rows: a replay costs
    the processor next to nothing. ``run`` waits for the device on the calling thread, never on one that plays.
    See `engine.separator.Runner` for the attributes.

    Parameters
    ----------
    separator : Separator
    model : GpuModel
    batch_size : int
    window_frames : int
    """

    def __init__(self, separator: Separator, model: GpuModel, batch_size: int, window_frames: int) -> None:
        spec = separator.spec
        self.separator = separator
        self.batch_size = batch_size
        self.states = ()
        self._model = model
        self._is_cuda = model.device.type == "cuda"
        given = (batch_size, spec.channels, window_frames)
        made = (batch_size, len(spec.stems), spec.channels, window_frames)
        with told_failures(spec.name):
            self._host_in = torch.zeros(given, pin_memory=self._is_cuda)
            self._host_out = torch.zeros(made, pin_memory=self._is_cuda)
            self._in = torch.zeros(given, device=model.device)
            self._out = torch.zeros(made, device=model.device)
        self.windows = self._host_in.numpy()
        self.stems = self._host_out.numpy()
        if self._is_cuda:
            self._stream = torch.cuda.Stream(model.device)  # type: ignore[no-untyped-call]
            self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        else:
            self._probe()

    def run(self, n: int) -> None:
        """Separate the first ``n`` rows in place.

        Raises
        ------
        OutOfMemory
            If the device's memory ran out.
        ModelError
            If PyTorch fails.
        ConfigurationError
            If ``n`` is not between 1 and the batch size.
        """
        check_rows(n, self.batch_size)
        with told_failures(self.separator.spec.name), torch.inference_mode():
            if self._is_cuda:
                self._run_on_stream(n)
            else:
                self._in[:n].copy_(self._host_in[:n])
                self._host_out[:n].copy_(self._model(self._in[:n]))

    def _run_on_stream(self, n: int) -> None:
        if n not in self._graphs:
            self._graphs[n] = self._capture(n)
        with torch.cuda.stream(self._stream):
            self._in[:n].copy_(self._host_in[:n], non_blocking=True)
            self._graphs[n].replay()
            self._host_out[:n].copy_(self._out[:n], non_blocking=True)
            self._done.record(self._stream)
        # A blocking event: the thread sleeps and lets others have the interpreter meanwhile.
        self._done.synchronize()

    def _capture(self, n: int) -> torch.cuda.CUDAGraph:
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                self._out[:n].copy_(self._model(self._in[:n]))
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads may call CUDA meanwhile.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            self._out[:n].copy_(self._model(self._in[:n]))
        return graph

    def _probe(self) -> None:
        """Run one block, since some devices lack operators and tell so only then."""
        try:
            with torch.inference_mode():
                self._model(self._in[:1])
        except (NotImplementedError, RuntimeError) as error:
            cause = " ".join(str(error).split())[:300]
            raise ModelError(
                f"device {self._model.device.type!r} cannot run {self.separator.spec.name!r} ({cause}): use cpu"
            ) from error
