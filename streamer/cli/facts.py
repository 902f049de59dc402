"""The facts about this machine that ``doctor`` judges."""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from streamer.cli.findings import ImportFacts, ModelFacts

__all__ = [
    "cache_facts",
    "claimants_of",
    "compiler_facts",
    "disk_facts",
    "expected_file",
    "format_facts",
    "import_facts",
    "model_facts",
]

_DISTRIBUTION = "stemstream"
_WARM_UP_RUNS, _MOST_RUNS, _MEASURED_S = 3, 500, 1.0
_CODINGS = {
    "wav": ("WAV", "FLOAT"),
    "flac": ("FLAC", "PCM_24"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
}
_WRITTEN = ("wav", "flac")


def import_facts(name: str) -> ImportFacts:
    """Find where an import name leads, and where it should."""
    spec = importlib.util.find_spec(name)
    found = None if spec is None or spec.origin is None else str(Path(spec.origin).resolve())
    try:
        expected = expected_file(distribution(_DISTRIBUTION), name)
    except PackageNotFoundError:
        expected = None
    return ImportFacts(name, found, expected, claimants_of(packages_distributions().get(name, ())))


def expected_file(installed: Distribution, name: str) -> str | None:
    """File that a distribution brought for an import name: by its record, or by its folder if it is editable."""
    wanted = f"{name}/__init__.py"
    for file in installed.files or ():
        if file.as_posix() == wanted:
            return str(Path(str(installed.locate_file(file))).resolve())
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        folder = urllib.request.url2pathname(urllib.parse.urlparse(origin["url"]).path)
        return str((Path(folder) / wanted).resolve())
    return None


def claimants_of(distributions: Sequence[str]) -> tuple[str, ...]:
    """Give the other distributions that brought the same import name."""
    return tuple(sorted({each for each in distributions if each.lower() != _DISTRIBUTION}))


def model_facts(name: str) -> ModelFacts:
    """Run a model for a second and time single windows of noise."""
    # Imported here so that the import names can be looked at where one of them leads elsewhere.
    from engine.errors import StemstreamError

    try:
        import numpy as np

        from engine.registry import load_separator

        separator = load_separator(name)
        spec = separator.spec
        runner = separator.runner(1, spec.window_frames)
        runner.windows[...] = 0.1 * np.random.default_rng(0).standard_normal(runner.windows.shape)
        for _ in range(_WARM_UP_RUNS):
            runner.run(1)
        times: list[float] = []
        while len(times) < _MOST_RUNS and sum(times) < _MEASURED_S:
            begin = time.perf_counter()
            runner.run(1)
            times.append(time.perf_counter() - begin)
    except (ImportError, OSError, StemstreamError) as error:
        return ModelFacts(name, error=" ".join(str(error).split()))
    p50, p99 = np.percentile(times, (50, 99))
    return ModelFacts(name, "", spec.hop_frames / spec.sample_rate, float(p50), float(p99))


def compiler_facts() -> tuple[bool, str]:
    """Tell whether PyTorch is installed, and what keeps its steps from being compiled, which is tried for it."""
    if importlib.util.find_spec("torch") is None:
        return False, ""
    from engine.kernels.library import why_no_kernels

    return True, why_no_kernels()


def format_facts() -> tuple[dict[str, bool], dict[str, bool]]:
    """Try which kinds of file can be read and which written, by writing and reading a little silence in memory."""
    works = dict.fromkeys(_CODINGS, False)
    try:
        import numpy as np
        import soundfile
    except (ImportError, OSError):
        return {**works, "m4a": False}, {name: False for name in _WRITTEN}
    silence = np.zeros((4800, 2), np.float32)
    for name, (container, coding) in _CODINGS.items():
        try:
            file = io.BytesIO()
            soundfile.write(file, silence, 48_000, coding, format=container)
            file.seek(0)
            works[name] = len(soundfile.read(file)[0]) > 0
        except (soundfile.SoundFileError, ValueError):
            works[name] = False
    reads_m4a = importlib.util.find_spec("av") is not None
    return {**works, "m4a": reads_m4a}, {name: works[name] for name in _WRITTEN}


def disk_facts(folder: Path) -> tuple[str, int]:
    """Free bytes where stems would go."""
    return str(folder), shutil.disk_usage(folder).free


def cache_facts() -> tuple[str, str]:
    """Try to write into the cache folder; gives the folder and the error, empty if it worked."""
    from engine.cache import cache_folder

    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return str(folder), ""
    except OSError as error:
        return str(folder), error.strerror or str(error)
