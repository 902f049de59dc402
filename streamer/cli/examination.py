"""What ``stemstream doctor`` looks at."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from engine.machine import usable_cores
from streamer.cli.audio_facts import audio_facts, governor_facts, is_free_threaded, priority_facts
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
    installed_versions,
)

__all__ = ["examine"]

_IMPORT_NAMES = ("engine", "streamer")


def examine() -> list[Finding]:
    """Gather the facts of this machine and judge them."""
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
