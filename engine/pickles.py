"""What a PyTorch file asks for when it is read, found out before anything reads it: its instructions are not followed.

PyTorch's unpickler for weights calls nothing that could do harm to the machine, but some of what it does call makes as
much memory of a few bytes as they ask for. What weights need is little, and no more is let through.
"""

from __future__ import annotations

import io
import pickletools
import re
import tarfile
import zipfile
from typing import IO, Any

from engine.backends.torch_runtime import torch

__all__ = ["ForbiddenError", "check_pickles"]

_MAX_PICKLE_BYTES = 1 << 24  # those of the public networks have some hundred kilobytes
_MAX_COPIED_BYTES = 1 << 24  # a file of weights has one or two copying calls, and one for each kind of number beside
_LEGACY_PICKLES = 5  # magic number, version, machine, contents, keys of the storages
_TEXT = "text "

_ENCODE = "_codecs.encode"
_ORDERED = "collections.OrderedDict"
_COPYING = frozenset({"__builtin__.set", "builtins.set", "collections.Counter", "torch.Size"})
_ALLOWED = _COPYING | frozenset(
    {
        _ENCODE,
        _ORDERED,
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.dtype",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch.device",
    }
)
_KINDS = re.compile(
    r"torch\.(?:(?:Double|Float|Half|BFloat16|Long|Int|Short|Char|Byte|Bool|ComplexFloat|ComplexDouble)Storage"
    r"|(?:b?float|u?int|complex)\d+|bool)"
)
_STRINGS = frozenset(
    {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
)
_GETS, _PUTS = frozenset({"GET", "BINGET", "LONG_BINGET"}), frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})


class ForbiddenError(Exception):
    """A file asks for something that no weights need; the message is its name."""


def check_pickles(file: IO[bytes], *, is_zip: bool) -> None:
    """Look at everything that PyTorch would unpickle of a file.

    Parameters
    ----------
    file : binary file
        At its beginning, where it is left as well.
    is_zip : bool
        Whether it is of the present format, or of the one before.

    Raises
    ------
    ForbiddenError
        If it asks for anything but tensors, plain containers and NumPy's numbers.
    Exception
        Of many kinds, where it is damaged.
    """
    if is_zip:
        _check_sizes(file)
        file.seek(0)
        # By PyTorch's own reader, since another may find another member under this name.
        record = torch._C.PyTorchFileReader(file).get_record("data.pkl")
        _check_pickle(io.BytesIO(record[:_MAX_PICKLE_BYTES]))
    else:
        if tarfile.is_tarfile(file):
            raise ValueError("it is a tar archive, which only old versions of PyTorch wrote")
        file.seek(0)
        begin = io.BytesIO(file.read(_MAX_PICKLE_BYTES))
        for _ in range(_LEGACY_PICKLES):
            _check_pickle(begin)
    file.seek(0)


def _check_sizes(file: IO[bytes]) -> None:
    file_bytes = file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        claimed = sum(member.file_size for member in archive.infolist())
    if claimed > file_bytes:
        raise ValueError(f"its parts have {claimed} bytes and it has {file_bytes}")


def _check_pickle(stream: IO[bytes]) -> None:
    strings: list[str] = []
    check = _Calls()
    begin = stream.tell()
    for opcode, argument, position in pickletools.genops(stream):
        name = opcode.name
        if name in ("GLOBAL", "INST"):
            _check_name(str(argument).replace(" ", "."))
        elif name == "STACK_GLOBAL":
            _check_name(".".join(strings))
        check.see(name, argument)
        if name not in _PUTS and check.last.startswith(_TEXT):
            strings = [*strings[-1:], check.last.removeprefix(_TEXT)]
        if check.copies * ((position or 0) - begin) > _MAX_COPIED_BYTES:
            raise ValueError(f"it asks for {check.copies} copies of what it holds")


def _check_name(asked: str) -> None:
    if asked not in _ALLOWED and not _KINDS.fullmatch(asked):
        raise ForbiddenError(re.sub(r"^__builtin__\b", "builtins", asked))


class _Calls:
    """Follows calls that could make much of little: what they are given must be as ``torch.save`` writes it.

    An `OrderedDict` is made empty, and a text becomes bytes by ``latin1`` and is written out at its call, but for such
    of a single character, which Python keeps. What copies all that it is given is counted.
    """

    def __init__(self) -> None:
        self._memo: dict[int, str] = {}
        self.last = ""
        self.copies = 0
        self._expected: list[str] = []

    def see(self, name: str, argument: Any) -> None:
        if name in _PUTS:
            self._remember(name, argument)
            return
        value = self._value(name, argument)
        if self._expected:
            self._check(self._expected.pop(0), name, value)
        elif value == f"global {_ENCODE}":
            self._expected = ["text", "latin1", "TUPLE2", "REDUCE"]
        elif value == f"global {_ORDERED}":
            self._expected = ["EMPTY_TUPLE", "REDUCE"]
        if name == "BUILD" or value.removeprefix("global ") in _COPYING:
            self.copies += 1
        self.last = value

    def _remember(self, name: str, argument: Any) -> None:
        place = len(self._memo) if name == "MEMOIZE" else int(argument)
        self._memo[place] = self.last

    def _value(self, name: str, argument: Any) -> str:
        if name in _GETS:
            return self._memo.get(int(argument), "")
        if name == "GLOBAL":
            return f"global {str(argument).replace(' ', '.')}"
        if name in _STRINGS:
            return f"{_TEXT}{argument}"
        return ""

    def _check(self, expected: str, name: str, value: str) -> None:
        if expected == "text":
            fits = name in _STRINGS or (name in _GETS and value.startswith(_TEXT) and len(value) == len(_TEXT) + 1)
        elif expected == "latin1":
            fits = value == f"{_TEXT}latin1"
        else:
            fits = name == expected
        if not fits:
            raise ForbiddenError(_ENCODE if expected in ("text", "latin1", "TUPLE2") else _ORDERED)
