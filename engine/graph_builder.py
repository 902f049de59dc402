"""A builder of ONNX graphs; it needs the ``onnx`` package."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

__all__ = ["GraphBuilder"]

F64 = npt.NDArray[np.float64]
_END = (1 << 63) - 1  # beyond every axis


class GraphBuilder:
    """Nodes and constants of a graph in the order they are added.

    Every method takes and returns names of values; a node has the name of its first result.

    Attributes
    ----------
    nodes : list of onnx.NodeProto
    constants : list of onnx.TensorProto
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._shared: set[str] = set()

    def constant(self, name: str, value: npt.ArrayLike, dtype: type = np.float32) -> str:
        """Add a constant tensor."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype), name))
        return name

    def integers(self, *values: int) -> str:
        """Add a constant vector of integers (axes, shapes, bounds), once however often it is used."""
        name = "integers_" + "_".join(str(value) for value in values)
        if name not in self._shared:
            self._shared.add(name)
            self.constant(name, values, np.int64)
        return name

    def shared(self, name: str, value: float) -> str:
        """Add a constant number, once however often it is used."""
        if name not in self._shared:
            self._shared.add(name)
            self.constants.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def scalar(self, name: str, value: int) -> str:
        """Add a constant integer without axes."""
        self.constants.append(numpy_helper.from_array(np.array(value, np.int64), name))
        return name

    def op(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node with one result."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def split(self, value: str, axis: int, sizes: tuple[int, int], names: tuple[str, str]) -> tuple[str, str]:
        """Cut a tensor in two along an axis."""
        inputs = [value, self.integers(*sizes)]
        self.nodes.append(helper.make_node("Split", inputs, list(names), name=names[0], axis=axis))
        return names

    def reshape(self, value: str, name: str, *shape: int) -> str:
        """Give a tensor another shape; -1 stands for the batch."""
        return self.op("Reshape", [value, self.integers(*shape)], name)

    def sized(self, value: str, name: str, *shape: int | str) -> str:
        """Give a tensor another shape, in which names stand for vectors of one integer."""
        parts = [self.integers(size) if isinstance(size, int) else size for size in shape]
        return self.op("Reshape", [value, self.op("Concat", parts, f"{name}_shape", axis=0)], name)

    def size(self, value: str, axis: int, name: str) -> str:
        """Take the size of an axis as a vector of one integer; axes count from 0."""
        return self.op("Shape", [value], name, start=axis, end=axis + 1)

    def cut(self, value: str, axis: int, start: int, stop: int | None, name: str) -> str:
        """Cut a tensor along an axis as a slice would, from ``start`` to ``stop``."""
        bounds = [self.integers(start), self.integers(_END if stop is None else stop)]
        return self.op("Slice", [value, *bounds, self.integers(axis)], name)

    def turn(self, real: str, imag: str, angles: F64, name: str) -> tuple[str, str]:
        """Multiply complex numbers by exp(i angles)."""
        cos = self.constant(f"{name}_cos", np.cos(angles))
        sin = self.constant(f"{name}_sin", np.sin(angles))
        real_cos, imag_sin = self.op("Mul", [real, cos], f"{name}_rc"), self.op("Mul", [imag, sin], f"{name}_is")
        real_sin, imag_cos = self.op("Mul", [real, sin], f"{name}_rs"), self.op("Mul", [imag, cos], f"{name}_ic")
        return (
            self.op("Sub", [real_cos, imag_sin], f"{name}_real"),
            self.op("Add", [real_sin, imag_cos], f"{name}_imag"),
        )
