"""Compile the C sources of this folder for the processor at hand, once, into the cache folder."""

from __future__ import annotations

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
from engine.machine import processor_flags

__all__ = ["BuildError", "built_library", "find_compiler"]

_SOURCES = ("mdx23c.c", "norm_gelu.h")
_COMPILERS = ("cc", "gcc", "clang")
_COMPILE = (
    "-std=c11",
    "-O3",
    "-fPIC",
    # Sums may be reordered. Numbers that are not finite keep their meaning: they are a model's faults, and are told.
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-fassociative-math",
    "-ffp-contract=fast",
)
_THREADS = "-fopenmp"
_REMEDY = "sudo apt install gcc libc6-dev"
_OWN = 0o700
_WRITABLE_BY_OTHERS = 0o022
_NATIVE = ("-march=native", "-mcpu=native")
_WIDE = "-mprefer-vector-width=512"
_PATIENCE_S = 120.0


class BuildError(Exception):
    """There is no compiler, or it fails; the message says what to do."""


def built_library() -> Path:
    """Give the path of the compiled library; it is built unless that was done before.

    Its name comes of the sources, the options and the processor, so that a change of any builds anew; a compiler is
    needed only then. Nothing is loaded that somebody else may have put there.

    Raises
    ------
    BuildError
    """
    folder = Path(__file__).parent
    told = [folder.joinpath(name).read_bytes() for name in _SOURCES]
    told += [" ".join(_COMPILE).encode(), sys.platform.encode(), platform.machine().encode(), _instructions()]
    name = hashlib.sha256(b"\0".join(told)).hexdigest()[:16]
    library = cache_folder() / "kernels" / f"mdx23c-{name}.so"
    if not library.is_file():
        _build(find_compiler(), folder / _SOURCES[0], library)
    _check_owner(library)
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
    try:
        named = shlex.split(os.environ.get("CC", ""))
    except ValueError as error:
        raise BuildError(f"CC={os.environ['CC']} is no command ({error}): correct it or unset it") from error
    for command in [named] if named else [[name] for name in _COMPILERS]:
        if shutil.which(command[0]):
            return command
    missing = f"CC={named[0]}" if named else " or ".join(_COMPILERS)
    raise BuildError(f"no C compiler was found ({missing}): sudo apt install gcc, or xcode-select --install on macOS")


def _build(compiler: list[str], source: Path, library: Path) -> None:
    try:
        library.parent.mkdir(parents=True, exist_ok=True, mode=_OWN)
        with tempfile.TemporaryDirectory(dir=library.parent, prefix=".building-") as scratch:
            built = Path(scratch) / "kernels.o"
            faults = []
            # In two steps: a linker that sees options of fast arithmetic may change that of the whole process.
            for options in _options():
                fault = _run([*compiler, *_COMPILE, *options, "-c", str(source), "-o", str(built)])
                if not fault:
                    break
                faults.append(fault)
            else:
                raise BuildError(f"{' '.join(compiler)} cannot compile the fused steps ({faults[0]}): {_REMEDY}")
            linked = Path(scratch) / "kernels.so"
            threads = [option for option in options if option == _THREADS]
            if fault := _run([*compiler, "-shared", *threads, str(built), "-o", str(linked), "-lm"]):
                raise BuildError(f"{' '.join(compiler)} cannot link the fused steps ({fault}): {_REMEDY}")
            # Whole or not at all, also where two processes build at once.
            os.replace(linked, library)
    except OSError as error:
        raise BuildError(
            f"the fused steps cannot be kept in {str(library.parent)!r} ({error.strerror}): "
            "make room there, or name another folder with STEMSTREAM_CACHE"
        ) from error


def _options() -> list[list[str]]:
    """Give what is tried in turn: the last ones lack threads, as Apple's compiler does."""
    wide = [_WIDE] if platform.machine().lower() in ("x86_64", "amd64") else []
    fine = [[native, *wide] for native in _NATIVE] + [[native] for native in _NATIVE]
    return [[*each, _THREADS] for each in fine] + fine


def _check_owner(library: Path) -> None:
    """Refuse a library that another user could have written, since loading it runs what is in it."""
    if sys.platform == "win32":
        return
    for place in (library, library.parent):
        facts = place.stat()
        if facts.st_uid not in (os.getuid(), 0) or facts.st_mode & _WRITABLE_BY_OTHERS:
            raise BuildError(
                f"{str(place)!r} may be written by others, and what is there would be run: chmod go-w it, or name a "
                "folder of your own with STEMSTREAM_CACHE"
            )


def _run(command: list[str]) -> str:
    """Run a compiler; give the first line of what is wrong, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return f"it took more than {_PATIENCE_S:g} s"
    except OSError as error:
        return f"it cannot be run: {error.strerror}"
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or done.stderr.splitlines()
    return lines[0].strip() if lines else f"exit code {done.returncode}"


def _instructions() -> bytes:
    """Give what tells processors of different instructions apart; the cache folder may be on a network."""
    return (processor_flags() or platform.processor()).encode()
