"""Arrays bound to an ONNX Runtime session once, so that a run reads and writes them where they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy.typing as npt

__all__ = ["BatchBindings"]

Tensors = Iterable[tuple[str, npt.NDArray[Any]]]


class BatchBindings:
    """The first rows of some arrays as inputs and outputs of a session, for every number of rows.

    Belongs to one thread.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
    inputs, outputs : iterable of (str, ndarray)
        Names in the graph, and the contiguous arrays; their first axis is the batch.
    batch_size : int
    single_row : bool
        The graph takes one row at a time, so a batch is run row by row.
    """

    def __init__(
        self, session: Any, inputs: Tensors, outputs: Tensors, batch_size: int, *, single_row: bool = False
    ) -> None:
        self._session = session
        self._inputs, self._outputs = tuple(inputs), tuple(outputs)
        counts = range(1, batch_size + 1)
        if single_row:
            single = [self._bind(row, 1) for row in range(batch_size)]
            self._bindings = {n: tuple(single[:n]) for n in counts}
        else:
            self._bindings = {n: (self._bind(0, n),) for n in counts}

    def run(self, n: int) -> None:
        """Run the first ``n`` rows; what ONNX Runtime raises passes through."""
        for binding in self._bindings[n]:
            self._session.run_with_iobinding(binding)

    def _bind(self, first: int, rows: int) -> Any:
        binding = self._session.io_binding()
        for bind, tensors in ((binding.bind_input, self._inputs), (binding.bind_output, self._outputs)):
            for name, array in tensors:
                part: npt.NDArray[Any] = array[first : first + rows]
                bind(name, "cpu", 0, part.dtype.type, part.shape, part.ctypes.data)
        return binding
