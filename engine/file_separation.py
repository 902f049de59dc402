"""One audio file in, one file per stem out: at constant memory, whole or not at all."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.digests import sha256_of
from engine.errors import AudioFileError, ConfigurationError
from engine.excerpt import Excerpt
from engine.files.formats import stored_subtype
from engine.files.levels import Clip, LevelledWriters
from engine.files.prior_stems import check_not_input, done_before
from engine.files.provenance import Expected, mark
from engine.files.reader import AudioReader
from engine.files.stem_path import DEFAULT_TEMPLATE, check_ending, check_inside, stem_path
from engine.files.stem_writers import StemWriters
from engine.offline import SeparationCounters, separate_blocks
from engine.offline_model import OfflineModel
from engine.plan import WindowPlan, offline_plan
from engine.progress import Cancel, ProgressCallback
from engine.recording import MAX_BLOCK_FRAMES
from engine.separator import F32, Separator
from engine.worker_client import WorkerLike

__all__ = ["FileReport", "made_by", "separate_file", "stem_outputs"]

_BLOCK_FRAMES = 1 << 15
_DIGITS = 16


@dataclass(frozen=True)
class FileReport:
    """What was done with one file.

    Attributes
    ----------
    input : str
    outputs : dict of str to str
        Path of each stem's file, by stem.
    model : str
    sample_rate, channels : int
        Of the input and of every output.
    frames : int
        Of every output: the input's, or those of the excerpt.
    seconds : float
        Wall-clock time it took.
    realtime_factor : float
        ``seconds`` over the duration; NaN for an empty file.
    windows, silent_windows, non_finite_samples : int
        Windows the model ran; windows of digital silence that it did not need to run; input samples replaced by
        silence.
    batch_size : int
        The most windows a run of the model in the end.
    halved_from : int
        The most windows a run before memory ran out; 0 where it did not.
    clipped_samples : dict of str to int
        Samples above full scale that a file of integers could not hold, by stem.
    over_db : dict of str to float
        How far a stem's loudest sample was above the full scale of a file of integers, by stem.
    gain_db : float
        What all stems were lowered by so that nothing is clipped; 0 unless that was asked for.
    was_done : bool
        The outputs were there, made of this input with these settings; nothing was done.
    redone : str
        Why outputs that were there were made again; empty where there were none or nobody asked.
    """

    input: str
    outputs: dict[str, str]
    model: str
    sample_rate: int
    channels: int
    frames: int
    seconds: float
    realtime_factor: float
    windows: int = 0
    non_finite_samples: int = 0
    silent_windows: int = 0
    batch_size: int = 0
    halved_from: int = 0
    clipped_samples: dict[str, int] = field(default_factory=dict)
    over_db: dict[str, float] = field(default_factory=dict)
    gain_db: float = 0.0
    was_done: bool = False
    redone: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report; None where a figure does not exist."""
        values = asdict(self)
        if math.isnan(self.realtime_factor):
            values["realtime_factor"] = None
        return values


def separate_file(
    separator: Separator,
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    template: str = DEFAULT_TEMPLATE,
    subfolders: Sequence[str] = (),
    ext: str = "wav",
    subtype: str = "FLOAT",
    clip: Clip = Clip.CLAMP,
    stems: Sequence[str] | None = None,
    two_stems: str | None = None,
    excerpt: Excerpt | None = None,
    plan: WindowPlan | None = None,
    overlap: int | None = None,
    batch_size: int = 1,
    worker: WorkerLike | None = None,
    overwrite: bool = True,
    model_id: str | None = None,
    progress: ProgressCallback | None = None,
    cancel: Cancel | None = None,
    pipelined: bool = False,
) -> FileReport:
    """Separate one file into one file per stem.

    Parameters
    ----------
    separator : Separator
        An `OfflineModel` where many files share one; it has its stems, which are left out here then.
    path : path-like
        wav, flac, mp3, ogg, opus; m4a with the extra ``formats``. 1 or 2 channels, any rate.
    folder : path-like
        Where the stems go; made if need be.
    template : str
        Relative path in the folder, with ``{track}``, ``{stem}``, ``{ext}`` and ``{suffix}``; it ends as ``ext`` does.
    subfolders : sequence of str
        Folders between ``folder`` and the template's, for inputs from folders in folders.
    ext : {"wav", "flac"}
    subtype : {"FLOAT", "PCM_24", "PCM_16"}
    clip : Clip
        What is done with samples that integers cannot hold.
    stems : sequence of str, optional
        Only these, in any case; all if left out.
    two_stems : str, optional
        This stem, and the input without it as ``no_NAME``: together they are the input.
    excerpt : Excerpt, optional
        Only this stretch, as it is in the stems of the whole file. The file is read from its beginning all the same.
    plan, overlap, batch_size, worker, progress, cancel
        As in ``separate``.
    overwrite : bool
        False leaves a file alone whose outputs are all there, made of it with these settings, see
        `engine.files.provenance`, and refuses to replace what is not a stem of this very input. True replaces
        whatever is there, but never the input.
    model_id : str, optional
        What tells the model from all others, for that comparison; its name if left out.
    pipelined : bool
        Read, and convert to the model's rate, on a thread of its own, beside the model and beside the thread of the
        caller, which converts back, encodes and writes. The files are the same either way. It takes a core that would
        be idle otherwise, and a model that is much faster than the rest: where that was measured there was neither.

    Returns
    -------
    FileReport

    Raises
    ------
    AudioFileError
        If the input cannot be read, or ends before the excerpt begins.
    OutputError
        If an output cannot be written, a link leads it out of ``folder``, or it is there and may not be replaced.
    ConfigurationError
        If a stem, the template or the format is not among what is allowed, or an output is the input.
    ModelError
        If the model fails.
    concurrent.futures.CancelledError
        If ``cancel`` is set.
    Nothing is left behind then: the outputs appear together or not at all.
    """
    begin = time.monotonic()
    model = _chosen_model(separator, stems, two_stems)
    excerpt = Excerpt() if excerpt is None else excerpt
    if plan is None:
        plan = offline_plan(model.spec, overlap=overlap)
    elif overlap is not None:
        raise ConfigurationError(f"overlap={overlap} and a plan were given: give one of them")
    counters = SeparationCounters()
    with AudioReader(path) as reader:
        start, stop = excerpt.frames(reader.sample_rate)
        _check_start(path, start, reader.frames, reader.sample_rate)
        outputs = stem_outputs(path, folder, template, model.names, ext, subfolders=subfolders)
        for output in outputs.values():
            check_inside(folder, output)
        check_not_input(path, outputs)
        ends = [end for end in (stop, reader.frames) if end is not None]
        frames = None if reader.frames is None else min(ends) - start
        made_by_this = made_by(model_id or model.spec.name, plan, start, stop, clip)
        made_of = _digits_of(Path(path), cancel)
        comments = {stem: mark(stem, made_by_this, made_of) for stem in outputs}

        def report(frames: int, **facts: Any) -> FileReport:
            seconds = time.monotonic() - begin
            return FileReport(
                input=str(path),
                outputs={stem: str(output) for stem, output in outputs.items()},
                model=model.spec.name,
                sample_rate=reader.sample_rate,
                channels=reader.channels,
                frames=frames,
                seconds=seconds,
                realtime_factor=seconds * reader.sample_rate / frames if frames else math.nan,
                **facts,
            )

        redone = ""
        if not overwrite:
            stored = stored_subtype(ext, subtype)
            expected = {
                stem: Expected(reader.sample_rate, reader.channels, frames, stored, comment)
                for stem, comment in comments.items()
            }
            is_done, redone = done_before(outputs, expected)
            if is_done:
                return report(frames or 0, was_done=True)
        parts = separate_blocks(
            model,
            reader.blocks(_BLOCK_FRAMES, reused=True),
            reader.sample_rate,
            channels=reader.channels,
            frames=reader.frames,
            start_frame=start,
            stop_frame=stop,
            plan=plan,
            batch_size=batch_size,
            worker=worker,
            progress=progress,
            cancel=cancel,
            counters=counters,
            pipelined=pipelined,
            into=_OnePart(),
        )
        with contextlib.closing(parts):
            writers = StemWriters(
                outputs, reader.sample_rate, reader.channels, frames_hint=frames, subtype=subtype, comments=comments
            )
            written = 0
            with LevelledWriters(writers, stored_subtype(ext, subtype), clip) as levels:
                for part in parts:
                    levels.write(part)
                    written += part.shape[-1]
                if not written:
                    _check_start(path, start, counters.frames, reader.sample_rate)
    return report(
        written,
        windows=counters.windows,
        silent_windows=counters.silent_windows,
        non_finite_samples=counters.non_finite_samples,
        batch_size=counters.batch_size,
        halved_from=counters.halved_from,
        clipped_samples=levels.clipped_samples,
        over_db=levels.over_db,
        gain_db=levels.gain_db,
        redone=redone,
    )


def stem_outputs(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    template: str,
    names: Sequence[str],
    ext: str,
    *,
    subfolders: Sequence[str] = (),
) -> dict[str, Path]:
    """Give the path of each stem's file, by stem; see `engine.files.stem_path.stem_path`.

    Raises
    ------
    ConfigurationError
        As that does, and if a path does not end in ``.ext``.
    """
    track, suffix = Path(path).stem, Path(path).suffix
    outputs = {
        name: stem_path(folder, template, track=track, stem=name.lower(), ext=ext, suffix=suffix, subfolders=subfolders)
        for name in names
    }
    for output in outputs.values():
        check_ending(template, output, ext)
    return outputs


class _OnePart:
    """The memory of all parts, one after the other: each is written before the next comes."""

    def __init__(self) -> None:
        self._frames = np.zeros((0, 0, MAX_BLOCK_FRAMES), np.float32)

    def __call__(self, shape: tuple[int, int, int]) -> F32:
        if self._frames.shape[:2] != shape[:2]:
            self._frames = np.zeros((*shape[:2], MAX_BLOCK_FRAMES), np.float32)
        return self._frames[..., : shape[-1]]


def _chosen_model(separator: Separator, stems: Sequence[str] | None, two_stems: str | None) -> OfflineModel:
    if stems is not None and two_stems is not None:
        raise ConfigurationError(f"stems {', '.join(stems)} and two_stems {two_stems} were given: give one of them")
    if not isinstance(separator, OfflineModel):
        wanted = [two_stems] if two_stems is not None else stems
        return OfflineModel(separator, wanted, with_rest=two_stems is not None)
    if stems is not None or two_stems is not None:
        raise ConfigurationError(f"this model was made to give {', '.join(separator.names)}: leave the stems out")
    return separator


def _check_start(path: str | os.PathLike[str], start: int, frames: int | None, sample_rate: int) -> None:
    if frames is not None and start and start >= frames:
        raise AudioFileError(
            f"{os.fspath(path)!r} lasts {frames / sample_rate:g} s: there is nothing from {start / sample_rate:g} s "
            "on, let --start be earlier"
        )


def _digits_of(path: Path, cancel: Cancel | None) -> str:
    """Give the beginning of the input's SHA-256. All of it is read: songs of one album have the same size and ends."""

    def obey(*_: object) -> None:
        if cancel is not None and cancel.is_set():
            raise CancelledError("the separation was cancelled")

    try:
        return sha256_of(path, obey)[:_DIGITS]
    except OSError as error:
        raise AudioFileError(f"{str(path)!r} cannot be read ({error.strerror}): copy or download it again") from error


def made_by(model_id: str, plan: WindowPlan, start: int = 0, stop: int | None = None, clip: Clip = Clip.CLAMP) -> str:
    """Name everything that the sound depends on besides the input and the format of the file."""
    lengths = (plan.window_frames, plan.hop_frames, plan.lookahead_frames, plan.fade_frames, plan.delivery_frames)
    cut = "/".join(map(str, lengths))
    end = "the end" if stop is None else stop
    scaled = ", scaled" if clip is Clip.SCALE else ""
    return f"{model_id}, windows {cut} {plan.fill}, frames {start} to {end}{scaled}"
