"""The tracks that are open: those that are heard or will be, and those that are still being separated."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from engine.spec import ModelSpec
from streamer.playlist import Playlist
from streamer.stem_store import StemStore
from streamer.track import Track, open_track

__all__ = ["Shelf"]


class Shelf:
    """Opens tracks of a playlist, each once. Any thread may ask.

    Parameters
    ----------
    playlist : Playlist
    spec : ModelSpec
    folders : sequence of Path
        Where stems may lie while they are heard, as for `Scratch`.
    """

    def __init__(self, playlist: Playlist, spec: ModelSpec, folders: Sequence[Path] = ()) -> None:
        self._playlist, self._spec, self._folders = playlist, spec, folders
        self._lock = threading.Lock()
        self._tracks: dict[int, Track] = {}

    def get(self, number: int) -> Track | None:
        """Give a track if it is open."""
        return self._tracks.get(number)

    def open(self, number: int) -> Track:
        """Give a track for a voice, opened if need be; ``release`` it afterwards. Raises as `open_track` does."""
        with self._lock:
            track = self._tracks.get(number)
            if track is None:
                reader, frames = open_track(self._playlist[number], self._spec.channels)
                track = self._tracks[number] = Track(number, reader, frames, self.new_stems(reader.channels))
            track.users += 1
            return track

    def new_stems(self, channels: int) -> StemStore:
        """Make room for the stems of a track."""
        return StemStore(len(self._spec.output_stems), channels, self._folders)

    def release(self, track: Track) -> None:
        """Say that a voice no longer plays a track."""
        with self._lock:
            track.users -= 1

    def close_unused(self, number: int) -> bool:
        """Close a track unless a voice plays it; tells whether it is closed."""
        with self._lock:
            track = self._tracks.get(number)
            if track is not None and track.users:
                return False
            if track is not None:
                self._tracks.pop(number).close()
            return True

    def close(self) -> None:
        """Close all."""
        with self._lock:
            while self._tracks:
                self._tracks.popitem()[1].close()
