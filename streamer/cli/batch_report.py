"""What ``stemstream separate`` says about each file, in lines and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ModelError, StemstreamError
from streamer.cli.terminal import print_error, print_note, print_result, print_warning

if TYPE_CHECKING:
    from engine.file_batch import FileOutcome
    from engine.file_separation import FileReport

__all__ = ["BatchReport"]

_FAILED, _INTERRUPTED = 1, 130


@dataclass
class BatchReport:
    """Tells what became of files as they are done, and sums it up.

    Attributes
    ----------
    is_json : bool
        Paths are not printed then, for they are in the JSON.
    debug : bool
        Errors come with their tracebacks.
    is_interrupted : bool
        Not all files were reached.
    """

    is_json: bool
    debug: bool
    is_interrupted: bool = False
    _done: list[dict[str, Any]] = field(default_factory=list)
    _skipped: list[dict[str, Any]] = field(default_factory=list)
    _failed: list[dict[str, Any]] = field(default_factory=list)
    _model_failed: bool = False

    def tell(self, outcome: FileOutcome) -> None:
        """Say how it went with a file."""
        if outcome.error is not None:
            self.tell_failure(outcome.input.path, outcome.error, outcome.trace)
        elif outcome.report is not None and outcome.report.was_done:
            self._tell_skipped(outcome.report)
        elif outcome.report is not None:
            self._tell_done(outcome.report)

    def tell_failure(self, path: Path, error: StemstreamError, trace: str = "") -> None:
        """Say that an input failed; the error itself is not kept."""
        self._model_failed |= isinstance(error, ModelError)
        self._failed.append({"input": str(path), "error": str(error)})
        if self.debug:
            for line in trace.splitlines():
                print_note(line)
        print_error(str(error) if str(path) in str(error) else f"{str(path)!r}: {error}")

    def as_dict(self, model: str) -> dict[str, Any]:
        """Everything, for a JSON report."""
        return {
            "model": model,
            "interrupted": self.is_interrupted,
            "files": self._done,
            "skipped": self._skipped,
            "failed": self._failed,
        }

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        if self.is_interrupted:
            return _INTERRUPTED
        if self._model_failed:
            return ModelError.exit_code
        return _FAILED if self._failed else 0

    def tell_sum(self) -> None:
        """Say how many files went which way, where there were several."""
        counts = (len(self._done), len(self._skipped), len(self._failed))
        if sum(counts) > 1:
            done, skipped, failed = counts
            print_note(f"{done} separated, {skipped} done before, {failed} failed")

    def _tell_done(self, report: FileReport) -> None:
        self._done.append(report.as_dict())
        self._print_outputs(report)
        if report.redone:
            print_note(f"{report.input}: done again, for {report.redone}")
        for line in _level_lines(report):
            print_warning(f"{report.input}: {line}")
        if report.non_finite_samples:
            print_warning(f"{report.input}: {report.non_finite_samples} samples were no numbers, and are silence now")
        if report.halved_from:
            print_warning(
                f"{report.input}: memory ran out at a batch size of {report.halved_from}, the rest was done at "
                f"{report.batch_size}: --batch-size {report.batch_size} spares the attempt"
            )
        duration_s = report.frames / report.sample_rate
        speed = f"{duration_s / report.seconds:.1f} times as fast as it plays"
        silent = f"; {report.silent_windows} windows of silence skipped" if report.silent_windows else ""
        print_note(f"{report.input}: {duration_s:.1f} s of audio in {report.seconds:.1f} s, {speed}{silent}")

    def _tell_skipped(self, report: FileReport) -> None:
        reason = "done before with this model and these settings; --overwrite does it again"
        self._skipped.append({"input": report.input, "outputs": report.outputs, "reason": reason})
        self._print_outputs(report)
        print_note(f"{report.input}: {reason}")

    def _print_outputs(self, report: FileReport) -> None:
        if not self.is_json:
            for output in report.outputs.values():
                print_result(output)


def _level_lines(report: FileReport) -> Sequence[str]:
    over = ", ".join(f"{stem} by {value:.2f} dB" for stem, value in report.over_db.items())
    if report.gain_db:
        return [f"{over} above full scale: all stems are lowered by {-report.gain_db:.2f} dB, as --clip scale asks"]
    return [
        f"{stem} has {count} clipped samples, by up to {report.over_db[stem]:.2f} dB: --float32 keeps them, "
        "--clip scale lowers all stems alike"
        for stem, count in report.clipped_samples.items()
    ]
