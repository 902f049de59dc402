"""A model as whole recordings use it: only the stems that are wanted, and digital silence answered from memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.errors import ConfigurationError
from engine.overlap import OverlapAdd
from engine.plan import WindowPlan
from engine.separator import F32, Runner, Separator, StateArrays
from engine.spec import find_stem

__all__ = ["OfflineModel", "OfflineRunner"]

_SUBTRACTED = -1


class OfflineModel(Separator):
    """Another model, cut down to what a separation needs of it. Share one between the recordings of a batch.

    The network computes all its stems at once; the others are dropped before anything is added up, converted or
    written. A windowed model remembers nothing, so it gives the same stems for every window of digital silence: the
    first is run and its stems are kept, in memory of one window, and all others are answered with them. A stateful
    model hears every hop.

    Parameters
    ----------
    source : Separator
    stems : sequence of str, optional
        Names among ``source.spec.output_stems`` in any case of letters; all if left out.
    with_rest : bool
        Behind the stems, as one more, comes what they leave of the input.
    skips_silence : bool
        False runs every window.

    Attributes
    ----------
    spec : ModelSpec
        With the stems that are added up, in the order of the model.
    outputs : tuple of str
        The stems that are wanted, in the order in which they were named, without the rest.
    residual_index : int or None
        Place of the model's residual stem in ``outputs``.

    Raises
    ------
    ConfigurationError
        If there is no stem of a name, or none is wanted.
    """

    def __init__(
        self,
        source: Separator,
        stems: Sequence[str] | None = None,
        *,
        with_rest: bool = False,
        skips_silence: bool = True,
    ) -> None:
        spec = source.spec
        self.source = source
        self.outputs = _found(spec.output_stems if stems is None else stems, spec.output_stems)
        self.with_rest = with_rest
        self.skips_silence = skips_silence and not spec.stateful
        is_subtracted = any(stem not in spec.stems for stem in self.outputs)
        kept = tuple(stem for stem in spec.stems if is_subtracted or stem in self.outputs)
        self.places = tuple(spec.stems.index(stem) for stem in kept)
        self.rows = tuple(kept.index(stem) if stem in kept else _SUBTRACTED for stem in self.outputs)
        self.residual_index = self.outputs.index(spec.residual) if spec.residual in self.outputs else None
        # The residual of a part of the stems is no business of whoever adds up windows.
        self.spec = spec if kept == spec.stems else replace(spec, stems=kept, residual="")
        self.silent_stems: dict[int, Any] = {}
        """What the model gives for digital silence where it gives it, by the length of the window."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of everything that is given, the rest as ``no_`` and the stems that it is without."""
        return (*self.outputs, f"no_{'_'.join(self.outputs)}") if self.with_rest else self.outputs

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        """Separate a batch; see `Separator.process`. Silence is run too."""
        stems, states = self.source.process(windows, states)
        return stems[:, self.places], states

    def runner(self, batch_size: int, window_frames: int) -> OfflineRunner:
        """Allocate the buffers of one thread; see `OfflineRunner`."""
        return OfflineRunner(self, batch_size, window_frames)

    def overlap_add(self, plan: WindowPlan, stems: int, *, keep_provisional: bool) -> OverlapAdd:
        """Allocate what adds up the windows of one stream, where the model has them."""
        return self.source.overlap_add(plan, stems, keep_provisional=keep_provisional)

    def release(self) -> None:
        """Free what the model holds."""
        self.silent_stems.clear()
        self.source.release()

    @property
    def gives_what_it_runs(self) -> bool:
        """Whether the stems that are added up are those that are wanted, in their order."""
        return self.rows == tuple(range(len(self.spec.stems)))

    def choose(self, stems: F32, mixture: F32, out: F32) -> None:
        """Put the stems that are wanted into ``out``, made of all that were added up and of the input."""
        for row, place in zip(out, self.rows, strict=True):
            if place == _SUBTRACTED:
                np.add.reduce(stems, axis=0, out=row)
                np.subtract(mixture, row, out=row)
            else:
                np.copyto(row, stems[place])


class OfflineRunner(Runner):
    """One thread's buffers around an `OfflineModel`. See `engine.separator.Runner` for the attributes.

    Attributes
    ----------
    skipped : list of bool
        Which rows of the last run were silence that the model did not run.
    """

    def __init__(self, model: OfflineModel, batch_size: int, window_frames: int) -> None:
        inner = model.source.runner(batch_size, window_frames)
        self.separator = model
        self.batch_size = batch_size
        self.windows = inner.windows
        self.states = inner.states
        self.skipped = [False] * batch_size
        self._inner = inner
        self._model = model
        self._window_frames = window_frames
        first, count = model.places[0], len(model.places)
        self._is_view = model.places == tuple(range(first, first + count))
        self._outcomes = (
            inner.outcomes[:, first : first + count] if self._is_view else inner.blank_outcomes(batch_size, count)
        )

    @property
    def stems(self) -> F32:  # type: ignore[override]
        """The stems that are added up."""
        return self._inner.on_host(self._outcomes)

    @property
    def outcomes(self) -> Any:
        """Those stems where the model has them."""
        return self._outcomes

    def run(self, n: int) -> None:
        """Separate the first ``n`` rows in place."""
        kept = self._model.silent_stems.get(self._window_frames)
        silent = [self._model.skips_silence and _is_silent(window) for window in self.windows[:n]]
        for row in range(n):
            # The first window of silence is run like any other.
            self.skipped[row] = silent[row] and (kept is not None or any(silent[:row]))
        loud = [row for row in range(n) if not self.skipped[row]]
        self._run_rows(loud)
        if kept is None and True in silent:
            kept = self._inner.blank_outcomes(1, len(self._model.places))[0]
            kept[...] = self._outcomes[silent.index(True)]
            self._model.silent_stems[self._window_frames] = kept
        for row in range(n):
            if self.skipped[row] and kept is not None:
                self._outcomes[row] = kept

    def _run_rows(self, rows: list[int]) -> None:
        """Run these rows, the first of the inner runner's meanwhile."""
        if not rows:
            return
        inner = self._inner
        for place, row in enumerate(rows):
            if place != row:
                np.copyto(inner.windows[place], inner.windows[row])
        try:
            inner.run(len(rows))
        except BaseException:
            self._put_back(rows)
            raise
        for place, row in reversed(list(enumerate(rows))):
            if not self._is_view:
                for stem, source in enumerate(self._model.places):
                    self._outcomes[row, stem] = inner.outcomes[place, source]
            elif place != row:
                self._outcomes[row] = self._outcomes[place]

    def _put_back(self, rows: list[int]) -> None:
        """Let every window be where the caller put it, who may run it again."""
        windows = self._inner.windows
        for place, row in reversed(list(enumerate(rows))):
            if place != row:
                np.copyto(windows[row], windows[place])
        for row in range(rows[-1]):
            if row not in rows:
                windows[row] = 0.0


def _is_silent(window: F32) -> bool:
    # Bit by bit: a negative zero is not what the window was that is remembered.
    return not window.view(np.uint32).any()


def _found(wanted: Sequence[str], known: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for name in wanted:
        stem = find_stem(name, known)
        if stem is None:
            raise ConfigurationError(f"stem {name!r} is unknown: this model gives {', '.join(known)}")
        if stem not in found:
            found.append(stem)
    if not found:
        raise ConfigurationError(f"no stems are wanted: name at least one of {', '.join(known)}")
    return tuple(found)
