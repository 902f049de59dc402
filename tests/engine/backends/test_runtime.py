"""ONNX Runtime starts no telemetry behind a user's back."""

import os
import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import numpy as np
from engine import load_separator, separate
separate(load_separator("spatial"), np.zeros((2, 4096), np.float32), 44100)
"""


def files_left(home: Path, choice: str | None) -> list[str]:
    """Files below a home folder after a model was run in a process of its own."""
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    environment = {**kept, "HOME": str(home), **({} if choice is None else {"ORT_DISABLE_TELEMETRY": choice})}
    run = subprocess.run([sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]


def test_running_a_model_leaves_nothing_of_a_telemetry_client_behind(tmp_path: Path) -> None:
    assert files_left(tmp_path / "home", None) == []
