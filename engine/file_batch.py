"""Many files through one model: some are read and written while the model is at others."""

from __future__ import annotations

import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ConfigurationError, StemstreamError, forget_frames
from engine.file_separation import FileReport, separate_file
from engine.files.folders import AudioInput
from engine.offline_model import OfflineModel
from engine.progress import Progress
from engine.worker import Worker

__all__ = ["MAX_JOBS", "FileOutcome", "check_jobs", "separate_files"]

MAX_JOBS = 64
_WATCH_S = 0.1

Watch = Callable[[Mapping[Path, Progress]], None]
"""Called now and then with the files that are under way; an exception from it ends the batch."""


@dataclass(frozen=True)
class FileOutcome:
    """How it went with one file: it has a report, or an error.

    Attributes
    ----------
    input : AudioInput
    report : FileReport or None
    error : StemstreamError or None
        Without its traceback, which would keep the buffers of the file for as long as somebody keeps the error.
    trace : str
        That traceback, as text.
    """

    input: AudioInput
    report: FileReport | None = None
    error: StemstreamError | None = None
    trace: str = ""


def separate_files(
    model: OfflineModel,
    inputs: Sequence[AudioInput],
    folder: str | os.PathLike[str],
    *,
    jobs: int = 1,
    worker: Worker | None = None,
    watch: Watch | None = None,
    **settings: Any,
) -> Generator[FileOutcome, None, None]:
    """Separate files, several at once, and give what became of each in the order of the inputs.

    The model stays on the one thread of the worker; each job reads, converts, adds up and writes a file on a thread of
    its own, so that memory is that of ``jobs`` files, whatever their length and number. The stems do not depend on
    ``jobs`` where the worker's batches are of one, or the model computes each window by itself. A file that fails does
    not hold up the others. If the caller stops, or ``watch`` raises, the files under way are given up within a window
    and leave nothing behind.

    Parameters
    ----------
    model : OfflineModel
    inputs : sequence of AudioInput
    folder : path-like
    jobs : int
        Files that are under way at once, 1 to 64.
    worker : Worker, optional
        One for this call if left out.
    watch : callable, optional
        Called on the caller's thread.
    **settings
        As in `engine.file_separation.separate_file`.

    Yields
    ------
    FileOutcome

    Raises
    ------
    ConfigurationError
        If ``jobs`` is out of range.
    """
    check_jobs(jobs)
    worker = Worker() if worker is None else worker
    batch = _Batch(model, folder, worker, settings)
    with worker.staying(), ThreadPoolExecutor(jobs, "stemstream-file") as pool:
        futures = deque(pool.submit(batch.separate, each) for each in inputs)
        try:
            while futures:
                outcome = _awaited(futures[0], batch, watch)
                futures.popleft()
                yield outcome
        finally:
            batch.cancel.set()
            for future in futures:
                future.cancel()


def check_jobs(jobs: int) -> None:
    """Refuse a number of jobs that cannot be.

    Raises
    ------
    ConfigurationError
    """
    if not isinstance(jobs, int) or not 1 <= jobs <= MAX_JOBS:
        raise ConfigurationError(f"jobs {jobs!r} cannot be used: give a whole number from 1 to {MAX_JOBS}")


class _Batch:
    """What the threads of a batch share."""

    def __init__(
        self, model: OfflineModel, folder: str | os.PathLike[str], worker: Worker, settings: Mapping[str, Any]
    ) -> None:
        self._model = model
        self._folder = folder
        self._worker = worker
        self._settings = settings
        self.cancel = threading.Event()
        self.under_way: dict[Path, Progress] = {}

    def separate(self, each: AudioInput) -> FileOutcome:
        def show(progress: Progress) -> None:
            self.under_way[each.path] = progress

        show(Progress(0.0, float("nan")))
        try:
            report = separate_file(
                self._model,
                each.path,
                self._folder,
                subfolders=each.subfolders,
                worker=self._worker,
                progress=show,
                cancel=self.cancel,
                **self._settings,
            )
            return FileOutcome(each, report=report)
        except StemstreamError as error:
            return _failed(each, error)
        except CancelledError:
            raise
        except Exception as error:  # whatever is wrong with one file, the others of a long night go on
            cause = " ".join(str(error).split())
            fault = StemstreamError(
                f"unexpected {type(error).__name__} ({cause}): run this file again with --debug and report it"
            )
            fault.__cause__ = error
            return _failed(each, fault)
        finally:
            self.under_way.pop(each.path, None)


def _failed(each: AudioInput, error: StemstreamError) -> FileOutcome:
    trace = "".join(traceback.format_exception(error))
    forget_frames(error)
    return FileOutcome(each, error=error, trace=trace)


def _awaited(future: Future[FileOutcome], batch: _Batch, watch: Watch | None) -> FileOutcome:
    while True:
        if watch is not None:
            watch(dict(batch.under_way))
        try:
            return future.result(None if watch is None else _WATCH_S)
        except FutureTimeoutError:
            if future.done():
                return future.result()
