"""The network of MDX23C models as operations of an ONNX graph: what `engine.models.mdx23c.Mdx23c` computes.

Built node by node from the weights and not traced, so that it needs nothing but the ``onnx`` package and is the same
whatever version of PyTorch there is. Norm and activation are written as runtimes know them: InstanceNormalization, and
a GELU by the error function that ONNX Runtime makes one operation of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from engine.errors import ExportError
from engine.graph_builder import GraphBuilder
from engine.models.mdx23c_architecture import BATCH, Architecture

__all__ = ["NetworkGraph", "Weights"]

Weights = Mapping[str, npt.NDArray[np.float32]]
"""The tensors of a checkpoint by their names."""

_EPSILON = 1e-5  # PyTorch's, which all of these networks were trained with
_INSTANCE = "InstanceNorm"
_KINDS = {"fp32": (np.float32, TensorProto.FLOAT), "fp16": (np.float16, TensorProto.FLOAT16)}


class NetworkGraph:
    """Adds the network to a graph.

    With ``fp16`` the products of the U-Net, which are nearly all the work, take and give float16. Norms and
    activations are float32 inside, and so are the layers around the U-Net: what they take and give is as loud as the
    spectrum, which float16 cannot hold.

    Parameters
    ----------
    builder : GraphBuilder
    architecture : Architecture
    weights : mapping of str to ndarray of float32
    precision : {"fp32", "fp16"}
    """

    def __init__(
        self, builder: GraphBuilder, architecture: Architecture, weights: Weights, precision: str = "fp32"
    ) -> None:
        self._b = builder
        self._a = architecture
        self._weights = weights
        self._dtype, self._kind = _KINDS[precision]
        self._is_half = precision == "fp16"

    def add(self, spectrum: str, output: str) -> str:
        """Separate ``spectrum`` (batch, 2 * channels, bins, columns) to (batch, stems, 2 * channels, bins, columns).

        The numbers of columns and rows stay open; ``output`` is the name of the result.
        """
        a, b = self._a, self._b
        mixture = b.reshape(spectrum, "folded", 0, a.spectrum_channels, a.frequencies, -1)
        first = self._wide_conv(mixture, "first_conv")
        x = self._narrow(b.op("Transpose", [first], "first_by_time", perm=[0, 1, 3, 2]), "first_by_time")
        skipped = []
        for n in range(a.scales):
            x = self._blocks(x, f"encoder_blocks.{n}.tfc_tdf")
            skipped.append(x)
            x = self._rescale(x, f"encoder_blocks.{n}.downscale.conv", "Conv")
        x = self._blocks(x, "bottleneck_block")
        for n in range(a.scales):
            x = self._rescale(x, f"decoder_blocks.{n}.upscale.conv", "ConvTranspose")
            x = b.op("Concat", [x, skipped.pop()], f"decoder_blocks.{n}.joined", axis=1)
            x = self._blocks(x, f"decoder_blocks.{n}.tfc_tdf")
        x = b.op("Transpose", [self._wide(x, "last_by_time")], "last_by_frequency", perm=[0, 1, 3, 2])
        x = b.op("Mul", [x, first], "masked")
        x = self._wide_conv(b.op("Concat", [mixture, x], "beside_mixture", axis=1), "final_conv.0")
        x = self._wide_conv(self._activation(x, "final_conv.1"), "final_conv.2")
        return b.reshape(x, output, 0, a.outputs, a.spectrum_channels // a.bands, a.bins, -1)

    def _blocks(self, x: str, name: str) -> str:
        for n in range(self._a.blocks):
            x = self._block(x, f"{name}.blocks.{n}")
        return x

    def _block(self, x: str, name: str) -> str:
        b = self._b
        shortcut = self._conv(x, f"{name}.shortcut")
        x = self._conv(self._activated(x, f"{name}.tfc1"), f"{name}.tfc1.2", pads=[1, 1, 1, 1])
        tdf = self._linear(self._activated(x, f"{name}.tdf"), f"{name}.tdf.2")
        tdf = self._linear(self._activated(tdf, f"{name}.tdf", 3), f"{name}.tdf.5")
        x = b.op("Add", [x, tdf], f"{name}.with_tdf")
        x = self._conv(self._activated(x, f"{name}.tfc2"), f"{name}.tfc2.2", pads=[1, 1, 1, 1])
        return b.op("Add", [x, shortcut], f"{name}.with_shortcut")

    def _rescale(self, x: str, name: str, kind: str) -> str:
        return self._conv(self._activated(x, name), f"{name}.2", kind, strides=list(self._a.scale))

    def _activated(self, x: str, name: str, first: int = 0) -> str:
        """Add norm and activation, which stand at ``first`` and after it in a sequence of modules."""
        x = self._norm(self._wide(x, f"{name}.{first}"), f"{name}.{first}")
        return self._narrow(self._activation(x, f"{name}.{first + 1}"), f"{name}.{first + 1}")

    def _norm(self, x: str, name: str) -> str:
        a, b = self._a, self._b
        if not a.norm:
            return x
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        if a.norm == BATCH:
            names = ("weight", "bias", "running_mean", "running_var")
            inputs = [b.constant(f"{name}.{each}", self._weights[f"{name}.{each}"]) for each in names]
            return b.op("BatchNormalization", [x, *inputs], name, epsilon=_EPSILON)
        if a.norm == _INSTANCE:
            inputs = [b.constant(f"{name}.weight", weight), b.constant(f"{name}.bias", bias)]
            return b.op("InstanceNormalization", [x, *inputs], name, epsilon=_EPSILON)
        groups = int(a.norm.removeprefix("GroupNorm"))
        ones, zeros = b.constant(f"{name}.ones", np.ones(groups)), b.constant(f"{name}.zeros", np.zeros(groups))
        shape = b.op("Shape", [x], f"{name}.shape")
        grouped = b.reshape(x, f"{name}.grouped", 0, groups, -1)
        normal = b.op("InstanceNormalization", [grouped, ones, zeros], f"{name}.normal", epsilon=_EPSILON)
        apart = b.op("Reshape", [normal, shape], f"{name}.apart")
        scaled = b.op("Mul", [apart, b.constant(f"{name}.weight", weight[:, None, None])], f"{name}.scaled")
        return b.op("Add", [scaled, b.constant(f"{name}.bias", bias[:, None, None])], name)

    def _activation(self, x: str, name: str) -> str:
        b, act = self._b, self._a.act
        if act == "relu":
            return b.op("Relu", [x], name)
        if act != "gelu":
            return b.op("Elu", [x], name, alpha=float(act.removeprefix("elu")))
        # In these very steps: this is the form that ONNX Runtime replaces by one operation.
        root, one, half = (
            b.shared("gelu_root", math.sqrt(2.0)),
            b.shared("gelu_one", 1.0),
            b.shared("gelu_half", 0.5),
        )
        error = b.op("Erf", [b.op("Div", [x, root], f"{name}.scaled")], f"{name}.erf")
        product = b.op("Mul", [x, b.op("Add", [error, one], f"{name}.above")], f"{name}.twice")
        return b.op("Mul", [product, half], name)

    def _conv(self, x: str, name: str, kind: str = "Conv", **attributes: list[int]) -> str:
        return self._b.op(kind, [x, self._weight(f"{name}.weight")], name, **attributes)

    def _wide_conv(self, x: str, name: str) -> str:
        return self._b.op("Conv", [x, self._b.constant(f"{name}.weight", self._weights[f"{name}.weight"])], name)

    def _linear(self, x: str, name: str) -> str:
        """Multiply the last axis."""
        return self._b.op("MatMul", [x, self._weight(f"{name}.weight", is_turned=True)], name)

    def _weight(self, name: str, *, is_turned: bool = False) -> str:
        value = self._weights[name].T if is_turned else self._weights[name]
        with np.errstate(over="ignore"):
            kept = value.astype(self._dtype, copy=False)
        if self._is_half and not np.isfinite(kept).all():
            raise ExportError(f"tensor {name!r} holds values that float16 cannot: export with --precision fp32")
        return self._b.constant(name, kept, self._dtype)

    def _narrow(self, x: str, name: str) -> str:
        return self._b.op("Cast", [x], f"{name}.narrow", to=self._kind) if self._is_half else x

    def _wide(self, x: str, name: str) -> str:
        return self._b.op("Cast", [x], f"{name}.wide", to=TensorProto.FLOAT) if self._is_half else x
