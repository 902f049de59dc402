"""Stem files of what is played, as ``stemstream separate`` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.file_separation import made_by, stem_outputs
from engine.files.formats import stored_subtype
from engine.files.prior_stems import check_not_input, done_before
from engine.files.provenance import Expected, mark
from engine.files.stem_path import DEFAULT_TEMPLATE, check_inside
from engine.files.stem_writers import StemWriters
from engine.plan import WindowPlan
from streamer.track import Track

__all__ = ["StemFiles"]

_EXT, _SUBTYPE = "wav", "FLOAT"
_DIGITS = 16


@dataclass(frozen=True)
class StemFiles:
    """Where stems are saved, and what they are made by.

    Attributes
    ----------
    folder : Path
    stems : tuple of str
    model_id : str
        As `engine.model_identity.model_identity` gives it.
    plan : WindowPlan
    """

    folder: Path
    stems: tuple[str, ...]
    model_id: str
    plan: WindowPlan

    def begin(self, track: Track, song: str) -> tuple[dict[str, Path], StemWriters | None]:
        """Begin the files of a track; they appear together when it is complete.

        Parameters
        ----------
        track : Track
        song : str
            SHA-256 of its file.

        Returns
        -------
        paths : dict of str to Path
        writers : StemWriters or None
            None where the very same stems are there already.

        Raises
        ------
        OutputError
            If something else is there, or nothing can be written.
        ConfigurationError
            If a stem would replace the track.
        """
        paths = stem_outputs(track.path, self.folder, DEFAULT_TEMPLATE, self.stems, _EXT)
        for path in paths.values():
            check_inside(self.folder, path)
        check_not_input(track.path, paths)
        by = made_by(self.model_id, self.plan)
        comments = {stem: mark(stem, by, song[:_DIGITS]) for stem in paths}
        stored = stored_subtype(_EXT, _SUBTYPE)
        expected = {
            stem: Expected(track.sample_rate, track.channels, track.frames, stored, comment)
            for stem, comment in comments.items()
        }
        if done_before(paths, expected)[0]:
            return paths, None
        writers = StemWriters(
            paths,
            track.sample_rate,
            track.channels,
            frames_hint=track.frames,
            subtype=_SUBTYPE,
            comments=comments,
        )
        return paths, writers
