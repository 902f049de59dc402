"""``stemstream doctor``: whether everything that stemstream needs works here."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from engine.machine import usable_cores
from streamer.cli.audio_findings import (
    check_audio,
    check_governor,
    check_idle_threads,
    check_interpreter,
    check_priority,
)
from streamer.cli.facts import cache_facts, compiler_facts, disk_facts, format_facts, import_facts, model_facts
from streamer.cli.findings import (
    Finding,
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
from streamer.cli.machine import (
    OPTIONAL_PACKAGES,
    REQUIRED_PACKAGES,
    describe_machine,
    installed_versions,
)
from streamer.cli.options import Debug, Json
from streamer.cli.terminal import print_json, print_result

__all__ = ["doctor", "examine"]

_IMPORT_NAMES = ("engine", "streamer")
_FAILED = 1


def doctor(json: Json = False, debug: Debug = False) -> int:
    """Look at what stemstream needs and say what to do where something is missing.

    The exit code is 1 if anything fails; what only live sound lacks is a warning. The embedded model is run for a
    second, and no sound device is opened.
    """
    findings = examine()
    has_failed = any(finding.status == "fail" for finding in findings)
    if json:
        print_json(
            {
                "healthy": not has_failed,
                "findings": [finding.as_dict() for finding in findings],
                "machine": describe_machine(),
                "versions": installed_versions(),
            }
        )
    else:
        for finding in findings:
            print_result(f"{finding.status:<5} {finding.topic:<16} {finding.message}")
            if finding.remedy:
                print_result(f"      {'':<16} remedy: {finding.remedy}")
    return _FAILED if has_failed else 0


def examine() -> list[Finding]:
    """Gather the facts of this machine and judge them."""
    # What devices need takes time to load.
    from streamer.cli.audio_facts import audio_facts, governor_facts, is_free_threaded, priority_facts

    return [
        check_python(tuple(sys.version_info[:3])),
        *check_packages(installed_versions(), REQUIRED_PACKAGES, OPTIONAL_PACKAGES),
        _libsndfile(),
        check_platform(platform.system(), platform.machine()),
        check_interpreter(is_free_threaded()),
        check_cpus(usable_cores()),
        check_governor(governor_facts()),
        *(check_import(import_facts(name)) for name in _IMPORT_NAMES),
        check_model(model_facts("spatial")),
        check_compiler(*compiler_facts()),
        check_formats(*format_facts()),
        check_disk(*disk_facts(Path.cwd())),
        check_cache(*cache_facts()),
        *check_audio(audio_facts()),
        check_priority(priority_facts()),
        check_idle_threads(os.environ),
    ]


def _libsndfile() -> Finding:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        return Finding(
            "libsndfile", "fail", " ".join(str(error).split()), "run pip install --force-reinstall soundfile"
        )
    return Finding("libsndfile", "ok", str(soundfile.__libsndfile_version__))
