"""CUDA graphs: runs of a few sizes that are recorded once and replayed, which costs the processor next to nothing."""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from engine.backends.torch_runtime import torch
from engine.errors import forget_frames

__all__ = ["GraphedRuns", "cuda_settings"]

_LOGGER = logging.getLogger("stemstream.worker")
_PLAIN_RUNS = 2
"""Runs of a size before it is captured, in which libraries choose algorithms, make plans and take their workspaces."""
_CAUSE_CHARACTERS = 200

_taking_turns = threading.Lock()
"""Settings are those of the process, and while one thread captures, none may wait for the whole device."""


class GraphedRuns:
    """Runs up to a number of windows, each as the smallest size that holds them. Used by one thread at a time.

    A size is run plainly at first, then captured, and replayed from then on. Where a graph cannot be had, as when
    memory does not suffice for its own, runs stay plain, which is told in the log.

    Parameters
    ----------
    name : str
        The model's, for the log.
    separate : callable
        Runs so many windows, from one tensor into another one that both stay where they are.
    sizes : sequence of int
        Rising.
    uses_tf32 : bool
        Whether products of float32 may be reckoned with ten bits of mantissa.
    """

    def __init__(self, name: str, separate: Callable[[int], None], sizes: Sequence[int], *, uses_tf32: bool) -> None:
        self._name = name
        self._separate = separate
        self._sizes = tuple(sizes)
        self._uses_tf32 = uses_tf32
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self._plain_runs: Counter[int] = Counter()
        self._can_capture = True
        # One pool for all: they are replayed one at a time, and what they leave behind lies outside of it.
        self._pool = torch.cuda.graph_pool_handle()

    def size_for(self, n: int) -> int:
        """Give the size as which ``n`` windows are run."""
        return self._sizes[bisect_left(self._sizes, n)]

    def __call__(self, n: int) -> None:
        """Run the first ``n`` windows on the current stream, which is not the default one."""
        size = self.size_for(n)
        if size not in self._graphs and self._can_capture and self._plain_runs[size] >= _PLAIN_RUNS:
            self._capture(size)
        if size in self._graphs:
            self._graphs[size].replay()
            return
        with _taking_turns, cuda_settings(uses_tf32=self._uses_tf32):
            self._separate(size)
        self._plain_runs[size] += 1

    def _capture(self, size: int) -> None:
        graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.current_stream()
        try:
            with (
                _taking_turns,
                cuda_settings(uses_tf32=self._uses_tf32),
                # Other threads go on using the device meanwhile.
                torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"),
            ):
                self._separate(size)
        except RuntimeError as error:
            cause = " ".join(str(error.__context__ or error).split())[:_CAUSE_CHARACTERS]
            _LOGGER.warning("%r runs without CUDA graphs, a little slower: %s", self._name, cause)
            forget_frames(error)
            self._can_capture = False
        else:
            self._graphs[size] = graph


@contextmanager
def cuda_settings(*, uses_tf32: bool) -> Iterator[None]:
    """Within the block let cuDNN measure its algorithms, and float32 be reckoned as told; both hold for the process.

    A program that chose between float32 and TF32 by the newer of PyTorch's two ways keeps its choice, since that may
    differ from operator to operator and cannot be read by the older one.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    benchmark = cudnn.benchmark
    try:
        before = (cudnn.allow_tf32, matmul.allow_tf32)
    except RuntimeError:
        before = None
    try:
        cudnn.benchmark = True
        if before is not None:
            cudnn.allow_tf32 = matmul.allow_tf32 = uses_tf32
        yield
    finally:
        cudnn.benchmark = benchmark
        if before is not None:
            cudnn.allow_tf32, matmul.allow_tf32 = before
