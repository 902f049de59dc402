"""Compile the C sources of this folder for the processor at hand, once, into the cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from engine.cache import cache_folder

__all__ = ["BuildError", "built_library", "find_compiler"]

_SOURCES = ("mdx23c.c", "norm_gelu.h")
_COMPILERS = ("cc", "gcc", "clang")
_COMPILE = (
    "-std=c11",
    "-O3",
    "-fPIC",
    "-fopenmp",
    # Sums may be reordered. Numbers that are not finite keep their meaning: they are a model's faults, and are told.
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-fassociative-math",
    "-ffp-contract=fast",
)
_NATIVE = ("-march=native", "-mcpu=native")
_WIDE = "-mprefer-vector-width=512"
_PATIENCE_S = 120.0


class BuildError(Exception):
    """There is no compiler, or it fails; the message says what to do."""


def built_library() -> Path:
    """Give the path of the compiled library; it is built unless that was done before.

    Its name comes of the sources, the options, the compiler and the processor, so that a change of any builds anew.

    Raises
    ------
    BuildError
    """
    compiler = find_compiler()
    folder = Path(__file__).parent
    told = [folder.joinpath(name).read_bytes() for name in _SOURCES]
    told += [" ".join((*compiler, *_COMPILE)).encode(), _version(compiler), platform.machine().encode(), _processor()]
    name = hashlib.sha256(b"\0".join(told)).hexdigest()[:16]
    library = cache_folder() / "kernels" / f"mdx23c-{name}.so"
    if not library.is_file():
        _build(compiler, folder / _SOURCES[0], library)
    return library


def find_compiler() -> list[str]:
    """Give the command of the C compiler: that of the variable CC, or the first of the usual ones.

    Raises
    ------
    BuildError
        If there is none.
    """
    if sys.platform == "win32":
        raise BuildError("fused steps are compiled on Linux and macOS only: this machine goes without")
    named = shlex.split(os.environ.get("CC", ""))
    for command in [named] if named else [[name] for name in _COMPILERS]:
        if shutil.which(command[0]):
            return command
    missing = f"CC={named[0]}" if named else " or ".join(_COMPILERS)
    raise BuildError(f"no C compiler was found ({missing}): sudo apt install gcc, or xcode-select --install on macOS")


def _build(compiler: list[str], source: Path, library: Path) -> None:
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent, prefix=".building-") as scratch:
            built = Path(scratch) / "kernels.o"
            faults = []
            # In two steps: a linker that sees options of fast arithmetic may change that of the whole process.
            for native in _flags():
                fault = _run([*compiler, *_COMPILE, *native, "-c", str(source), "-o", str(built)])
                if not fault:
                    break
                faults.append(fault)
            else:
                raise BuildError(f"{' '.join(compiler)} cannot compile the fused steps ({faults[0]}): install gcc")
            linked = Path(scratch) / "kernels.so"
            if fault := _run([*compiler, "-shared", "-fopenmp", str(built), "-o", str(linked), "-lm"]):
                raise BuildError(f"{' '.join(compiler)} cannot link the fused steps ({fault}): install gcc")
            # Whole or not at all, also where two processes build at once.
            os.replace(linked, library)
    except OSError as error:
        raise BuildError(
            f"the fused steps cannot be kept in {str(library.parent)!r} ({error.strerror}): "
            "make room there, or name another folder with STEMSTREAM_CACHE"
        ) from error


def _flags() -> list[list[str]]:
    wide = [_WIDE] if platform.machine().lower() in ("x86_64", "amd64") else []
    return [[native, *wide] for native in _NATIVE] + [[native] for native in _NATIVE]


def _run(command: list[str]) -> str:
    """Run a compiler; give the first line of what is wrong, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return f"it took more than {_PATIENCE_S:g} s"
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or done.stderr.splitlines()
    return lines[0].strip() if lines else f"exit code {done.returncode}"


def _version(compiler: list[str]) -> bytes:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(  # noqa: S603
            [*compiler, "--version"], capture_output=True, timeout=_PATIENCE_S, check=False
        ).stdout
    return b""


def _processor() -> bytes:
    """Give what tells processors of different instructions apart; the cache folder may be on a network."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_bytes().splitlines():
            if line.startswith((b"flags", b"Features")):
                return line
    return platform.processor().encode()
