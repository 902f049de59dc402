"""Models that PyTorch runs on a GPU: batches, pinned memory, an own stream, and graphs that are replayed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.backends.torch_graphs import GraphedRuns
from engine.backends.torch_overlap import DeviceOverlapAdd
from engine.backends.torch_runner import check_rows, told_failures
from engine.backends.torch_runtime import torch
from engine.backends.torch_turn import DeviceTurn
from engine.backends.torch_ways import build_network
from engine.batching import sizes_to_time
from engine.errors import ModelError
from engine.models.column_transform import ColumnTransform
from engine.models.mdx23c_architecture import Architecture
from engine.models.mdx23c_channels_last import order_by_channels
from engine.plan import WindowPlan
from engine.separator import F32, Runner, Separator

__all__ = ["GpuModel", "GpuRunner"]

Tensor = torch.Tensor


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
        By ``torch.compile``, which fuses norms and activations, orders the maps itself, and takes a minute at first.
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
        self.uses_tf32 = dtype is not torch.float32
        self._transform = ColumnTransform(architecture.n_fft, architecture.hop_frames, architecture.bins, device=device)
        network = build_network(architecture, tensors)
        if dtype is not torch.float32:
            network = network.reduce_to(dtype)
        network.to(device)
        if not is_compiled:
            network = order_by_channels(network)
        # Whichever stream reads the weights, they are there.
        with DeviceTurn(device)():
            pass
        self._network: Callable[[Tensor], Tensor] = torch.compile(network, dynamic=False) if is_compiled else network

    def __call__(self, windows: Tensor) -> Tensor:
        """Separate a batch (batch, channels, frames) that is on the device."""
        return self._transform.inverse(self._network(self._transform.forward(windows)))

    def overlap_add(self, plan: WindowPlan, stems: int, channels: int, *, keep_provisional: bool) -> DeviceOverlapAdd:
        """Allocate what adds up the windows of one stream on the device."""
        return DeviceOverlapAdd(plan, stems, channels, device=self.device, keep_provisional=keep_provisional)


class GpuRunner(Runner):
    """One thread's buffers around a `GpuModel`: pinned ones that the caller fills, and their images on the device.

    On CUDA the model runs on a stream of this runner, as a graph captured once for each of a few sizes of the batch; a
    number of rows between them is run as the next larger size. ``run`` waits for the device on the calling thread,
    never on one that plays. Stems stay on the device, as ``outcomes``, until somebody reads ``stems``.
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
        given = (batch_size, spec.channels, window_frames)
        with told_failures(spec.name):
            self._turn = DeviceTurn(model.device)
            self._host_in = self._turn.host_zeros(*given)
            self._in = torch.zeros(given, device=model.device)
            self._out = torch.zeros((batch_size, len(spec.stems), *given[1:]), device=model.device)
            # The zeros are written before any other stream writes here.
            with self._turn():
                pass
        self.windows = self._host_in.numpy()
        self._host_out: Tensor | None = None
        self._unread = 0
        separate = _between(model, self._in, self._out)
        self._run_rows: Callable[[int], None] = separate
        if self._turn.is_cuda:
            sizes = sizes_to_time(batch_size)
            self._run_rows = GraphedRuns(spec.name, separate, sizes, uses_tf32=model.uses_tf32)
        else:
            self._probe()

    @property
    def stems(self) -> F32:  # type: ignore[override]
        """The stems, copied from the device when they are read for the first time after a run."""
        with told_failures(self.separator.spec.name):
            if self._host_out is None:
                self._host_out = self._turn.host_zeros(*self._out.shape)
            if self._unread:
                with self._turn():
                    self._turn.copy(self._host_out[: self._unread], self._out[: self._unread])
                self._unread = 0
        stems: F32 = self._host_out.numpy()
        return stems

    @property
    def outcomes(self) -> Tensor:
        """The stems on the device; what is read from them after ``run`` is complete."""
        return self._out

    def blank_outcomes(self, rows: int, stems: int) -> Tensor:
        """Allocate zeros on the device, shape (rows, stems, channels, window_frames)."""
        with told_failures(self.separator.spec.name):
            return torch.zeros((rows, stems, *self._out.shape[2:]), device=self._model.device)

    def on_host(self, outcomes: Any) -> F32:
        """Give an array of a tensor on the device."""
        with told_failures(self.separator.spec.name):
            return self._turn.fetch(outcomes)

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
        with told_failures(self.separator.spec.name), self._turn():
            self._turn.copy(self._in[:n], self._host_in[:n])
            self._run_rows(n)
        self._unread = n

    def _probe(self) -> None:
        """Run one window, since some devices lack operators and tell so only then."""
        try:
            with self._turn():
                self._run_rows(1)
        except (NotImplementedError, RuntimeError) as error:
            cause = " ".join(str(error).split())[:300]
            raise ModelError(
                f"device {self._model.device.type!r} cannot run {self.separator.spec.name!r} ({cause}): use cpu"
            ) from error


def _between(model: Callable[[Tensor], Tensor], given: Tensor, made: Tensor) -> Callable[[int], None]:
    """Give what runs so many rows from one tensor into another; it holds no runner, which is freed with its owner."""

    def separate(n: int) -> None:
        made[:n].copy_(model(given[:n]))

    return separate
