"""A stretch of a track on its way to the mixer: the song itself, its stems as they come, and the deadline ladder."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.errors import AudioFileError
from engine.ring import FrameRing
from engine.spec import ModelSpec
from streamer.assembler import Assembler
from streamer.feed import Result
from streamer.latency import JOIN_FRAMES
from streamer.play_head import Cue
from streamer.timeline import BlockRungs, Timeline
from streamer.track import Track

__all__ = ["Voice"]

F32 = npt.NDArray[np.float32]

_MIXTURE_S = 1.0
_STEMS_S = 0.5
"""How far ahead of the head the song and its stems are in memory, at least."""
_READ_FRAMES = 4096
_PIECE_FRAMES = 2048


@dataclass(frozen=True)
class _Part:
    result: Result
    is_final: bool


class Voice:
    """Plays a track from a place on, without a jump.

    One thread loads, another renders; neither waits for the other. What was not loaded in time is not separated where
    it is heard, and what was not read at all is not there to be rendered.

    Parameters
    ----------
    track : Track
    cue : Cue
        Where it begins.
    spec : ModelSpec
    channels, block_frames : int
        Of what is rendered: mono files are heard on both channels.
    mixture_consistent : bool
        The residual stem is the song less the other stems.

    Attributes
    ----------
    rungs : BlockRungs
        Of the block rendered last.
    withheld_frames : int
        Of that block: those in which the song itself was not to be heard in place of its stems.
    is_broken : bool
        The rest of the file cannot be read.
    """

    def __init__(
        self, track: Track, cue: Cue, spec: ModelSpec, *, channels: int, block_frames: int, mixture_consistent: bool
    ) -> None:
        rate, block = track.sample_rate, block_frames
        self.track, self.cue = track, cue
        self._channels = channels
        self._margin = 2 * block + 2 * JOIN_FRAMES
        # What comes later than the margin is too late, so that long blocks need more of it in memory.
        self._stems_ahead = max(round(_STEMS_S * rate), 2 * self._margin)
        self._mixture_ahead = max(round(_MIXTURE_S * rate), self._stems_ahead)
        self._ring = FrameRing((channels,), self._mixture_ahead + 2 * _READ_FRAMES + block)
        self._timeline = Timeline(0, JOIN_FRAMES)
        self._timeline.reserve(block)
        self._residual = spec.residual_index
        self._assembler = Assembler(
            stems=len(spec.output_stems),
            residual_index=spec.residual_index,
            channels=channels,
            max_block_frames=block,
            known_frames=self._stems_ahead + 2 * _PIECE_FRAMES,
            residual_is_modelled=not mixture_consistent and spec.residual in spec.stems,
        )
        self._carried = list(self._assembler.carried)
        self._has_begun = False
        self.rungs, self.withheld_frames = BlockRungs(), 0
        self.is_broken = False
        # The loader's.
        self._blocks: Iterator[F32] = iter(track.reader.blocks(_READ_FRAMES, start_frame=cue.frame))
        self._stems_at = cue.frame
        self._was_final: bool | None = None
        # From the loader to the one who renders.
        self._parts: deque[_Part] = deque()
        # The renderer's.
        self._provisional: deque[tuple[int, int]] = deque()
        self._levels = np.zeros(block, np.float32)
        self._missing = np.zeros(block, np.float32)
        self._mixture = np.zeros((channels, block), np.float32)
        self._share: float | None = None
        self._steps = np.arange(1, block + 1).astype(np.float32) / np.float32(JOIN_FRAMES)
        self._withheld = np.zeros(block, np.float32)

    @property
    def place(self) -> int:
        """The frame of the track that is rendered next."""
        return self.cue.frame + self._timeline.cursor

    @property
    def ready(self) -> int:
        """Frames that can be rendered."""
        return self._ring.written - self._timeline.cursor

    @property
    def can_begin(self) -> bool:
        """Whether something can be rendered, or never will be."""
        return self.ready > 0 or self.is_broken or self.place >= self.track.frames

    @property
    def known_ahead(self) -> int:
        """Frames from the head on whose stems are in memory."""
        return max(0, self._stems_at - self.place)

    @property
    def settled_ahead(self) -> int:
        """Frames from the head on that can be rendered without a fade to the song itself being in sight."""
        ahead = self.known_ahead
        return ahead if self._stems_at >= self.track.frames else max(0, ahead - 2 * JOIN_FRAMES)

    # The loader.

    def load(self, *, waits: bool = False) -> bool:
        """Read what is due; False if nothing was.

        Parameters
        ----------
        waits : bool
            Nothing is passed over that is still to come: whoever renders waits for it.

        Raises
        ------
        AudioFileError
            If the file cannot be read.
        """
        has_read = self._load_mixture()
        if self.track.has_damaged_stems:
            return has_read
        try:
            return self._load_stems(waits) or has_read
        except AudioFileError:
            self.track.has_damaged_stems = True
            return has_read

    def close(self) -> None:
        """Close the file; the loader's thread."""
        close = getattr(self._blocks, "close", None)
        if close is not None:
            close()

    def _load_mixture(self) -> bool:
        frames = self.track.frames - self.cue.frame
        if self.is_broken or self._ring.written >= min(frames, self._timeline.cursor + self._mixture_ahead):
            return False
        block = next(self._blocks, None)
        if block is None:
            self.is_broken = True
            return False
        block = block[:, : frames - self._ring.written]
        if not np.isfinite(block).all():
            block = np.where(np.isfinite(block), block, np.float32(0.0))
        self._ring.append(np.broadcast_to(block, (self._channels, block.shape[1])))
        return True

    def _load_stems(self, waits: bool) -> bool:
        source, at, place = self.track.stems, self._stems_at, self.place
        soon = place + self._margin if self._has_begun and not waits else place
        # Asked for first: what comes in between must not be taken for a gap.
        found = source.next_known(max(at, soon)) if at < soon else None
        if at < place or (at < soon and source.known_to(at) <= at):
            # Too late for what lies here: go on where something is known that can still be in time.
            if found is None or found >= place + self._stems_ahead:
                return False
            at = found
        limit = min(self.track.frames, place + self._stems_ahead)
        is_final = source.final_to(at) > at
        end = min(limit, at + _PIECE_FRAMES, source.final_to(at) if is_final else source.provisional_to(at))
        if end <= at:
            return False
        stems = source.read(at, end, final=is_final)
        if at == self._stems_at and self._was_final not in (None, is_final):
            self._join(stems, at, is_final)
        stems = np.broadcast_to(stems, (len(stems), self._channels, end - at))[self._carried]
        first, known = at - self.cue.frame, end - self.cue.frame
        if end == self.track.frames:
            # Silence lies behind the end, and is no reason to fade to the song itself.
            stems = np.pad(stems, ((0, 0), (0, 0), (0, JOIN_FRAMES)))
            known += JOIN_FRAMES
        self._parts.append(_Part(Result(np.ascontiguousarray(stems), 0, 0, first, known, known), is_final))
        # Last: whoever waits for these frames goes on as soon as he sees that they are here.
        self._stems_at, self._was_final = end, is_final
        return True

    def _join(self, stems: F32, at: int, is_final: bool) -> None:
        """Fade from what would have been heard on to the other kind."""
        source = self.track.stems
        n = min(JOIN_FRAMES, stems.shape[-1])
        if (source.provisional_to(at) if is_final else source.final_to(at)) < at + n:
            return
        before = source.read(at, at + n, final=not is_final)
        share = (np.arange(1, n + 1) / np.float32(n + 1)).astype(np.float32)
        stems[..., :n] = before + (stems[..., :n] - before) * share

    # The one who renders.

    def render(self, out: F32, *, withholds: bool) -> None:
        """Give the next frames.

        Parameters
        ----------
        out : ndarray of float32, shape (stems, channels, n)
            Filled; n is at most ``ready`` and the block's length.
        withholds : bool
            Where stems are not there, silence stands for them and not the song itself.
        """
        n = out.shape[-1]
        self._has_begun = True
        begin = self._timeline.cursor
        self._admit()
        levels, mixture = self._levels[:n], self._mixture[:, :n]
        self._timeline.block(n, levels, self.rungs)
        self._ring.copy(begin, mixture)
        is_whole = float(levels.min()) >= 1.0
        self._assembler.render(begin, levels, mixture, out, is_whole=is_whole)
        self._withhold(levels, mixture, out[self._residual], withholds, is_whole=is_whole)
        provisional = min(self.rungs.final, self._provisional_in(begin, begin + n))
        self.rungs.final -= provisional
        self.rungs.provisional += provisional

    def settle(self) -> None:
        """Let the next block withhold at once what it withholds: nothing is heard at the moment that could click."""
        self._share = None

    def _admit(self) -> None:
        while self._parts:
            part = self._parts.popleft()
            result = part.result
            admission = self._timeline.admit(result.first, result.final, result.known)
            if admission.start >= 0:
                self._assembler.keep(result, admission)
                if not part.is_final:
                    self._provisional.append((admission.start, result.known))

    def _provisional_in(self, begin: int, end: int) -> int:
        while self._provisional and self._provisional[0][1] <= begin:
            self._provisional.popleft()
        return sum(max(0, min(end, high) - max(begin, low)) for low, high in self._provisional)

    def _withhold(self, levels: F32, mixture: F32, residual: F32, withholds: bool, *, is_whole: bool) -> None:
        """Take out of the residual stem what stands in it for stems that are not there."""
        self.withheld_frames = 0
        n, target = len(levels), 0.0 if withholds else 1.0
        if is_whole:
            self._share = target
            return
        if self._share is None:
            self._share = target
        missing, withheld = self._missing[:n], self._withheld[:n]
        np.subtract(1.0, levels, out=missing)
        if self._share == target:
            withheld[:] = 1.0 - target
        else:
            # A straight line from where it is.
            np.multiply(self._steps[:n], 1.0 if withholds else -1.0, out=withheld)
            withheld += np.float32(1.0 - self._share)
            np.clip(withheld, 0.0, 1.0, out=withheld)
            self._share = 1.0 - float(withheld[-1])
        self.withheld_frames = int(np.count_nonzero(np.logical_and(withheld >= 1.0, missing >= 1.0)))
        if not withheld.any():
            return
        np.multiply(missing, withheld, out=missing)
        for row, song in zip(residual, mixture, strict=True):
            np.multiply(song, missing, out=withheld)
            row -= withheld
