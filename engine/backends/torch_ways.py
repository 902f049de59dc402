"""The ways in which PyTorch runs a network on a processor: one window at a time, the fastest that this machine has.

A model is immutable and shared; a pass has the buffers of one thread.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from typing import Protocol

from engine.backends.torch_runtime import torch
from engine.errors import UnavailableError
from engine.kernels.library import Kernels, load_kernels, why_no_kernels
from engine.models.buffered_spectrum import BufferedSpectrum
from engine.models.mdx23c import Mdx23c, SpectrumTransform
from engine.models.mdx23c_architecture import Architecture
from engine.models.mdx23c_fused import FusedNetwork
from engine.models.mdx23c_weights import FusedWeights, can_fuse

__all__ = ["WAYS", "ProcessorModel", "WindowPass", "best_way", "build_network", "make_model"]

WAYS = ("fused", "eager", "compiled")
"""fused: `engine.models.mdx23c_fused`. eager: the network as PyTorch runs it, in the order of operations of the
reference. compiled: the same by ``torch.compile``, which takes minutes before the first window of each length."""

_CPP_COMPILERS = ("g++", "clang++", "c++", "cl")

Tensor = torch.Tensor
WindowPass = Callable[[Tensor, Tensor], None]
"""Separates a window (channels, frames) into stems (stems, channels, frames)."""


class ProcessorModel(Protocol):
    """A network ready to run."""

    def make_pass(self, window_frames: int) -> WindowPass:
        """Allocate what one thread needs for windows of a length."""


def best_way(architecture: Architecture) -> str:
    """Give the fastest way that needs no minutes of preparation."""
    has_convolutions = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    is_ready = has_convolutions and can_fuse(architecture) and load_kernels() is not None
    return "fused" if is_ready else "eager"


def make_model(
    way: str, architecture: Architecture, tensors: Mapping[str, Tensor], dtype: torch.dtype, window_frames: int
) -> ProcessorModel:
    """Prepare a network for the processor.

    Parameters
    ----------
    way : str
        One of `WAYS`.
    architecture : Architecture
    tensors : mapping of str to Tensor
        Copied: the checkpoint's file is no longer needed.
    dtype : torch.dtype
        float32, or bfloat16 except for ``eager``.
    window_frames : int
        Of the usual window.

    Raises
    ------
    UnavailableError
        If this way is not to be had here.
    """
    if way == "fused":
        if not can_fuse(architecture):
            raise UnavailableError(
                f"fused steps are for networks with InstanceNorm, gelu and a scale of 2x2, and this one has "
                f"{architecture.norm or 'no norm'}, {architecture.act}: choose the backend eager"
            )
        kernels = load_kernels()
        if kernels is None:
            raise UnavailableError(f"fused steps cannot be had here: {why_no_kernels()}; or choose the backend eager")
        return _FusedModel(architecture, tensors, dtype, window_frames, kernels)
    if way == "eager":
        if dtype is not torch.float32:
            cause = why_no_kernels() if can_fuse(architecture) else ""
            raise UnavailableError(
                "this precision needs fused steps"
                + (f", and they cannot be had here: {cause}" if cause else ": choose the backend torch")
                + "; or use fp32"
            )
        return _EagerModel(architecture, tensors, dtype)
    return _CompiledModel(architecture, tensors, dtype)


def build_network(architecture: Architecture, tensors: Mapping[str, Tensor]) -> Mdx23c:
    """Build a network with these weights, which are copied, on the processor and ready for inference."""
    # Without values of its own at first: random ones would take time, and numbers from the program's generator.
    with torch.device("meta"):
        network = Mdx23c(architecture)
    network = network.to_empty(device="cpu").eval().requires_grad_(False)
    network.load_state_dict(dict(tensors))
    return network


class _FusedModel:
    def __init__(
        self,
        architecture: Architecture,
        tensors: Mapping[str, Tensor],
        dtype: torch.dtype,
        window_frames: int,
        kernels: Kernels,
    ) -> None:
        self._architecture = architecture
        self._kernels = kernels
        columns = window_frames // architecture.hop_frames + 1
        with torch.inference_mode():
            self._weights = FusedWeights(architecture, tensors, dtype, columns)

    def make_pass(self, window_frames: int) -> WindowPass:
        spectrum = BufferedSpectrum(self._architecture, window_frames)
        network = FusedNetwork(self._weights, spectrum.columns, self._kernels)

        def separate(window: Tensor, stems: Tensor) -> None:
            spectrum.forward(window, network.mixture)
            network.run()
            spectrum.inverse(network.stems, stems)

        return separate


class _EagerModel:
    def __init__(self, architecture: Architecture, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
        self._transform = SpectrumTransform(architecture.n_fft, architecture.hop_frames, architecture.bins)
        self._network: Callable[[Tensor], Tensor] = build_network(architecture, tensors).reduce_to(dtype)

    def make_pass(self, window_frames: int) -> WindowPass:
        return self._separate

    def _separate(self, window: Tensor, stems: Tensor) -> None:
        stems.copy_(self._transform.inverse(self._network(self._transform.forward(window[None])))[0])


class _CompiledModel(_EagerModel):
    def __init__(self, architecture: Architecture, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
        if not any(map(shutil.which, _CPP_COMPILERS)):
            raise UnavailableError("compiled needs a C++ compiler: sudo apt install g++, or choose the backend torch")
        super().__init__(architecture, tensors, dtype)
        import torch._inductor.config  # not part of what ``import torch`` brings

        # Frozen weights are packed once for the processor, and may be since nothing trains here.
        self._network = torch.compile(self._network, dynamic=False, options={"freezing": True})

    def _separate(self, window: Tensor, stems: Tensor) -> None:
        # Without inference mode, which freezing does not know.
        with torch.inference_mode(False), torch.no_grad():
            super()._separate(window.clone(), stems)
