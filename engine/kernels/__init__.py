"""Steps of networks in C, compiled on the machine that runs them and kept in the cache folder."""

from engine.kernels.kernels import Kernels, load_kernels, why_no_kernels

__all__ = ["Kernels", "load_kernels", "why_no_kernels"]
