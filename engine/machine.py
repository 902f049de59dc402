"""What tells this machine, as far as speed goes, from others."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["instruction_sets", "package_version", "processor_flags", "processor_name", "usable_cores"]

_CPUINFO = Path("/proc/cpuinfo")
_TOLD_SETS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16")


@functools.cache
def _cpuinfo() -> dict[str, str]:
    """Give the facts of the first processor, where the system has such a table."""
    facts: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            facts.setdefault(name.strip(), value.strip())
    return facts


def processor_name() -> str:
    """Give the name of this machine's processor."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def instruction_sets() -> tuple[str, ...]:
    """Give those of the processor's instruction sets that networks run faster with; none where nobody tells."""
    words = processor_flags().split()
    return tuple(name for name in _TOLD_SETS if name in words)


def processor_flags() -> str:
    """Give all that the system tells of the processor's instructions; empty where it tells nothing."""
    return _cpuinfo().get("flags") or _cpuinfo().get("Features", "")


def usable_cores() -> int:
    """Count the cores that this process may use."""
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def package_version(name: str) -> str:
    """Give the version of an installed package; empty if there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
