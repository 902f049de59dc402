"""Weights out of a file that nobody needs to trust: tensors are read, nothing in the file is executed."""

from __future__ import annotations

import os
import pickle
import threading
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from engine.backends.torch_runtime import torch
from engine.errors import ModelError
from engine.model_file import check_model_file
from engine.pickles import ForbiddenError, check_pickles

__all__ = ["WRAPPERS", "check_finite", "container_of", "read_tensors"]

WRAPPERS = ("state", "state_dict", "model_state_dict")
"""Keys under which training programs put the weights beside other things, in the order in which they are looked for."""

_PREFIX = "module."
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_SAFETENSORS, _TORCH_ZIP, _TORCH_LEGACY = "safetensors", "PyTorch", "PyTorch (legacy)"
_MAX_HEADER_BYTES = 100_000_000  # what the safetensors format allows
_SHOWN_BYTES = 24
_CAUSE_CHARACTERS = 200
_Tensors = dict[str, torch.Tensor]


class _Inert:
    """Takes the place of a NumPy number, or of its type, that a training program left beside the weights.

    Nothing of NumPy's is called: what it makes of a forged state is its own business, and these numbers are not wanted.
    """

    __slots__ = ()

    def __init__(self, first: object = None, second: object = None, third: object = None) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


# The unpickler looks a stand-in up by the module and the name that it claims. The module of a scalar has two names.
_STAND_INS: list[Any] = [
    type(name, (_Inert,), {"__module__": module, "__slots__": ()})
    for module, name in (("numpy", "dtype"), ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"))
]
_STANDING_IN = threading.Lock()  # PyTorch keeps the list of what is allowed for the whole process


def read_tensors(path: Path, source: str) -> _Tensors:
    """Read the weights of a PyTorch or safetensors file.

    What kind of file it is shows in its first bytes, not in its name. PyTorch files are read by its unpickler for
    weights, once `engine.pickles` has found that they ask for nothing but what weights need; for NumPy's numbers, which
    training programs leave beside the weights, something takes their place that does nothing. They are mapped into
    memory where their format allows it, so that a copy is made only once. Weights may be the whole of the file or stand
    under one of `WRAPPERS`; a prefix ``module.`` that every name has is taken off.

    Parameters
    ----------
    path : Path
    source : str
        What to call it in errors, for instance ``checkpoint 'a.ckpt'``.

    Returns
    -------
    dict of str to Tensor
        On the CPU, as they are in the file; they may lie in it, so it must not be changed while they are used.

    Raises
    ------
    ModelError
        If the file is damaged, of another kind, holds anything but weights, or asks for something to be called.
    """
    check_model_file(path, source, kind="checkpoint", remedy="download it again")
    with path.open("rb") as file:
        begin = file.read(_SHOWN_BYTES)
    file_bytes = path.stat().st_size
    container = _container(begin)
    if container is _SAFETENSORS:
        tensors = _without_prefix(_safetensors_contents(path, source), source)
    elif container is not None:
        contents = _torch_contents(path, source, is_zip=container is _TORCH_ZIP)
        tensors = _without_prefix(_unwrapped(contents, source), source)
    else:
        raise ModelError(
            f"{source} is neither a PyTorch nor a safetensors file, it begins with {begin!r}: download it again"
        )
    _check_kinds(tensors, file_bytes, source)
    return tensors


def container_of(path: Path) -> str:
    """Name the kind of file by its first bytes: ``safetensors``, ``PyTorch``, ``PyTorch (legacy)`` or ``unknown``."""
    with path.open("rb") as file:
        return _container(file.read(_SHOWN_BYTES)) or "unknown"


def check_finite(tensors: Mapping[str, torch.Tensor], source: str) -> None:
    """Refuse weights that are not finite numbers as float32.

    Raises
    ------
    ModelError
        Naming the first such tensor.
    """
    for name, tensor in tensors.items():
        if tensor.dtype in _FLOATS and not bool(torch.isfinite(tensor.to(torch.float32)).all()):
            raise ModelError(f"{source} holds values that are not finite in {name!r}: it is damaged, download it again")


def _container(begin: bytes) -> str | None:
    # A safetensors file begins with the length of its header, which may look like the mark of a pickle.
    if begin[8:9] == b"{" and int.from_bytes(begin[:8], "little") <= _MAX_HEADER_BYTES:
        return _SAFETENSORS
    return _TORCH_ZIP if begin.startswith(_ZIP) else _TORCH_LEGACY if begin.startswith(_PICKLE) else None


def _torch_contents(path: Path, source: str, *, is_zip: bool) -> object:
    # Mapping needs a path, and by its path PyTorch takes a file of this suffix for another kind.
    is_mapped = is_zip and path.suffix.lower() != ".safetensors"
    try:
        with path.open("rb") as file, warnings.catch_warnings(), _STANDING_IN, _allowing_stand_ins():
            warnings.simplefilter("ignore")
            check_pickles(file, is_zip=is_zip)
            contents: object = torch.load(
                os.fspath(path) if is_mapped else file, map_location="cpu", weights_only=True, mmap=is_mapped
            )
    except ForbiddenError as error:
        raise ModelError(
            f"{source} is refused: it asks for {_cause(error)!r} when it is read, and only weights are allowed; "
            "nothing of it was run; get a file of the weights alone, best as safetensors"
        ) from error
    except pickle.UnpicklingError as error:
        said = str(error).rpartition("WeightsUnpickler error: ")[2]
        cause = _cause(next((line for line in said.splitlines() if line.strip()), "no reason is told"))
        raise ModelError(
            f"{source} cannot be read ({cause}): get a file that torch.save wrote, or download it again"
        ) from error
    except Exception as error:  # the bytes are foreign, and the unpickler lets through whatever they lead to
        raise ModelError(f"{source} cannot be read ({_cause(error)}): download it again") from error
    return contents


def _allowing_stand_ins() -> AbstractContextManager[None]:
    allowing = getattr(torch.serialization, "safe_globals", None)  # PyTorch 2.4 has none yet
    return nullcontext() if allowing is None else allowing(_STAND_INS)


def _safetensors_contents(path: Path, source: str) -> _Tensors:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise ModelError(f"{source} needs the package safetensors: pip install 'stemstream[torch]'") from error
    try:
        tensors: _Tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{source} is no whole safetensors file ({_cause(error)}): download it again") from error
    return tensors


def _unwrapped(contents: object, source: str) -> Mapping[Any, object]:
    for wrapper in WRAPPERS:
        if isinstance(contents, Mapping) and isinstance(contents.get(wrapper), Mapping):
            contents = contents[wrapper]
            break
    if not isinstance(contents, Mapping) or not contents:
        raise ModelError(
            f"{source} holds {_kind(contents)}: it must hold named tensors, bare or under {', '.join(WRAPPERS)}"
        )
    return contents


def _without_prefix(contents: Mapping[Any, object], source: str) -> _Tensors:
    tensors: _Tensors = {}
    for name, value in contents.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ModelError(
                f"{source} holds {_kind(value)} under {_cause(name)!r} where a tensor is wanted: "
                f"weights must be bare or under {', '.join(WRAPPERS)}"
            )
        tensors[name] = value
    while tensors and all(name.startswith(_PREFIX) for name in tensors):
        tensors = {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()}
    return tensors


def _check_kinds(tensors: Mapping[str, torch.Tensor], file_bytes: int, source: str) -> None:
    claimed = 0
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise ModelError(f"{source} holds {name!r} in a form of its own: only plain tensors are allowed")
        is_count = tensor.dtype == torch.int64 and not tensor.dim()
        if tensor.dtype not in _FLOATS and not is_count:
            raise ModelError(
                f"{source} holds {name!r} as {_dtype(tensor.dtype)}: allowed are {', '.join(map(_dtype, _FLOATS))}"
            )
        claimed += tensor.numel() * tensor.element_size()
    if claimed > file_bytes:
        raise ModelError(
            f"{source} promises tensors of {claimed} bytes and has {file_bytes}: it is damaged or made to fill memory"
        )


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _kind(value: object) -> str:
    return "an empty mapping" if value == {} else type(value).__name__


def _cause(error: object) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _CAUSE_CHARACTERS else text[: _CAUSE_CHARACTERS - 3] + "..."
