"""A process that holds one measured setting ready, and runs it once each time it is told to."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

from streamer.bench.measured_process import child_environment

__all__ = ["RowFailure", "RowProcess", "Start", "Started"]

_LAST_CHARACTERS = 300
_END_S = 10.0


class RowFailure(Exception):
    """A row does not run here; the message says why."""


class Started(Protocol):
    """A setting that is ready to run."""

    ready: Mapping[str, Any]

    def run(self, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run it once."""

    def close(self) -> None:
        """Let it go."""


class Start(Protocol):
    """Makes a setting ready; raises `RowFailure` if it cannot be."""

    def __call__(self, task: Mapping[str, Any]) -> Started:
        """Make it ready."""


class RowProcess:
    """A fresh process with one task of `streamer.bench.row`. One thread.

    Parameters
    ----------
    task : Mapping
    patience_s : float
        How long one answer may take.

    Attributes
    ----------
    ready : Mapping
        What the task told once it was loaded and warmed up.

    Raises
    ------
    RowFailure
        If the task cannot be loaded here, or is not ready in time.
    """

    def __init__(self, task: Mapping[str, Any], patience_s: float) -> None:
        self._patience_s = patience_s
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed in close
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streamer.bench.row"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=child_environment(),
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.ready = self._ask(task)
        except BaseException:
            self.close()
            raise

    def run(self, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run once and give the figures.

        Raises
        ------
        RowFailure
            If it fails, or takes too long.
        """
        return self._ask(facts)

    def close(self) -> None:
        """End the process; harmless when repeated."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(_END_S if self._process.poll() is None and self._lines.empty() else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def __enter__(self) -> RowProcess:
        """Give this process."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it."""
        self.close()

    def _ask(self, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        try:
            self._process.stdin.write(json.dumps(facts, default=dict) + "\n")
            self._process.stdin.flush()
            line = self._lines.get(timeout=self._patience_s)
        except queue.Empty:
            self._process.kill()
            raise RowFailure(f"no answer within {self._patience_s:g} s") from None
        except OSError:
            line = ""
        except BaseException:
            # Interrupted: nobody waits for the answer any more.
            self._process.kill()
            raise
        if not line:
            raise RowFailure(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "fault" in answer:
            raise RowFailure(str(answer["fault"]))
        return answer

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _last_words(self) -> str:
        code = self._process.wait()
        self._said.seek(0)
        lines = self._said.read().strip().splitlines()
        cause = lines[-1][:_LAST_CHARACTERS] if lines else "it said nothing"
        return f"its process ended with code {code} ({cause})"
