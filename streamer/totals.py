"""What the chains of a session counted, added up over every change of model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from streamer.chain import Chain
from streamer.recorder import RecorderStats
from streamer.stats import ProcessorStats

__all__ = ["ChainTotals", "add_recordings"]


@dataclass(frozen=True)
class ChainTotals:
    """Counts of one chain, or of several that came after each other.

    Attributes
    ----------
    processor : ProcessorStats
    clipped_samples : int
    recording : RecorderStats or None
        Sums over all takes; the state of the newest, and the newest error.
    takes : int
        Recordings that hold any sound.
    """

    processor: ProcessorStats
    clipped_samples: int
    recording: RecorderStats | None
    takes: int

    @classmethod
    def of(cls, chain: Chain) -> ChainTotals:
        """Take what a chain counted so far, before its processor is released."""
        recording = None if chain.recorder is None else chain.recorder.stats()
        return cls(
            chain.processor.stats(),
            chain.mixer.levels(restart=False).clipped_samples,
            recording,
            int(recording is not None and recording.frames_written > 0),
        )

    def __add__(self, later: ChainTotals) -> ChainTotals:
        """Add those of a chain that came after."""
        return ChainTotals(
            self.processor + later.processor,
            self.clipped_samples + later.clipped_samples,
            add_recordings(self.recording, later.recording),
            self.takes + later.takes,
        )


def add_recordings(earlier: RecorderStats | None, later: RecorderStats | None) -> RecorderStats | None:
    """Sum two takes up: the frames of both, the state of the later one, and the newest error."""
    if earlier is None or later is None:
        return later if earlier is None else earlier
    return replace(
        later,
        frames_written=earlier.frames_written + later.frames_written,
        frames_lost=earlier.frames_lost + later.frames_lost,
        gaps=earlier.gaps + later.gaps,
        error=later.error or earlier.error,
    )
