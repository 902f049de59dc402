"""The benchmark of exported networks runs and compares what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.docs.pages import ROOT


def test_every_way_gives_what_pytorch_gives() -> None:
    program = ROOT / "benchmarks" / "export.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, program, "--small", "--rounds", "1"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    rows = re.findall(r"^\| 96 / 16 \| (.*?) \| [\d.]+ \| (\S+) \| [\d.]+ \| (\S+) \|$", done.stdout, re.MULTILINE)
    assert len(rows) == 4
    assert all(float(forward) < 1e-5 for _, forward, _ in rows)
    assert [back for *_, back in rows][-1] == "-"
    assert all(float(back) < 1e-5 for *_, back in rows[:-1])
    assert len(re.findall(r"^\| 1(?: \| [\d.]+){5} \|$", done.stdout, re.MULTILINE)) == 1
