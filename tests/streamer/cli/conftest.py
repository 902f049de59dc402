"""The command line in this process and in one of its own, and things to give it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import soundfile

from streamer.cli import main
from tests.engine.onnx_models import describe, gains, save

RATE = 44_100


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]

    @property
    def error(self) -> str:
        """The only error there must be."""
        (line,) = self.errors
        assert "Traceback" not in self.err
        return line


class Command(Protocol):
    def __call__(self, *arguments: str | Path) -> Ended: ...


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process."""

    def run(*arguments: str | Path) -> Ended:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


def _prepare_child(limit: Callable[[], None] | None) -> Callable[[], None]:
    def prepare() -> None:
        # A test run in the background hands Ctrl-C down ignored, and one under nohup the end of its terminal.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        if limit is not None:
            limit()

    return prepare


def start_process(*arguments: str | Path, limit: Callable[[], None] | None = None, **options: Any) -> Any:
    """Start the command as a process of its own."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(
        [sys.executable, "-m", "streamer.cli", *map(os.fspath, arguments)],
        text=True,
        preexec_fn=_prepare_child(limit),
        **options,
    )


def run_process(*arguments: str | Path, limit: Callable[[], None] | None = None, **options: Any) -> Ended:
    """Run the command as a process of its own."""
    with start_process(*arguments, limit=limit, **options) as process:
        out, err = process.communicate(timeout=60)
    return Ended(process.returncode, out or "", err)


def write_noise(
    path: Path,
    seconds: float = 0.5,
    *,
    rate: int = RATE,
    channels: int = 2,
    gain: float = 0.1,
    frames: int | None = None,
) -> Path:
    """Write noise as a WAV of 16-bit integers."""
    frames = round(seconds * rate) if frames is None else frames
    audio = np.clip(gain * np.random.default_rng(7).standard_normal((frames, channels)), -0.9, 0.9)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, "PCM_16")
    return path


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """Half a second of stereo."""
    return write_noise(tmp_path / "song.wav", frames=22_051)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that loads at once: a quarter of the input, and the rest."""
    made = describe(gains(0.25, 0.75), name="tiny", sample_rate=RATE, stems=["quarter", "other"], window_frames=2048)
    return save(tmp_path_factory.mktemp("model") / "tiny.onnx", made)


def files_in(folder: Path) -> list[str]:
    """Every file below a folder, also half-written ones."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
