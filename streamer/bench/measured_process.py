"""Programs measured in processes of their own: how they are run, and how much time and memory they took."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Stopwatch", "child_environment", "peak_bytes", "run_alone"]


@dataclass(frozen=True)
class Stopwatch:
    """What goes by from its making on."""

    begin: float = field(default_factory=time.perf_counter)
    own_cpu: float = field(default_factory=time.process_time)
    others_cpu: float = field(default_factory=lambda: _others_cpu_s())

    def read(self) -> dict[str, float]:
        """Give seconds, processor seconds of this process, and the share of all cores that others used."""
        seconds = time.perf_counter() - self.begin
        others = (_others_cpu_s() - self.others_cpu) / seconds / (os.cpu_count() or 1)
        # All cores are counted in ticks and this process to the nanosecond, so that what is left can be below nothing.
        return {"seconds": seconds, "cpu_s": time.process_time() - self.own_cpu, "others": max(0.0, others)}


def run_alone(program: str | os.PathLike[str], *arguments: object) -> dict[str, Any]:
    """Run a Python program in a fresh process; give the JSON object that it prints.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails; what it says on standard error is seen.
    """
    command = [sys.executable, os.fspath(program), *map(str, arguments)]
    done = subprocess.run(  # noqa: S603 - this project's own programs
        command, check=True, stdout=subprocess.PIPE, text=True, env=child_environment()
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def child_environment() -> dict[str, str]:
    """Give an environment in which a child imports the same code as this process, and settles its own threads.

    That idle threads sleep is what the engine sets before it imports PyTorch, in this process too. A plain program
    that is measured beside it must not inherit that.
    """
    runtime = sys.modules.get("engine.backends.torch_runtime")
    set_here = getattr(runtime, "SET_HERE", {})
    kept = {name: value for name, value in os.environ.items() if name not in set_here}
    search = os.pathsep.join((str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")))
    return {**kept, "PYTHONPATH": search}


def peak_bytes() -> float:
    """Give the highest resident memory of this process so far; NaN where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss, which on Linux also counts the process that started this one.
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    try:
        import resource  # not on Windows
    except ImportError:
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _others_cpu_s() -> float:
    """Give the processor time that other programs and the hypervisor took since the start; NaN where it is not told."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return math.nan
    user, nice, system, _idle, _wait, irq, soft, steal = (int(f) / os.sysconf("SC_CLK_TCK") for f in fields)
    return user + nice + system + irq + soft + steal - time.process_time()
