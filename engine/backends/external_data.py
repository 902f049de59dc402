"""Where an ONNX file keeps tensors outside itself: found without loading it, and never outside its folder."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from engine.errors import ModelError

__all__ = ["check_external_data", "external_data_locations"]

# Which fields of the protocol buffer messages in onnx.proto3 lead to tensors: message -> field -> message.
_CHILDREN: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "ExternalData"},
}
_KEY, _VALUE = 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _MalformedError(ValueError):
    """The bytes are not a protocol buffer message."""


def check_external_data(path: Path) -> None:
    """Refuse an ONNX file that would read tensors from outside its own folder.

    Links are followed first, so a link that leaves the folder is refused like ``..`` or an absolute path is.
    Where the model file is itself a link, as in a download cache, the folder that it leads to is allowed too.
    ONNX Runtime has the same rule only in its later versions; older ones read any file.

    Parameters
    ----------
    path : Path
        The ONNX file. Only its structure is read: the time taken does not grow with the weights.

    Raises
    ------
    ModelError
        If the file is not a protocol buffer message, or a tensor lies outside the folder or does not exist.
    """
    folders = {path.parent.resolve(), path.resolve().parent}
    for location in dict.fromkeys(external_data_locations(path)):
        try:
            target = (path.parent / location).resolve()
            is_file = target.is_file()
        except (OSError, RuntimeError, ValueError) as error:
            raise ModelError(
                f"model file {str(path)!r} keeps weights in {location!r}, which is not a usable path: "
                "only files in the model's own folder are allowed; save the model as one file"
            ) from error
        if Path(location).is_absolute() or not any(target.is_relative_to(folder) for folder in folders):
            raise ModelError(
                f"model file {str(path)!r} keeps weights in {location!r}, outside its own folder: only relative "
                "paths within that folder are allowed; save the model as one file, or with its weights beside it"
            )
        if not is_file:
            raise ModelError(
                f"model file {str(path)!r} keeps weights in {location!r}, which is not there: "
                "put that file beside the model"
            )


def external_data_locations(path: Path) -> tuple[str, ...]:
    """Every ``location`` of external data that any tensor in an ONNX file names, in file order.

    Raises
    ------
    ModelError
        If the file is not a protocol buffer message.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return tuple(_locations(data))
    except ValueError as error:
        raise ModelError(f"{str(path)!r} is not a complete ONNX file ({error}): download or export it again") from error


def _locations(data: mmap.mmap) -> Iterator[str]:
    pending = [("Model", 0, len(data))]
    while pending:
        message, start, end = pending.pop()
        if message == "ExternalData":
            entry = {number: bytes(data[first:last]) for number, first, last in _fields(data, start, end)}
            if entry.get(_KEY) == b"location":
                yield entry.get(_VALUE, b"").decode()
            continue
        children = _CHILDREN[message]
        inner = [
            (children[number], first, last) for number, first, last in _fields(data, start, end) if number in children
        ]
        pending.extend(reversed(inner))


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each length-delimited field of the message in ``data[start:end]``."""
    at = start
    while at < end:
        tag, at = _varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _, at = _varint(data, at, end)
        elif kind == _FIXED64:
            at += 8
        elif kind == _FIXED32:
            at += 4
        elif kind == _BYTES:
            length, at = _varint(data, at, end)
            if at + length <= end:
                yield number, at, at + length
            at += length
        else:
            raise _MalformedError(f"byte {at} starts no known field")
        if at > end:
            raise _MalformedError(f"a field ends {at - end} bytes after its message")


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _MalformedError(f"a number is cut off at byte {at}")
