"""What the facts about a machine mean: one finding each, with its remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

__all__ = [
    "Finding",
    "ImportFacts",
    "ModelFacts",
    "check_cache",
    "check_compiler",
    "check_cpus",
    "check_disk",
    "check_formats",
    "check_import",
    "check_model",
    "check_packages",
    "check_platform",
    "check_python",
]

Status = Literal["ok", "warn", "fail"]

_LOWEST_PYTHON = (3, 11)
_TESTED = ("Linux", "x86_64")
# Four stems of a song of four minutes take 340 MB as float32; below a fifth of that not even one song fits.
_FEW_BYTES, _TOO_FEW_BYTES = 1_000_000_000, 70_000_000


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    topic : str
        A word or two.
    status : {"ok", "warn", "fail"}
        fail: something that stemstream needs does not work.
    message : str
    remedy : str
        What to do; empty where there is nothing to do.
    """

    topic: str
    status: Status
    message: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """Everything for a JSON report."""
        return asdict(self)


@dataclass(frozen=True)
class ImportFacts:
    """Where an import name leads.

    Attributes
    ----------
    name : str
    found : str or None
        The file that Python imports; None if it finds none.
    expected : str or None
        The file that the installed distribution brought; None if it is not installed.
    claimants : tuple of str
        Other distributions that brought the same name.
    """

    name: str
    found: str | None
    expected: str | None
    claimants: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelFacts:
    """How the embedded model ran.

    Attributes
    ----------
    name : str
    error : str
        Empty if it ran.
    hop_s, p50_s, p99_s : float
        Time between two windows, and what one took.
    """

    name: str
    error: str = ""
    hop_s: float = 0.0
    p50_s: float = 0.0
    p99_s: float = 0.0


def check_python(version: tuple[int, ...]) -> Finding:
    """Judge the interpreter."""
    text = ".".join(map(str, version))
    if version[:2] < _LOWEST_PYTHON:
        return Finding("python", "fail", f"{text} is too old", "install Python 3.11 or later")
    return Finding("python", "ok", text)


def check_packages(
    versions: Mapping[str, str | None], required: Sequence[str], optional: Sequence[str]
) -> list[Finding]:
    """Judge which packages are installed."""
    findings = []
    for name in required:
        version = versions.get(name)
        if version is None:
            findings.append(Finding(name, "fail", "not installed", f"run pip install {name}"))
        else:
            findings.append(Finding(name, "ok", version))
    for name in optional:
        findings.append(
            Finding(name, "ok", versions.get(name) or "not installed; only some files, models or devices need it")
        )
    return findings


def check_platform(system: str, machine: str) -> Finding:
    """Judge whether anybody tried stemstream on a platform like this."""
    name = f"{system} {machine}"
    if (system, machine) == _TESTED:
        return Finding("platform", "ok", f"{name}, tested")
    return Finding(
        "platform",
        "warn",
        f"{name} is untested",
        f"expect surprises and report them; {' '.join(_TESTED)} is what is tested",
    )


def check_cpus(count: int) -> Finding:
    """Judge the number of cores."""
    if count < 2:
        return Finding(
            "cpus", "warn", f"{count}: audio and model share one core", "give the machine or container a second core"
        )
    return Finding("cpus", "ok", f"{count}")


def check_import(facts: ImportFacts) -> Finding:
    """Judge whether an import name leads to stemstream's own package."""
    topic = f"import {facts.name}"
    others = ", ".join(facts.claimants)
    if facts.expected is None:
        return Finding(
            topic, "warn", "stemstream is not installed as a package", "run pip install stemstream in this environment"
        )
    if facts.found != facts.expected:
        owner = f"package {others}" if others else "another package or a file in the working folder"
        return Finding(
            topic,
            "fail",
            f"leads to {facts.found or 'nothing'}, not to {facts.expected}: shadowed by {owner}",
            "uninstall or rename that, or use a fresh virtual environment, and install stemstream again",
        )
    if facts.claimants:
        return Finding(
            topic,
            "warn",
            f"package {others} brings the same name and may replace it",
            f"run pip uninstall {' '.join(facts.claimants)}, then install stemstream again",
        )
    return Finding(topic, "ok", facts.found)


def check_model(facts: ModelFacts) -> Finding:
    """Judge the embedded model's time for a window against the time between two."""
    topic = f"model {facts.name}"
    if facts.error:
        return Finding(topic, "fail", facts.error, "install stemstream and onnxruntime again")
    message = (
        f"p50 {1000 * facts.p50_s:.2f} ms, p99 {1000 * facts.p99_s:.2f} ms for a hop of {1000 * facts.hop_s:.2f} ms"
    )
    if facts.p50_s > facts.hop_s:
        return Finding(topic, "fail", f"{message}: too slow to keep up", "close other programs or use a faster machine")
    if facts.p99_s > facts.hop_s:
        return Finding(topic, "warn", f"{message}: live audio will have misses", "close other programs")
    return Finding(topic, "ok", message)


def check_formats(
    readable: Mapping[str, bool], writable: Mapping[str, bool], *, needed: Sequence[str] = ("wav", "flac")
) -> Finding:
    """Judge which kinds of audio file can be read and written."""
    unread = [name for name, works in readable.items() if not works]
    unwritten = [name for name, works in writable.items() if not works]
    message = f"reads {_listed(readable)}; writes {_listed(writable)}"
    if unread or unwritten:
        message += f"; not {', '.join(dict.fromkeys((*unread, *unwritten)))}"
    if set(needed) & {*unread, *unwritten}:
        return Finding("formats", "fail", message, "run pip install --force-reinstall soundfile")
    if set(unread) - {"m4a"}:
        return Finding("formats", "warn", message, "run pip install --upgrade soundfile, or convert such files to wav")
    if unread:
        return Finding("formats", "ok", message, 'for m4a and aac run pip install "stemstream[formats]"')
    return Finding("formats", "ok", message)


def check_compiler(has_torch: bool, fault: str) -> Finding:
    """Judge whether checkpoints run in fused steps, which are compiled on the machine."""
    if not has_torch:
        return Finding("compiler", "ok", "not needed without PyTorch")
    if fault:
        message, _, remedy = fault.partition(": ")
        return Finding("compiler", "warn", f"{message}: checkpoints run about half as fast, and in fp32 only", remedy)
    return Finding("compiler", "ok", "checkpoints run in fused steps")


def check_disk(folder: str, free_bytes: int) -> Finding:
    """Judge the space where stems would go."""
    message = f"{free_bytes / 1e9:.1f} GB free in {folder}"
    if free_bytes < _TOO_FEW_BYTES:
        return Finding("disk", "fail", f"{message}: not enough for one song", "free some, or use --out on another disk")
    if free_bytes < _FEW_BYTES:
        return Finding("disk", "warn", f"{message}: enough for a few songs", "free some, or use --out on another disk")
    return Finding("disk", "ok", message)


def check_cache(folder: str, error: str) -> Finding:
    """Judge the folder for what stemstream keeps between runs."""
    if error:
        return Finding(
            "cache", "warn", f"{folder} cannot be written ({error})", "correct its permissions, or set STEMSTREAM_CACHE"
        )
    return Finding("cache", "ok", f"{folder} can be written")


def _listed(formats: Mapping[str, bool]) -> str:
    return ", ".join(name for name, works in formats.items() if works) or "nothing"
