"""Programs measured in processes of their own: how they are run, how much memory they took, and on what machine."""

from __future__ import annotations

import json
import math
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Stopwatch", "peak_bytes", "processor", "run_alone"]


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
        return {"seconds": seconds, "cpu_s": time.process_time() - self.own_cpu, "others": others}


def run_alone(program: str | os.PathLike[str], *arguments: object) -> dict[str, Any]:
    """Run a Python program in a fresh process; give the JSON object that it prints.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails; what it says on standard error is seen.
    """
    search = os.pathsep.join((str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")))
    command = [sys.executable, os.fspath(program), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": search}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def peak_bytes() -> int:
    """Give the highest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss, which on Linux also counts the process that started this one.
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def processor() -> str:
    """Give the name of this machine's processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _others_cpu_s() -> float:
    """Give the processor time that other programs and the hypervisor took since the start; NaN where it is not told."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return math.nan
    user, nice, system, _idle, _wait, irq, soft, steal = (int(f) / os.sysconf("SC_CLK_TCK") for f in fields)
    return user + nice + system + irq + soft + steal - time.process_time()
