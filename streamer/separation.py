"""Separates what will be heard, before it is, and all else when there is time. It has no thread: it does one step."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial

from engine.errors import AudioFileError, ModelError, StemstreamError
from streamer.listening import Listening
from streamer.paced_worker import PacedWorker
from streamer.passes import PrimedPass
from streamer.prefetch import Job, Outlook, Pressure, next_job
from streamer.priming import Priming, priming_plan
from streamer.shelf import Shelf
from streamer.stem_store import StemStore
from streamer.track import Track
from streamer.track_stems import Keeping, TrackStems

__all__ = ["Separation"]

_MOST_FAULTS = 3
_SMOOTHING = 0.5


class Separation:
    """Decides what to separate next and does it. One thread uses it.

    Parameters
    ----------
    shelf : Shelf
    keeping : Keeping
    finishes : bool
        Whole tracks are separated also where nobody listens, as long as anybody wants them.
    clock : callable
        Gives the seconds that work takes.

    Attributes
    ----------
    pressure : Pressure
        What the work was measured to take.
    """

    def __init__(
        self, shelf: Shelf, keeping: Keeping, *, finishes: bool = True, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._shelf, self._keeping, self._clock = shelf, keeping, clock
        self.finishes = finishes
        self._plan = priming_plan(keeping.model.spec)
        self._is_prompt = keeping.plan == self._plan
        self._stems: dict[int, TrackStems] = {}
        self._primed: tuple[Track, PrimedPass] | None = None
        self._has_begun = False
        self._deadline_s = 0.0
        self.pressure = Pressure()

    @property
    def unfinished(self) -> tuple[TrackStems, ...]:
        """Tracks that somebody wants whole and that are not."""
        return tuple(each for each in self._stems.values() if not each.is_done and each.is_wanted)

    def expects(self, number: int) -> bool:
        """Tell whether stems of a track are to come, or there; any thread."""
        stems = self._stems.get(number)
        return stems is None or stems.faults < _MOST_FAULTS

    def cause(self) -> str:
        """Say why stems are late; any thread."""
        pressure, faults = self.pressure, sum(each.faults for each in tuple(self._stems.values()))
        if faults:
            return f"{self._keeping.model.spec.name!r} failed {faults} times"
        took_s = max(pressure.begin_s, pressure.step_s)
        hop_s = self._plan.hop_frames / self._keeping.model.spec.sample_rate
        return (
            f"{self._keeping.model.spec.name!r} takes {1000 * took_s:.0f} ms to begin at a place, and "
            f"{1000 * pressure.step_s:.1f} ms for every {1000 * hop_s:.1f} ms of sound, on this machine"
        )

    def step(
        self, heard: Listening | None, ordered: Listening | None, following: Listening | None
    ) -> Callable[[], None] | None:
        """Do a piece of work.

        Returns
        -------
        callable or None
            Lets what was made be heard; None where nothing is to be done.
        """
        listened = [each for each in (ordered, heard, following) if each is not None]
        for each in listened:
            stems = self._stems_of(each.track)
            if stems is None:
                continue
            if not stems.is_known:
                stems.look_up()
                return _nothing
            if stems.track.has_damaged_stems:
                stems.leave_cache()
                return _nothing
        unfinished = [self._outlook(self._whole_of(each.track)) for each in self.unfinished]
        job = next_job(
            self._outlook(heard),
            self._outlook(ordered),
            self._outlook(following),
            [view for view in unfinished if view is not None],
            self.pressure,
            keeps=self.finishes,
        )
        self._close_unused(listened)
        return None if job is None else self._do(job, heard)

    def finish_step(self) -> Callable[[], None] | None:
        """Do a piece of what is unfinished, where nobody listens any more; None when all is done."""
        for stems in self.unfinished:
            if not stems.is_known:
                stems.look_up()
                return _nothing
            return self._step_whole(stems)
        return None

    @property
    def fraction(self) -> float:
        """Share of the frames that somebody wants whole which is done."""
        tracks = [each for each in self._stems.values() if each.is_wanted]
        total = sum(each.track.frames for each in tracks)
        return sum(max(0, each.frontier) for each in tracks) / total if total else 1.0

    def close(self) -> None:
        """End all passes; what is not complete does not appear."""
        if self._primed is not None:
            self._primed[1].close()
            self._primed = None
        for stems in self._stems.values():
            stems.close()
        self._stems.clear()

    def _stems_of(self, number: int) -> TrackStems | None:
        track = self._shelf.get(number)
        if track is None:
            return None
        if number not in self._stems:
            self._stems[number] = TrackStems(track, self._keeping, partial(self._shelf.new_stems, track.channels))
        return self._stems[number]

    @staticmethod
    def _whole_of(track: Track) -> Listening:
        return Listening(track.number, 0, 0, False)

    def _outlook(self, listening: Listening | None) -> Outlook | None:
        if listening is None or (stems := self._stems_of(listening.track)) is None:
            return None
        track, primed = stems.track, self._primed
        has_failed = stems.faults >= _MOST_FAULTS
        return Outlook(
            track=listening.track,
            head=listening.head,
            end=listening.end,
            frames=track.frames,
            known_to=listening.end if has_failed else track.stems.known_to(listening.head),
            frontier=-1 if has_failed else stems.frontier,
            primed_at=primed[1].at if primed is not None and primed[0] is track else None,
            sample_rate=track.sample_rate,
            moves=listening.moves,
            is_prompt=self._is_prompt or listening.waits,
        )

    def _do(self, job: Job, heard: Listening | None) -> Callable[[], None]:
        stems = self._stems[job.track]
        if job.kind == "whole":
            return self._step_whole(stems)
        if job.kind == "prime":
            self._begin_primed(stems.track, job.frame)
        if heard is not None and heard.track == job.track and heard.moves and self._primed is not None:
            self._deadline_s = max(0.0, (self._primed[1].at - heard.head) / stems.track.sample_rate)
        return self._step_primed(stems)

    def _begin_primed(self, track: Track, frame: int) -> None:
        if self._primed is not None:
            self._primed[1].close()
        keeping, store = self._keeping, track.stems
        worker = PacedWorker(keeping.worker, keeping.counters, lambda: self._deadline_s)
        priming = Priming.at(frame, self._plan, keeping.model.spec, track.sample_rate)
        if not isinstance(store, StemStore):
            raise TypeError("stems that are all known need no pass")
        self._has_begun = False
        self._primed = (
            track,
            PrimedPass(track.reader, keeping.model, self._plan, priming, store, worker, keeping.cancel),
        )

    def _step_primed(self, stems: TrackStems) -> Callable[[], None]:
        if self._primed is None:
            return _nothing
        primed, begin_s = self._primed[1], self._clock()
        try:
            given = primed.step()
        except (AudioFileError, ModelError, CancelledError) as error:
            self._end_primed(stems, error)
            return _nothing
        self._measure(self._clock() - begin_s)
        if given is None:
            self._primed = None
            return _nothing
        at, part = given
        store = primed.store

        def publish() -> None:
            store.write_provisional(at, part)
            stems.watch(store)

        return publish

    def _end_primed(self, stems: TrackStems, error: Exception) -> None:
        self._primed = None
        if isinstance(error, ModelError):
            self._count_fault(stems, error)
        elif isinstance(error, AudioFileError):
            # Whoever reads the file meets it too, and tells.
            stems.faults += 1

    def _step_whole(self, stems: TrackStems) -> Callable[[], None]:
        try:
            return stems.step()
        except CancelledError:
            stems.give_up()
        except AudioFileError as error:
            if not stems.leave_cache():
                stems.give_up(error)
        except ModelError as error:
            self._count_fault(stems, error)
            stems.give_up(error)
        return _nothing

    def _count_fault(self, stems: TrackStems, error: StemstreamError) -> None:
        stems.faults += 1
        self._keeping.tell("fault", f"the sound goes on without its stems: {error}")

    def _measure(self, took_s: float) -> None:
        """Follow how long the first frames of a pass, and the ones after them, take."""
        pressure = self.pressure
        before = pressure.step_s if self._has_begun else pressure.begin_s
        share = _SMOOTHING if before and took_s < before else 1.0
        value = before + share * (took_s - before)
        if self._has_begun:
            self.pressure = Pressure(pressure.begin_s, value, pressure.lead_s)
        else:
            # Until a second piece was made: that it takes as long as a window.
            counters = self._keeping.counters
            newest_s = float(counters.compute_s[(counters.windows - 1) % len(counters.compute_s)])
            self.pressure = Pressure(value, pressure.step_s or newest_s, pressure.lead_s)
        self._has_begun = True

    def _close_unused(self, listened: list[Listening]) -> None:
        """Close tracks that nobody listens to and nobody wants whole."""
        heard = {each.track for each in listened}
        wanted = {each.track.number for each in self.unfinished} if self.finishes or self._keeping.files else set()
        for number in [n for n in self._stems if n not in heard | wanted]:
            if self._shelf.close_unused(number):
                self._drop(number)

    def _drop(self, number: int) -> None:
        stems = self._stems.pop(number)
        if self._primed is not None and self._primed[0] is stems.track:
            self._primed[1].close()
            self._primed = None
        stems.close()


def _nothing() -> None:
    return
