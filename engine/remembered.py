"""What was measured of a model on this machine, kept in the cache folder for the next time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from engine.cache import cache_folder
from engine.file_lock import locked
from engine.machine import instruction_sets, package_version, processor_name, usable_cores

__all__ = ["measurement_key", "recall", "remember"]

_PACKAGES = ("stemstream", "torch", "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml")
_DIGITS = 24


def measurement_key(*facts: str) -> str:
    """Give what stands for these facts together with the machine and the versions of all that speed depends on."""
    machine = [processor_name(), *instruction_sets(), str(usable_cores()), platform.platform(), *_gpus()]
    versions = [package_version(name) for name in _PACKAGES]
    return hashlib.sha256(json.dumps([facts, machine, versions]).encode()).hexdigest()[:_DIGITS]


def recall(key: str) -> dict[str, Any] | None:
    """Give what was remembered under a key; None if nothing was, or the file is damaged."""
    entry = _read(_place()).get(key)
    return entry if isinstance(entry, dict) else None


def remember(key: str, **facts: Any) -> bool:
    """Keep facts under a key, beside what is there; False where the cache folder cannot be written."""
    place = _place()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with locked(place.with_name(f".{place.name}.lock")):
            entries = _read(place)
            known = entries.get(key)
            entries[key] = {**(known if isinstance(known, dict) else {}), **facts}
            _write(place, entries)
    except OSError:
        return False
    return True


def _place() -> Path:
    return cache_folder() / "compute.json"


def _read(place: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        entries = json.loads(place.read_text(encoding="utf-8"))
        if isinstance(entries, dict):
            return entries
    return {}


def _write(place: Path, entries: dict[str, Any]) -> None:
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(entries, file, indent=1)
        os.replace(name, place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _gpus() -> list[str]:
    """Name the GPUs, where PyTorch is imported and sees some: only then does anything depend on them."""
    import sys

    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
