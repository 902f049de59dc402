"""PyTorch's threads sleep between two pieces of work, unless a user wants otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from engine.backends.torch_runtime import _CHOICES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PyTorch's Linux packages bring the OpenMP of GNU")


def openmp_settings(script: str, **environment: str) -> dict[str, str]:
    """What the OpenMP of a process of its own says that it runs with."""
    kept = {name: value for name, value in os.environ.items() if name not in _CHOICES}
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**kept, "OMP_DISPLAY_ENV": "VERBOSE", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = (line.split(" = ") for line in run.stderr.splitlines() if " = " in line)
    return {name.strip(): value.strip("' ") for name, value in pairs}


@pytest.mark.parametrize(
    "script",
    [
        "import engine.backends.torch_runtime",
        "import engine.backends.torch_separator",
    ],
)
def test_a_thread_that_waits_for_work_does_not_spin(script: str) -> None:
    assert openmp_settings(script)["GOMP_SPINCOUNT"] == "0"


@pytest.mark.parametrize(
    ("choice", "spins"), [({"OMP_WAIT_POLICY": "ACTIVE"}, 30_000_000_000), ({"GOMP_SPINCOUNT": "123"}, 123)]
)
def test_a_choice_that_the_user_made_is_kept(choice: dict[str, str], spins: int) -> None:
    assert int(openmp_settings("import engine.backends.torch_runtime", **choice)["GOMP_SPINCOUNT"]) == spins
