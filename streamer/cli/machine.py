"""What this machine is and what is installed on it, for reports and for ``doctor``."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["OPTIONAL_PACKAGES", "REQUIRED_PACKAGES", "describe_machine", "installed_versions", "usable_cpus"]

REQUIRED_PACKAGES = (
    "numpy",
    "onnxruntime",
    "soundfile",
    "soxr",
    "samplerate",
    "pydantic",
    "PyYAML",
    "platformdirs",
    "rich",
    "typer",
)
OPTIONAL_PACKAGES = ("av", "torch", "safetensors", "onnx", "sounddevice", "rtmixer", "SoundCard")
_CPUINFO = Path("/proc/cpuinfo")


def installed_versions() -> dict[str, str | None]:
    """Versions of the project, Python, and every package it uses; None where one is not installed. Imports none."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("stemstream", *REQUIRED_PACKAGES, *OPTIONAL_PACKAGES):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions


def usable_cpus() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def describe_machine() -> dict[str, str | int]:
    """Name the machine as a reader of measured figures needs it."""
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count() or 1,
        "usable_cpus": usable_cpus(),
    }


def _processor() -> str:
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
