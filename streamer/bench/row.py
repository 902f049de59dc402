"""Be the measured process of a row: make one task ready, run it as often as asked, tell figures as lines of JSON.

The first line that is read names the task, with what it is made of; each further one asks for a run. The answer to
either is one line: figures, or a ``fault``. What libraries print goes to standard error.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, Protocol

from engine.errors import StemstreamError

__all__ = ["TASKS", "Task", "main"]

TASKS = {
    "windows": "streamer.bench.tasks.windows:Windows",
    "track": "streamer.bench.tasks.track:Track",
    "file": "streamer.bench.tasks.file:File",
    "streams": "streamer.bench.tasks.streams:Streams",
    "transform": "streamer.bench.tasks.transform:Transform",
    "profile": "streamer.bench.tasks.profile:Profile",
    "peaks": "streamer.bench.tasks.peaks:Peaks",
    "export": "streamer.bench.tasks.export:Export",
}
"""What can be asked for, by its ``kind``."""


class Task(Protocol):
    """What can be measured. Loaded and warmed up when it has been made."""

    def ready(self) -> dict[str, Any]:
        """Tell what there is to tell before the first run."""

    def run(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Run once and give the figures."""


def main() -> None:
    """Answer until there are no more lines."""
    # Interrupted from the terminal, the process that asks ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        task: Task | None = None
        for line in sys.stdin:
            facts = json.loads(line)
            answer: dict[str, Any]
            try:
                if task is None:
                    module, _, name = TASKS[facts.pop("kind")].partition(":")
                    task = getattr(importlib.import_module(module), name)(**facts)
                    answer = task.ready()
                else:
                    answer = task.run(facts)
            except StemstreamError as error:
                answer = {"fault": str(error)}
            except Exception as error:  # outermost: whatever a library raises is told as why the row does not run
                answer = {"fault": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
            with contextlib.suppress(BrokenPipeError):
                answers.write(json.dumps(_plain(answer), allow_nan=False) + "\n")
                answers.flush()


def _plain(value: Any) -> Any:
    """Give it without numbers that JSON has not."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main()
