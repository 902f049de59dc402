"""What is to be separated next, so that it is there when the play head comes to it, as pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Job", "Outlook", "Pressure", "job_for", "next_job"]

_SOON_S = 10.0
"""How long before it is heard a following track, or the beginning of a loop, is cared for."""

_MARGIN_S = 0.05
"""From the moment that stems are there to the one at which they can be heard."""

JobKind = Literal["prime", "go on", "whole"]


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Attributes
    ----------
    kind : {"prime", "go on", "whole"}
        Begin a pass at a place; go on with the one that began last; go on with the one through the whole track.
    track : int
    frame : int
        Where to begin; 0 for the other kinds.
    """

    kind: JobKind
    track: int
    frame: int = 0


@dataclass(frozen=True)
class Outlook:
    """A play head, or one that will be, and what lies before it. Every length is in frames of its track.

    Attributes
    ----------
    track : int
    head : int
    end : int
        Where it will stop or jump.
    frames : int
        Of the whole track.
    known_to : int
        End of the run of separated frames that it is in; ``head`` where it is in none.
    frontier : int
        Where the pass through the whole track is; -1 where there will be none.
    primed_at : int or None
        What the pass that began last will give next; None where there is none on this track.
    sample_rate : int
    moves : bool
        Whether it is heard now.
    is_prompt : bool
        The pass through the whole track gives frames with every window; otherwise several windows are added up first.
    """

    track: int
    head: int
    end: int
    frames: int
    known_to: int
    frontier: int
    primed_at: int | None
    sample_rate: int
    moves: bool
    is_prompt: bool = False

    @property
    def left_s(self) -> float:
        """Seconds until it stops or jumps."""
        return (self.end - self.head) / self.sample_rate


@dataclass(frozen=True)
class Pressure:
    """What time the work takes, as it was measured.

    Attributes
    ----------
    begin_s : float
        From the beginning of a pass in the middle of a track to its first frames.
    step_s : float
        From one piece of it to the next.
    lead_s : float
        How far ahead of the head is far enough.
    """

    begin_s: float = 0.0
    step_s: float = 0.0
    lead_s: float = 2.0


def job_for(view: Outlook, pressure: Pressure) -> Job | None:
    """Give what a head needs before anything else is done; None where enough lies before it."""
    lead = round(max(pressure.lead_s, 2.0 * pressure.begin_s) * view.sample_rate)
    ends = min(view.end, view.head + lead)
    if view.known_to >= ends:
        return None
    begin = round((pressure.begin_s + _MARGIN_S) * view.sample_rate) if view.moves and pressure.begin_s else 0
    step = round(pressure.step_s * view.sample_rate) if view.moves else 0
    if view.frontier == view.known_to and view.frontier - view.head >= (0 if view.is_prompt else max(1, step)):
        return Job("whole", view.track)
    at = view.primed_at
    if at is not None and view.known_to <= at and at >= view.head + step and at - view.known_to <= max(begin, 1):
        return Job("go on", view.track) if at < ends else None
    place = max(view.known_to, view.head + begin)
    return Job("prime", view.track, place) if place < view.end else None


def next_job(
    heard: Outlook | None,
    ordered: Outlook | None,
    following: Outlook | None,
    unfinished: Sequence[Outlook],
    pressure: Pressure,
    *,
    keeps: bool,
) -> Job | None:
    """Give the most urgent piece of work of all; None where nothing is to be done.

    Parameters
    ----------
    heard : Outlook, optional
        What is played.
    ordered : Outlook, optional
        What will be played in its place, as after a seek.
    following : Outlook, optional
        What comes behind it by itself.
    unfinished : sequence of Outlook
        Tracks that were begun and are not separated to their end, in the order of their beginnings.
    pressure : Pressure
    keeps : bool
        Whether passes through whole tracks go on where nobody listens; otherwise only what will be heard soon counts.
    """
    for view in (ordered, heard):
        if view is not None and (job := job_for(view, pressure)) is not None:
            return job
    left_s = heard.left_s if heard is not None else 0.0
    if following is not None and left_s <= _SOON_S and (job := job_for(following, pressure)) is not None:
        return job
    for view in (heard, following if left_s <= _SOON_S else None):
        is_behind = view is not None and 0 <= view.frontier < view.frames
        if view is not None and is_behind and (keeps or view.frontier < view.head + _SOON_S * view.sample_rate):
            return Job("whole", view.track)
    if keeps:
        for view in unfinished:
            if 0 <= view.frontier < view.frames:
                return Job("whole", view.track)
    return None
