"""The example plug-in works where a user would install it: in an environment of its own, from both packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "examples" / "plugin"

PROGRAM = """
import json
import numpy as np
from engine.registry import available_models, load_separator

mixture = np.random.default_rng(0).standard_normal((3, 2, 1024)).astype(np.float32)
separator = load_separator("midside")
runner = separator.runner(3, 1024)
runner.windows[:] = mixture
runner.run(3)
mono = np.repeat(mixture[:, :1], 2, axis=1)
print(json.dumps({
    "entries": [[entry.name, entry.distribution, entry.version] for entry in available_models()],
    "stems": separator.spec.stems,
    "dtype": runner.stems.dtype.name,
    "error": float(np.abs(runner.stems.sum(axis=1) - mixture).max()),
    "sides_of_mono": float(np.abs(separator.process(mono, ())[0][:, 1]).max()),
    "centre_difference": float(np.ptp(runner.stems[:, 0], axis=1).max()),
    "file": __import__("engine").__file__,
}))
"""


def test_a_fresh_installation_separates_audio_with_it(tmp_path: Path) -> None:
    environment = tmp_path / "env"
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*install, str(ROOT), str(PLUGIN)], check=True, env=clean, cwd=tmp_path)
    done = subprocess.run([python, "-c", PROGRAM], check=True, env=clean, cwd=tmp_path, capture_output=True, text=True)
    said = json.loads(done.stdout)
    assert Path(said["file"]).is_relative_to(environment)
    assert ["midside", "stemstream-midside", "1.0.0"] in said["entries"]
    assert "stemstream" in {distribution for _, distribution, _ in said["entries"]}
    assert said["stems"] == ["centre", "sides"]
    assert said["dtype"] == "float32"
    assert said["error"] < 1e-6
    assert said["sides_of_mono"] == 0
    assert said["centre_difference"] == 0
