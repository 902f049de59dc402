"""Play, pause, seek, loop, next and previous over a playlist, and all that belongs to it but threads and devices."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from engine.cache import cache_folder
from engine.errors import AudioFileError, ConfigurationError
from engine.files.folders import find_audio
from engine.offline_model import OfflineModel
from engine.plan import WindowPlan, offline_plan
from engine.separator import Separator
from engine.stem_cache import StemCache
from engine.worker_client import WorkerLike
from streamer.audio.stream import StreamCounters
from streamer.deck import Deck, Gaps
from streamer.events import Event, EventLog
from streamer.mixer import Mixer
from streamer.output_map import OutputMap
from streamer.play_head import Cue, checked_frame, checked_loop
from streamer.player_stats import PlayerStats
from streamer.playlist import Playlist
from streamer.separation import Separation
from streamer.shelf import Shelf
from streamer.stats import summarise
from streamer.stem_files import StemFiles
from streamer.track import Track
from streamer.track_stems import Keeping

__all__ = ["Finish", "Transport"]

F32 = npt.NDArray[np.float32]
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
Finish = Literal["background", "exit", "never"]
"""When tracks are separated to their ends: beside the playing, after it, or only as far as they are heard."""

_CHANNELS = 2
_MAX_BLOCK = 1 << 16


class Transport:
    """The controls of a player, and everything that they move. It has no thread of its own.

    Parameters
    ----------
    paths : path-like, or iterable of path-like
        Files and folders, in the order in which they are played.
    separator : Separator
    worker : Worker
    start_s : float
        Where the first track begins.
    plan, overlap : optional
        How whole tracks are cut, as for `engine.separate`; give one of them or none.
    model_id : str, optional
        What tells the model from all others, see `engine.model_identity`; its name if left out.
    cache : StemCache, optional
        Keeps stems for the next time; left out, none are kept.
    save : path-like, optional
        Folder for stem files, which are what `engine.separate_file` writes.
    finish : {"background", "exit", "never"}
    gaps : {"auto", "mixture", "silence"}
        What is heard where stems are not there: the song itself in the residual stem, or silence; ``auto`` gives
        silence while any stem is not to be heard, since the song holds it.
    mixture_consistent : bool
        The residual stem is the song less the others, so that all stems at unity are the song.
    outputs : OutputMap, optional
        What is heard where; left out, the mix on two channels.
    block_frames : int
    clock : callable
        Gives the seconds that work takes.

    Attributes
    ----------
    mixer : Mixer
    playlist : Playlist
    sample_rate : int
        Of the first track that can be played, in Hz.

    Raises
    ------
    AudioFileError
        If none of the files can be played; what is wrong with each is told in ``events``.
    ConfigurationError
        If a value is not allowed.
    """

    def __init__(
        self,
        paths: Paths,
        separator: Separator,
        worker: WorkerLike,
        *,
        start_s: float = 0.0,
        plan: WindowPlan | None = None,
        overlap: int | None = None,
        model_id: str | None = None,
        cache: StemCache | None = None,
        save: str | os.PathLike[str] | None = None,
        finish: Finish = "background",
        gaps: Gaps = "auto",
        mixture_consistent: bool = True,
        outputs: OutputMap | None = None,
        block_frames: int = 256,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        _check(separator, finish, gaps, plan, overlap, block_frames)
        self._events = EventLog()
        spec = separator.spec
        self.playlist = Playlist(self._found(paths, save))
        model = OfflineModel(separator)
        plan = offline_plan(spec, overlap=overlap) if plan is None else plan
        model_id = spec.name if model_id is None else model_id
        files = None if save is None else StemFiles(Path(save), model.names, model_id, plan)
        folders = [folder for folder in (None if cache is None else cache.folder, cache_folder()) if folder is not None]
        self._shelf = Shelf(self.playlist, spec, folders)
        first = self._first_track()
        self.sample_rate = first.sample_rate
        self.mixer = Mixer(
            spec.output_stems,
            channels=_CHANNELS,
            sample_rate=self.sample_rate,
            max_block_frames=block_frames,
            outputs=OutputMap.of_mix(_CHANNELS) if outputs is None else outputs,
        )
        self._keeping = Keeping(model, plan, model_id, worker, cache, files, self._events)
        self._separation = Separation(self._shelf, self._keeping, finishes=finish == "background", clock=clock)
        self._finish, self._block_frames = finish, block_frames
        self._deck = Deck(
            self.playlist,
            self._shelf,
            spec,
            self.mixer,
            channels=_CHANNELS,
            block_frames=block_frames,
            events=self._events,
            gaps=gaps,
            mixture_consistent=mixture_consistent,
            cause=self._separation.cause,
        )
        self._deck.expects_stems = self._separation.expects
        start = checked_frame(start_s, first.sample_rate, first.frames)
        self._shelf.release(first)
        self._deck.orders.is_paused = True
        self._deck.orders.go_to(Cue(first.number, start))

    def _found(self, paths: Paths, save: str | os.PathLike[str] | None) -> list[Path]:
        given = [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]
        found: list[Path] = []
        failed: list[AudioFileError] = []
        for path in given:
            # One at a time: a song that is named twice is played twice.
            inputs, empty = find_audio([path], recursive=True, out=Path("." if save is None else save))
            found += [each.path for each in inputs]
            failed += [each.error for each in empty]
        for error in failed:
            self._events.add(Event("skipped", 0, f"skipped: {error}"))
        if not found:
            raise failed[0] if failed else ConfigurationError("nothing was given to play: name a file or a folder")
        return found

    def _first_track(self) -> Track:
        problem: AudioFileError | None = None
        while (number := self.playlist.first()) is not None:
            try:
                return self._shelf.open(number)
            except AudioFileError as error:
                problem = problem or error
                self.playlist.leave_out(number)
                self._events.add(Event("skipped", 0, f"skipped: {error}"))
        if problem is None or len(self.playlist) == 1:
            raise problem or AudioFileError("there is nothing to play")
        raise AudioFileError(f"none of {len(self.playlist)} files can be played; the first: {problem}") from problem

    # The controls; any thread.

    @property
    def is_paused(self) -> bool:
        """Whether it is silent at its place, or about to be."""
        return self._deck.orders.is_paused

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to play."""
        return self._deck.is_over

    @property
    def track(self) -> int:
        """Number of the track that is heard, from 0."""
        return self._deck.place.track

    @property
    def position_s(self) -> float:
        """Where in the track the play head is, or was told to go."""
        place = self._deck.place
        track = self._shelf.get(place.track)
        return place.frame / (self.sample_rate if track is None else track.sample_rate)

    @property
    def duration_s(self) -> float:
        """Length of the track."""
        track = self._shelf.get(self._deck.place.track)
        return 0.0 if track is None else track.seconds

    def pause(self) -> None:
        """Be silent at this place, within some milliseconds; what is to come is separated meanwhile."""
        self._deck.orders.is_paused = True
        self._wake()

    def seek(self, seconds: float) -> None:
        """Go to a place of the track that is heard.

        What is heard until there are stems is the song itself, or silence, as ``gaps`` says.

        Raises
        ------
        ConfigurationError
            If it is no time.
        AudioFileError
            If the track was ordered a moment ago, and turns out not to be playable.
        """
        track = self._heard()
        self._go_to(Cue(track.number, checked_frame(seconds, track.sample_rate, track.frames)))

    def loop(self, begin_s: float | None, end_s: float | None = None) -> None:
        """Play a stretch of the track over and over, from within it; None ends that.

        Raises
        ------
        ConfigurationError
            If the stretch is too short, or one of them is no time.
        AudioFileError
            As ``seek`` does.
        """
        if begin_s is None:
            self._deck.orders.loop = None
        else:
            track = self._heard()
            end_s = track.seconds if end_s is None else end_s
            loop = checked_loop(begin_s, end_s, track.sample_rate, track.frames)
            self._deck.orders.loop = track.number, loop
            if not loop.holds(self._deck.place.frame):
                self._go_to(Cue(track.number, loop.begin))
        self._wake()

    def next(self) -> bool:
        """Go to the next track; False if there is none."""
        return self._step(self.playlist.after(self.track), 1)

    def previous(self) -> bool:
        """Go to the track before, or to the beginning of the first one."""
        before = self.playlist.before(self.track)
        return self._step(self.track if before is None else before, -1)

    def add(self, path: str | os.PathLike[str]) -> int:
        """Append a file to the playlist; gives its number."""
        return self.playlist.add(Path(path))

    def events(self) -> tuple[Event, ...]:
        """Give what happened since the last call, oldest first."""
        return self._events.take()

    @property
    def saved(self) -> dict[str, dict[str, Path]]:
        """Stem files that are complete, by the path of their song."""
        return dict(self._keeping.saved)

    @property
    def not_saved(self) -> tuple[str, ...]:
        """Songs whose stem files were given up."""
        return tuple(self._keeping.failed)

    @property
    def unfinished(self) -> int:
        """Songs that are wanted whole, for files or the cache, and are not."""
        return len(self._separation.unfinished)

    def stats(self) -> PlayerStats:
        """Count what happened since the beginning; makes a snapshot."""
        deck, place = self._deck, self._deck.place
        track = self._shelf.get(place.track)
        frontier = 0 if track is None else track.stems.frontier
        return PlayerStats(
            track=place.track,
            tracks=len(self.playlist),
            position_s=self.position_s,
            duration_s=self.duration_s,
            is_paused=self.is_paused,
            is_over=deck.is_over,
            frames=deck.counters.frames,
            jumps=deck.jumps,
            withheld_frames=deck.withheld_frames,
            waited_frames=deck.waited_frames,
            silent_frames=deck.silent_frames,
            clipped_samples=self.mixer.levels(restart=False).clipped_samples,
            ahead_s=0.0 if track is None else deck.known_ahead / track.sample_rate,
            separated=0.0 if track is None else frontier / track.frames,
            processor=summarise(
                deck.counters,
                self._keeping.counters,
                non_finite_input_samples=0,
                resets=deck.jumps,
                is_too_fast=False,
            ),
            stream=self._stream_counters(),
        )

    def _stream_counters(self) -> StreamCounters:
        return StreamCounters()

    def _heard(self) -> Track:
        # What was ordered may not be open yet.
        track = self._shelf.open(self._deck.place.track)
        self._shelf.release(track)
        return track

    def _step(self, number: int | None, step: int) -> bool:
        if number is None:
            return False
        self._go_to(Cue(number, 0), step=step)
        return True

    def _go_to(self, cue: Cue, *, step: int = 1) -> None:
        self._deck.orders.go_to(cue, step=step)
        self._wake()

    def _wake(self) -> None:
        """Let whoever works know that there is something to do."""


def _check(
    separator: Separator, finish: str, gaps: str, plan: WindowPlan | None, overlap: int | None, block_frames: int
) -> None:
    if not isinstance(separator, Separator):
        raise ConfigurationError(f"{separator!r} is not a Separator: use engine.load_separator to get one")
    if finish not in ("background", "exit", "never"):
        raise ConfigurationError(f"finish={finish!r} is not known: use background, exit or never")
    if gaps not in ("auto", "mixture", "silence"):
        raise ConfigurationError(f"gaps={gaps!r} is not known: use auto, mixture or silence")
    if plan is not None and overlap is not None:
        raise ConfigurationError(f"overlap={overlap} and a plan were given: give one of them")
    is_number = isinstance(block_frames, int | np.integer) and not isinstance(block_frames, bool)
    if not is_number or not 1 <= block_frames <= _MAX_BLOCK:
        raise ConfigurationError(f"block_frames={block_frames!r} cannot be used: give a whole number to {_MAX_BLOCK}")
