"""What this machine is and what is installed on it, for reports and for ``doctor``."""

from __future__ import annotations

import os
import platform

from engine.machine import package_version, processor_name, usable_cores

__all__ = ["OPTIONAL_PACKAGES", "REQUIRED_PACKAGES", "describe_machine", "installed_versions"]

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


def installed_versions() -> dict[str, str | None]:
    """Versions of the project, Python, and every package it uses; None where one is not installed. Imports none."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("stemstream", *REQUIRED_PACKAGES, *OPTIONAL_PACKAGES):
        versions[name] = package_version(name) or None
    return versions


def describe_machine() -> dict[str, str | int]:
    """Name the machine as a reader of measured figures needs it."""
    return {
        "platform": platform.platform(),
        "processor": processor_name(),
        "cpus": os.cpu_count() or 1,
        "usable_cpus": usable_cores(),
    }
