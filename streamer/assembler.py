"""Puts the samples together that the timeline decided on: separated stems, joins, and the residual."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.lock_keeping import pieces
from engine.ring import FrameRing
from streamer.feed import Result
from streamer.latency import JOIN_FRAMES
from streamer.timeline import Admission

__all__ = ["Assembler"]

F32 = npt.NDArray[np.float32]


class Assembler:
    """Keeps the separated frames that are known and renders blocks of stems from them. Used by the audio side alone.

    Parameters
    ----------
    stems : int
        Stems given out.
    residual_index : int
        Which of them takes what the others leave.
    channels, max_block_frames : int
    known_frames : int
        Most frames, from the cursor on, that results can make known.
    residual_is_modelled : bool
        True: the model's own residual stem is heard, and the mixture is faded into it where nothing is separated.
        False: the residual is the mixture less the other stems, always.
    """

    def __init__(
        self,
        *,
        stems: int,
        residual_index: int,
        channels: int,
        max_block_frames: int,
        known_frames: int,
        residual_is_modelled: bool,
    ) -> None:
        self._residual = residual_index
        self._modelled = residual_is_modelled
        others = tuple(n for n in range(stems) if n != residual_index)
        self.carried = tuple(range(stems)) if residual_is_modelled else others
        """Stems that results must hold, in this order."""
        self._is_leading = self.carried == tuple(range(len(self.carried)))
        lead = (len(self.carried), channels)
        self._known = FrameRing(lead, known_frames + max_block_frames + 2 * JOIN_FRAMES)
        self._block = np.zeros((*lead, max_block_frames), np.float32)
        self._share = np.zeros(max_block_frames, np.float32)
        self._mixture_share = np.zeros((1, channels, max_block_frames), np.float32)
        self._before_join = np.zeros((*lead, JOIN_FRAMES), np.float32)
        self._spare = np.zeros_like(self._before_join)
        self._fade_in: F32 = np.arange(1, JOIN_FRAMES + 1).astype(np.float32) / np.float32(JOIN_FRAMES)
        self._faded = np.zeros_like(self._before_join)
        self.reset()

    def reset(self) -> None:
        """Forget what was known."""
        self._join_at = -(1 << 62)

    def keep(self, result: Result, admission: Admission) -> None:
        """Take the frames of a result that the timeline admitted."""
        start = admission.start
        if admission.join_at >= 0:
            self._read(admission.join_at, self._spare)
            self._before_join, self._spare = self._spare, self._before_join
            self._join_at = admission.join_at
        self._known.put(start, result.stems[..., start - result.first : result.known - result.first])

    def render(self, cursor: int, levels: F32, mixture: F32, out: F32, *, is_whole: bool = False) -> None:
        """Render the frames from ``cursor`` on.

        Parameters
        ----------
        cursor : int
        levels : ndarray of float32, shape (frames,)
            Share of the separated stems.
        mixture : ndarray of float32, shape (channels, frames)
            The input, delayed by the latency.
        out : ndarray of float32, shape (stems, channels, frames)
        is_whole : bool
            All of ``levels`` are 1, as in nearly every block: what is separated is then copied straight to its place.
        """
        n = len(levels)
        if is_whole and self._is_leading:
            stems = out[: len(self.carried)]
            self._read(cursor, stems)
            if not self._modelled:
                for piece in pieces(mixture.shape[0], n):
                    self._leave(stems[..., piece], mixture[:, piece], out[self._residual, :, piece])
            return
        block = self._block[..., :n]
        self._read(cursor, block)
        for piece in pieces(mixture.shape[0], n):
            self._mix(block[..., piece], levels[piece], mixture[:, piece], out[..., piece])

    @staticmethod
    def _leave(stems: F32, mixture: F32, residual: F32) -> None:
        """Give what the stems leave of the mixture."""
        np.copyto(residual, mixture)
        for stem in stems:
            np.subtract(residual, stem, out=residual)

    def _mix(self, block: F32, levels: F32, mixture: F32, out: F32) -> None:
        """Fade the separated frames against the mixture and share them out to the stems."""
        n = len(levels)
        _scale(block, levels)
        residual = out[self._residual]
        np.copyto(residual, mixture)
        for row, stem in enumerate(self.carried):
            if stem != self._residual:
                np.copyto(out[stem], block[row])
                if not self._modelled:
                    residual -= block[row]
        if self._modelled:
            np.subtract(1.0, levels, out=self._share[:n])
            mixture_share = self._mixture_share[..., :n]
            np.copyto(mixture_share[0], mixture)
            _scale(mixture_share, self._share[:n])
            np.add(block[self.carried.index(self._residual)], mixture_share[0], out=residual)

    def _read(self, start: int, out: F32) -> None:
        """Copy known frames, faded from what was to be heard before the last join."""
        n = out.shape[-1]
        self._known.copy(start, out)
        lo, hi = max(start, self._join_at), min(start + n, self._join_at + JOIN_FRAMES)
        if lo >= hi:
            return
        new = out[..., lo - start : hi - start]
        old = self._before_join[..., lo - self._join_at : hi - self._join_at]
        fade = self._fade_in[lo - self._join_at : hi - self._join_at]
        faded = self._faded[..., : hi - lo]
        np.subtract(new, old, out=faded)
        _scale(faded, fade)
        np.add(old, faded, out=new)


def _scale(stems: F32, levels: F32) -> None:
    """Multiply frames by their levels, row by row: NumPy allocates buffers to multiply by a shorter shape."""
    for stem in stems:
        for channel in stem:
            np.multiply(channel, levels, out=channel)
