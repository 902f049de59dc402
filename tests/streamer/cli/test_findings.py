"""What ``doctor`` makes of facts: every finding, faked, with its remedy."""

from __future__ import annotations

import pytest

from streamer.cli.findings import (
    Finding,
    ImportFacts,
    ModelFacts,
    check_cache,
    check_compiler,
    check_cpus,
    check_disk,
    check_formats,
    check_import,
    check_model,
    check_packages,
    check_platform,
    check_python,
)

OURS, THEIRS = "/site-packages/engine/__init__.py", "/elsewhere/engine.py"
ALL = {"wav": True, "flac": True, "mp3": True, "m4a": True}


@pytest.mark.parametrize(
    ("finding", "status", "message", "remedy"),
    [
        (check_python((3, 10, 2)), "fail", "3.10.2 is too old", "install Python 3.11 or later"),
        (check_packages({"numpy": None}, ["numpy"], [])[0], "fail", "not installed", "run pip install numpy"),
        (check_platform("Darwin", "arm64"), "warn", "Darwin arm64 is untested", "Linux x86_64 is what is tested"),
        (check_platform("Linux", "aarch64"), "warn", "Linux aarch64 is untested", "report them"),
        (check_cpus(1), "warn", "share one core", "a second core"),
        (
            check_import(ImportFacts("engine", THEIRS, OURS)),
            "fail",
            f"leads to {THEIRS}, not to {OURS}",
            "fresh virtual environment",
        ),
        (check_import(ImportFacts("engine", None, OURS)), "fail", "leads to nothing", "install stemstream again"),
        (
            check_import(ImportFacts("engine", THEIRS, OURS, ("game-engine",))),
            "fail",
            "shadowed by package game-engine",
            "uninstall or rename",
        ),
        (
            check_import(ImportFacts("engine", OURS, OURS, ("game-engine",))),
            "warn",
            "package game-engine brings the same name",
            "run pip uninstall game-engine, then install stemstream again",
        ),
        (
            check_import(ImportFacts("engine", OURS, None)),
            "warn",
            "not installed as a package",
            "pip install stemstream",
        ),
        (check_model(ModelFacts("spatial", "no such file")), "fail", "no such file", "install stemstream"),
        (check_model(ModelFacts("spatial", "", 0.01, 0.011, 0.02)), "fail", "too slow to keep up", "faster machine"),
        (
            check_model(ModelFacts("spatial", "", 0.01, 0.002, 0.011)),
            "warn",
            "will have misses",
            "close other programs",
        ),
        (
            check_formats({**ALL, "flac": False}, {"wav": True, "flac": False}),
            "fail",
            "not flac",
            "pip install --force-reinstall soundfile",
        ),
        (check_formats({**ALL, "mp3": False}, {"wav": True}), "warn", "not mp3", "pip install --upgrade soundfile"),
        (check_formats({**ALL, "m4a": False}, {"wav": True}), "ok", "not m4a", 'pip install "stemstream[formats]"'),
        (check_disk("/out", 900_000_000), "warn", "0.9 GB free in /out", "--out on another disk"),
        (check_disk("/out", 60_000_000), "fail", "not enough for one song", "--out on another disk"),
        (
            check_cache("/home/me/.cache", "Permission denied"),
            "warn",
            "/home/me/.cache cannot be written (Permission denied)",
            "set STEMSTREAM_CACHE",
        ),
    ],
)
def test_a_finding_has_a_status_and_a_remedy(finding: Finding, status: str, message: str, remedy: str) -> None:
    assert finding.status == status
    assert message in finding.message
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    "finding",
    [
        check_python((3, 11, 0)),
        *check_packages({"numpy": "2.0", "av": None}, ["numpy"], ["av", "torch"]),
        check_platform("Linux", "x86_64"),
        check_cpus(2),
        check_import(ImportFacts("engine", OURS, OURS)),
        check_model(ModelFacts("spatial", "", 0.01, 0.001, 0.009)),
        check_formats(ALL, {"wav": True, "flac": True}),
        check_disk("/out", 1_000_000_000),
        check_cache("/home/me/.cache", ""),
    ],
)
def test_what_is_well_needs_no_remedy(finding: Finding) -> None:
    assert (finding.status, finding.remedy) == ("ok", "")
    assert finding.message


class TestCompiler:
    def test_without_pytorch_none_is_needed(self) -> None:
        assert check_compiler(False, "no C compiler was found (cc): install gcc").status == "ok"

    def test_a_missing_one_costs_speed_and_has_a_remedy(self) -> None:
        finding = check_compiler(True, "no C compiler was found (cc): sudo apt install gcc")
        assert finding.status == "warn"
        assert finding.message == "no C compiler was found (cc): checkpoints run about half as fast, and in fp32 only"
        assert finding.remedy == "sudo apt install gcc"

    def test_one_that_is_there_is_fine(self) -> None:
        assert check_compiler(True, "") == Finding("compiler", "ok", "checkpoints run in fused steps")
