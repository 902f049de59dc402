"""A thread's turn on a device: what it asks for goes to a stream of its own, and it sleeps until all of it is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from engine.backends.torch_runtime import torch

__all__ = ["DeviceTurn"]

Tensor = torch.Tensor


class DeviceTurn:
    """Gives one thread at a time its turns on a device. Devices without streams do each thing when it is asked for.

    Parameters
    ----------
    device : torch.device

    Attributes
    ----------
    device : torch.device
    is_cuda : bool
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.is_cuda = device.type == "cuda"
        if self.is_cuda:
            with torch.cuda.device(device):
                self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
                # A blocking event: the thread sleeps, and others have the interpreter meanwhile.
                self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Within the block PyTorch runs on the stream, without gradients; it ends when the device is done."""
        with torch.inference_mode():
            if not self.is_cuda:
                yield
                return
            # Each thread has its own idea of which device is meant.
            with torch.cuda.device(self.device):
                # What this thread asked for outside of its turns comes before.
                self._stream.wait_stream(torch.cuda.current_stream(self.device))
                try:
                    with torch.cuda.stream(self._stream):
                        yield
                finally:
                    # After a failure too: nobody may free a buffer that the device still writes to.
                    self._done.record(self._stream)
                    self._done.synchronize()

    def copy(self, out: Tensor, source: Tensor) -> None:
        """Copy between pinned memory and the device; done at the end of the turn."""
        out.copy_(source, non_blocking=self.is_cuda)

    def host_zeros(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Allocate memory of the processor that the device reads and writes by itself."""
        return torch.zeros(shape, dtype=dtype, pin_memory=self.is_cuda)

    def fetch(self, tensor: Tensor) -> npt.NDArray[np.float32]:
        """Give an array of a tensor's values, of its own unless the device is the processor."""
        with self():
            array: npt.NDArray[np.float32] = tensor.cpu().numpy()
        return array
