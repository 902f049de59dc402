"""The stems of one track on their way: from the cache or the model, to whoever listens, to files and to the cache."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.cached_stems import CachedStems
from engine.digests import sha256_of
from engine.errors import ConfigurationError, OutputError
from engine.offline_model import OfflineModel
from engine.plan import WindowPlan
from engine.stem_cache import CacheKey, StemCache
from engine.worker_client import WorkerLike
from streamer.events import Event, EventKind, EventLog
from streamer.feed import FeedCounters
from streamer.paced_worker import PacedWorker
from streamer.passes import StemSink, WholePass
from streamer.stem_files import StemFiles
from streamer.stem_store import StemStore
from streamer.track import Track

__all__ = ["Keeping", "TrackStems"]

F32 = npt.NDArray[np.float32]
_COPY_FRAMES = 1 << 15


@dataclass
class Keeping:
    """What all tracks of a player share.

    Attributes
    ----------
    model : OfflineModel
    plan : WindowPlan
        Of passes through whole tracks.
    model_id : str
    worker : Worker
    cache : StemCache or None
    files : StemFiles or None
        Where stems are saved.
    events : EventLog
    saved : dict of str to dict of str to Path
        By the name of the song's file: the stem files that are complete.
    """

    model: OfflineModel
    plan: WindowPlan
    model_id: str
    worker: WorkerLike
    cache: StemCache | None
    files: StemFiles | None
    events: EventLog
    counters: FeedCounters = field(default_factory=FeedCounters)
    cancel: threading.Event = field(default_factory=threading.Event)
    saved: dict[str, dict[str, Path]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def tell(self, kind: EventKind, text: str) -> None:
        """Tell the user."""
        self.events.add(Event(kind, 0, text))


class TrackStems:
    """Separates a whole track, or takes its stems from the cache. Used by the thread that separates.

    Parameters
    ----------
    track : Track
    keeping : Keeping
    new_stems : callable
        Makes room for stems of this track.

    Attributes
    ----------
    is_known : bool
        It was looked for in the cache, and its files are begun.
    faults : int
        Times that the model failed on it.
    """

    def __init__(self, track: Track, keeping: Keeping, new_stems: Callable[[], StemStore]) -> None:
        self.track = track
        self._new_stems = new_stems
        self.is_known = False
        self.faults = 0
        self._keeping = keeping
        self._sinks: list[tuple[str, StemSink]] = []
        self._paths: dict[str, Path] = {}
        self._pass: WholePass | None = None
        self._copied = 0
        self._is_over = False
        self._key: CacheKey | None = None
        self._has_told_full = False

    @property
    def frontier(self) -> int:
        """Frames that are done with; -1 where no more will be."""
        if self._is_over:
            return -1
        if isinstance(self.track.stems, CachedStems):
            return self._copied
        return 0 if self._pass is None else self._pass.frontier

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be done."""
        return self.is_known and self._is_over

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for the whole of it, beside those who listen."""
        return not self.is_known or bool(self._sinks)

    def look_up(self) -> None:
        """Look for the track in the cache, and begin its files."""
        self.is_known = True
        keeping = self._keeping
        if keeping.cache is None and keeping.files is None:
            return
        try:
            song = sha256_of(self.track.path)
        except OSError as error:
            keeping.tell("fault", f"{str(self.track.path)!r} cannot be read ({error.strerror}): nothing of it is kept")
            return
        if keeping.files is not None:
            self._begin_files(keeping.files, song)
        if keeping.cache is not None:
            lengths = (keeping.plan.window_frames, keeping.plan.hop_frames, keeping.plan.fade_frames)
            settings = f"windows {'/'.join(map(str, lengths))} {keeping.plan.fill}"
            self._key = CacheKey(song, keeping.model_id, settings)
            self._use_cache(keeping.cache, self._key)

    def _begin_files(self, files: StemFiles, song: str) -> None:
        try:
            paths, writers = files.begin(self.track, song)
        except (OutputError, ConfigurationError) as error:
            self._tell_not_saved(error)
            return
        if writers is None:
            self._keeping.saved[str(self.track.path)] = paths
            return
        self._paths = paths
        self._sinks.append(("files", writers))

    def _use_cache(self, cache: StemCache, key: CacheKey) -> None:
        found, problem = cache.find(key)
        if problem is not None:
            self._keeping.tell("cache", problem)
        track = self.track
        if found is not None:
            store, track.stems = track.stems, found
            store.close()
            self._is_over = not self._sinks
            return
        try:
            writer = cache.writer(
                key,
                title=track.path.name,
                stems=self._keeping.model.names,
                sample_rate=track.sample_rate,
                channels=track.channels,
                frames=track.frames,
            )
        except OutputError as error:
            self._keeping.tell("cache", str(error))
        else:
            self._sinks.append(("cache", writer))

    def leave_cache(self) -> bool:
        """Separate after all what was found in the cache, for its files are damaged; False where nothing was."""
        track, found = self.track, self.track.stems
        track.has_damaged_stems = False
        if not isinstance(found, CachedStems):
            return False
        track.stems = self._new_stems()
        found.close()
        self._is_over, self._copied = False, 0
        for _, sink in self._sinks:
            sink.abort()
        self._sinks.clear()
        if self._keeping.cache is not None and self._key is not None:
            self._keeping.cache.remove(self._key)
        self._keeping.tell("cache", f"the stems kept of {track.path.name!r} are damaged: they are separated again")
        self.look_up()
        return True

    def step(self) -> Callable[[], None]:
        """Do a piece of work; what it gives is to be called when the time of that work has passed.

        Raises
        ------
        AudioFileError, ModelError
            If the track cannot be read to its end, or the model fails.
        """
        stems = self.track.stems
        if isinstance(stems, CachedStems):
            begin, end = self._copied, min(self._copied + _COPY_FRAMES, self.track.frames)
            part = stems.read(begin, end)
            self._copied = end
            self._hand_on(part)
            if end == self.track.frames:
                self._finish()
            return _nothing
        keeping = self._keeping
        if self._pass is None:
            worker = PacedWorker(keeping.worker, keeping.counters)
            self._pass = WholePass(self.track.reader, keeping.model, keeping.plan, worker, keeping.cancel)
        begin = self._pass.frontier
        given = self._pass.step()
        if given is None:
            return self._finish
        self._hand_on(given)
        kept = given

        is_last = self._pass.frontier >= self.track.frames
        if is_last:
            self._pass.close()

        def publish() -> None:
            if isinstance(stems, StemStore):
                stems.write_final(begin, kept)
                self.watch(stems)
            if is_last:
                self._finish()

        return publish

    def watch(self, stems: StemStore) -> None:
        """Tell once that the disk takes no more."""
        if stems.error is None or self._has_told_full:
            return
        self._has_told_full = True
        reason = stems.error.strerror
        self._keeping.tell(
            "cache",
            f"the disk takes no more stems of {self.track.path.name!r} ({reason}): the sound goes on, and what was "
            "heard is separated anew the next time; free some space",
        )

    def _hand_on(self, part: F32) -> None:
        for name, sink in list(self._sinks):
            try:
                sink.write(part)
            except OutputError as error:
                self._lose(name, sink, error)

    def _lose(self, name: str, sink: StemSink, error: Exception) -> None:
        self._sinks.remove((name, sink))
        sink.abort()
        if name == "files":
            self._tell_not_saved(error)
        else:
            self._keeping.tell("cache", f"stems of {self.track.path.name!r} are not kept: {error}")

    def _tell_not_saved(self, error: Exception) -> None:
        self._keeping.failed.append(str(self.track.path))
        self._keeping.tell("not saved", f"the sound goes on, its stems are not saved: {error}")

    def _finish(self) -> None:
        """Let files and cache entry appear."""
        if self._is_over:
            return
        self._is_over = True
        for name, sink in list(self._sinks):
            try:
                sink.commit()
            except OutputError as error:
                self._lose(name, sink, error)
                continue
            if name == "files":
                self._keeping.saved[str(self.track.path)] = self._paths
                self._keeping.tell("saved", f"stems of {self.track.path.name!r} are saved")
        self._sinks.clear()

    def give_up(self, error: Exception | None = None) -> None:
        """Do no more; what is not complete does not appear."""
        if self._pass is not None:
            self._pass.close()
        self._is_over = True
        for name, sink in list(self._sinks):
            sink.abort()
            if name == "files" and error is not None:
                self._tell_not_saved(error)
        self._sinks.clear()

    def close(self) -> None:
        """End the pass."""
        self.give_up(None)


def _nothing() -> None:
    return
