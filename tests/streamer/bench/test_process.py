"""A measured process answers, or it is told why not; and it inherits nothing that the engine set."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import engine.backends.torch_runtime as runtime
from streamer.bench.measured_process import Stopwatch, child_environment
from streamer.bench.process import RowFailure, RowProcess


def test_a_task_that_is_not_to_be_had_says_why() -> None:
    task = {
        "kind": "file",
        "model": {"backend": "torch", "device": "cpu", "precision": "fp32", "checkpoint": "gone.ckpt"},
    }
    with pytest.raises(RowFailure, match=r"gone\.ckpt"):
        RowProcess({**task, "audio": "", "seconds": 1, "overlap": 2, "folder": ""}, 60.0)


def test_one_that_takes_too_long_is_ended() -> None:
    with pytest.raises(RowFailure, match=r"no answer within 0\.01 s"):
        RowProcess({"kind": "peaks", "device": "cpu"}, 0.01)


def test_one_that_dies_leaves_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'out of memory' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(RowFailure, match=r"ended with code 3 \(out of memory\)"):
        RowProcess({"kind": "peaks"}, 60.0)


def test_how_the_engines_idle_threads_wait_is_not_handed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "SET_HERE", {"OMP_WAIT_POLICY": "PASSIVE"})
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    given = child_environment()
    assert "OMP_WAIT_POLICY" not in given
    assert given["OMP_NUM_THREADS"] == "1"
    assert given["PYTHONPATH"].split(os.pathsep)[0] == str(Path(runtime.__file__).parents[2])


def test_a_users_own_choice_of_how_they_wait_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "SET_HERE", {})
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    assert child_environment()["OMP_WAIT_POLICY"] == "PASSIVE"


def test_other_programs_never_used_less_than_nothing() -> None:
    # As where this process worked within a tick that the count of all cores has not seen yet.
    watch = Stopwatch(others_cpu=Stopwatch().others_cpu + 60.0)
    assert watch.read()["others"] == 0.0
