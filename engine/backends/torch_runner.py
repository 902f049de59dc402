"""One thread's buffers around a model that PyTorch runs on a processor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from engine.backends.torch_runtime import torch
from engine.backends.torch_ways import WindowPass
from engine.denormals import DenormalsAsZero
from engine.errors import ConfigurationError, ModelError, OutOfMemory
from engine.separator import Runner, Separator

__all__ = ["TorchRunner", "check_rows", "thread_count", "told_failures"]

_CAUSE_CHARACTERS = 300
_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "alloc_failed")


class TorchRunner(Runner):
    """One thread's buffers around a `engine.backends.torch_separator.TorchSeparator` on a processor.

    PyTorch reads ``windows`` and writes ``stems`` where they are. Rows are run one after the other: on a processor a
    batch is no faster, and so it needs no more memory than one window does, and changes no bit of the result. See
    `engine.separator.Runner` for the attributes.

    Parameters
    ----------
    separator : Separator
    window_pass : callable
        Takes a window and gives its stems, in buffers of its own.
    batch_size : int
        The most rows of one run.
    window_frames : int
    threads : int
        That PyTorch may use.
    """

    def __init__(
        self, separator: Separator, window_pass: WindowPass, batch_size: int, window_frames: int, threads: int
    ) -> None:
        super().__init__(separator, batch_size, window_frames)
        self._pass = window_pass
        self._input = torch.from_numpy(self.windows)
        self._output = torch.from_numpy(self.stems)
        self._threads = _Threads(threads)
        self._denormals_as_zero = DenormalsAsZero()

    def run(self, n: int) -> None:
        """Separate the first ``n`` rows in place.

        Raises
        ------
        OutOfMemory
            If memory ran out.
        ModelError
            If PyTorch fails.
        ConfigurationError
            If ``n`` is not between 1 and the batch size.
        """
        check_rows(n, self.batch_size)
        name = self.separator.spec.name
        with told_failures(name), torch.inference_mode(), self._threads, self._denormals_as_zero:
            for row in range(n):
                self._pass(self._input[row], self._output[row])


def check_rows(n: int, batch_size: int) -> None:
    """Refuse a number of rows that a runner has not, with a ConfigurationError."""
    if not 1 <= n <= batch_size:
        raise ConfigurationError(f"{n} rows cannot be run: this runner takes 1 to {batch_size}")


@contextmanager
def told_failures(name: str) -> Iterator[None]:
    """Turn what PyTorch raises into a ModelError, or an OutOfMemory, of the model ``name``."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        cause = " ".join(str(error).split())[:_CAUSE_CHARACTERS]
        is_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if is_memory or any(words in cause.lower() for words in _OUT_OF_MEMORY):
            raise OutOfMemory(
                f"model {name!r} ran out of memory in PyTorch ({cause}): free some, or use a smaller --batch-size"
            ) from error
        raise ModelError(f"model {name!r} failed in PyTorch: {cause}") from error


def thread_count(threads: int | None) -> int:
    """Give how many threads a run may use: as many as asked for and there are cores, or PyTorch's own choice."""
    if threads is None:
        return int(torch.get_num_threads())
    if not isinstance(threads, int) or threads < 1:
        raise ConfigurationError(f"threads is {threads!r}: it must be an integer from 1")
    return min(threads, os.cpu_count() or 1)


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
