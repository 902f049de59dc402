"""Sound servers for the tests of this folder, and programs that use them: each in a process of its own.

PortAudio ends a process whose server has gone, so none of this may happen in the process of the tests.
"""

from __future__ import annotations

import ctypes.util
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "virtual-audio"


@pytest.fixture(scope="session", autouse=True)
def _parts() -> None:
    """Skip where a part is missing, and say which."""
    for module in ("sounddevice", "rtmixer"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'stemstream[live]'")
    if ctypes.util.find_library("portaudio") is None:
        pytest.skip("PortAudio is not installed: apt install libportaudio2")


class Server:
    """A running sound server."""

    def __init__(self, kind: str, folder: Path, **settings: int) -> None:
        self._kind = kind
        self.pid_file = folder / f"{kind}.pid"
        named = {f"VA_{name.upper()}": str(value) for name, value in settings.items()}
        self._env = {**os.environ, **named, "VA_DIR": str(folder)}
        self._clients_env: dict[str, str] = {}

    def start(self) -> None:
        said = self._ask("start", self._kind)
        self._clients_env = dict(re.findall(r"(\w+)=(\S+)", said))

    def stop(self) -> None:
        self._ask("stop")

    def run(self, program: str, **options: object) -> dict[str, Any]:
        """Run a program of this folder as a client; ``ring=2`` becomes ``--ring 2``. Gives the JSON that it prints."""
        given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        done = self.call(Path(__file__).parent / program, *given)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def call(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments as a client."""
        return subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **self._clients_env, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def begin(self, *command: str | Path) -> subprocess.Popen[str]:
        """Start Python with these arguments as a client that runs beside the test."""
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **self._clients_env, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A test run in the background hands Ctrl-C down ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def _ask(self, *words: str) -> str:
        done = subprocess.run([SCRIPT, *words], env=self._env, capture_output=True, text=True, check=False, timeout=90)
        assert done.returncode == 0, done.stderr
        return done.stdout


def _served(
    kind: str, command: str, package: str, factory: pytest.TempPathFactory, **settings: int
) -> Iterator[Server]:
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed: apt install {package}")
    server = Server(kind, factory.mktemp(kind), **settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def jack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JACK with its dummy driver at 48 kHz and 256 frames: exact to the sample."""
    yield from _served("jack", "jackd", "jackd2", tmp_path_factory)


@pytest.fixture(scope="session", params=[44_100, 48_000], ids=lambda rate: f"{rate} Hz")
def jack_at(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int]]:
    """JACK as above at one rate after the other, and the rate."""
    for server in _served("jack", "jackd", "jackd2", tmp_path_factory, rate=request.param):
        yield server, request.param


@pytest.fixture(scope="session")
def pulse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """PulseAudio with null sinks at 48 kHz."""
    yield from _served("pulse", "pulseaudio", "pulseaudio pulseaudio-utils libasound2-plugins", tmp_path_factory)
