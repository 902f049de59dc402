"""PyTorch, imported with its pools of threads told to sleep between two pieces of work.

Left alone, threads of GNU's OpenMP, which PyTorch's Linux packages bring, spin for milliseconds after each parallel
piece, and those of Intel's and LLVM's, which the others bring, for 200 ms: time that live sound needs, and that stalls
everything once a spinning thread has real-time priority. The setting is read once, when PyTorch is imported. A program
that imports it before this one, and a user who sets one of these variables, has made their own choice.
"""

from __future__ import annotations

import os

_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
_QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}

SET_HERE = {} if any(name in os.environ for name in _CHOICES) else _QUIET
"""What was added to the environment, which processes that are started from here inherit."""
os.environ.update(SET_HERE)

import torch  # noqa: E402 - reads them once, while it is imported

__all__ = ["SET_HERE", "torch"]
