"""What was measured on: machine, versions, and what the device can do at most."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from engine.machine import instruction_sets, memory_bytes, package_version, processor_name, usable_cores

__all__ = ["environment", "environment_markdown"]

_PACKAGES = ("stemstream", "torch", "numpy", "onnxruntime", "onnxruntime-gpu")
_PATIENCE_S = 10.0


def environment(device: str) -> dict[str, Any]:
    """Give the machine and the versions; PyTorch is asked for the GPU where one is measured."""
    memory = memory_bytes()
    facts: dict[str, Any] = {
        "processor": processor_name(),
        "cores": usable_cores(),
        "instruction_sets": list(instruction_sets()),
        "memory_gb": None if memory is None else round(memory / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in _PACKAGES if package_version(name)},
        "device": device,
        "gpu": "",
        "driver": "",
    }
    if device.startswith("cuda"):
        import torch

        facts["gpu"] = torch.cuda.get_device_name(device)
        facts["cuda"] = torch.version.cuda
        facts["driver"] = _driver()
    return facts


def environment_markdown(facts: Mapping[str, Any], peaks: Mapping[str, Any]) -> str:
    """Write it as a table."""
    known = {
        "processor": f"{facts['processor']}, {facts['cores']} cores",
        "instruction sets": ", ".join(facts["instruction_sets"]) or "not told",
        "memory": "not told" if facts["memory_gb"] is None else f"{facts['memory_gb']} GB",
        "system": facts["system"],
        "versions": ", ".join([f"Python {facts['python']}", *(f"{k} {v}" for k, v in facts["packages"].items())]),
        "device": facts["device"],
        "GPU": ", ".join(filter(None, (facts["gpu"], f"driver {facts['driver']}" if facts["driver"] else "")))
        or "none",
        **{
            f"{name} products of matrices": f"{peaks[f'{name}_gflops']:.0f} GFLOP/s"
            for name in ("fp32", "bf16", "fp16")
            if peaks.get(f"{name}_gflops")
        },
        **({"copy of memory": f"{peaks['copy_gbytes']:.1f} GB/s, read and written"} if peaks else {}),
    }
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in known.items())


def _driver() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    asked = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else ""
