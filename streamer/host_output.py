"""What a window made known, on the host's axis and in its channels, converted where rates differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.lock_keeping import copy
from engine.overlap import OverlapAdd
from streamer.latency import StreamTiming
from streamer.resample import RateBridge

__all__ = ["HostOutput", "Span"]

F32 = npt.NDArray[np.float32]
_MIN_CHUNK_FRAMES = 256


@dataclass(frozen=True)
class Span:
    """Host frames: final are those of ``[first, final)``, provisional those of ``[final, known)``."""

    first: int
    final: int
    known: int


class HostOutput:
    """Takes what the overlap-add holds to the host's axis, window by window. Used by the worker.

    Parameters
    ----------
    timing : StreamTiming
    channels : int
        Of the host; two channels of a model are averaged into one.
    carried : tuple of int
        The model's stems that are handed on.
    """

    def __init__(self, timing: StreamTiming, *, channels: int, carried: tuple[int, ...]) -> None:
        plan = timing.plan
        self._timing = timing
        self._channels = channels
        self._carried = carried
        self._stems = np.zeros((len(carried), channels, plan.hop_frames + plan.provisional_frames), np.float32)
        self._rows = self._stems.reshape(-1, self._stems.shape[-1])
        self._frontier = 0
        self._has_gap = True
        self._bridge: RateBridge | None = None
        if timing.is_bridged:
            longest = max(plan.hop_frames, _MIN_CHUNK_FRAMES)
            self._bridge = RateBridge(timing.model_rate, timing.host_rate, len(self._rows), longest)

    @property
    def longest_frames(self) -> int:
        """Most host frames that one window makes known."""
        plan = self._timing.plan
        return self._timing.to_host(plan.hop_frames) + self._timing.to_host(plan.provisional_frames) + 2

    def begin(self) -> None:
        """Start an epoch at host frame 0."""
        self._frontier = 0
        self._has_gap = True

    def leave_gap(self) -> None:
        """Say that the next window does not carry on from the last one."""
        self._has_gap = True

    def nothing(self) -> Span:
        """Give the span of a window that failed."""
        return Span(self._frontier, self._frontier, self._frontier)

    def write(self, overlap: OverlapAdd, index: int, usable_frames: int, out: F32) -> Span:
        """Write what window ``index`` made known.

        Parameters
        ----------
        overlap : OverlapAdd
            Holds the window's final and provisional model frames.
        index : int
        usable_frames : int
            How many of the provisional ones may be heard.
        out : ndarray of float32, shape (stems carried, channels, longest_frames)

        Returns
        -------
        Span
            Where the frames at the start of ``out`` lie.
        """
        plan, timing = self._timing.plan, self._timing
        hop = plan.hop_frames
        self._carry(overlap.final, self._stems[..., :hop])
        self._carry(overlap.provisional, self._stems[..., hop:])
        begin = plan.final_before(index) - hop
        restarts, self._has_gap = self._has_gap, False
        first = timing.host_after_gap(begin) if restarts else self._frontier
        self._frontier = max(first, timing.final_before(index))
        span = Span(first, self._frontier, max(self._frontier, timing.known_before(index, usable_frames)))
        if self._bridge is not None:
            return self._convert(self._bridge, begin, usable_frames, restarts, span, out)
        copy(out[..., : span.known - first], self._stems[..., first - begin : span.known - begin])
        return span

    def _convert(
        self, bridge: RateBridge, begin: int, usable_frames: int, restarts: bool, span: Span, out: F32
    ) -> Span:
        hop = self._timing.plan.hop_frames
        before_start = min(hop, max(0, -begin))
        if restarts:
            start = max(0, begin)
            bridge.feed_zeros(start - bridge.restart(start))
        if before_start < hop:
            bridge.feed(self._rows[:, before_start:hop])
        rows = out.reshape(-1, out.shape[-1])
        bridge.skip(max(0, span.first - bridge.taken))
        if bridge.taken < span.first:
            # After a gap the converter has not yet come to the first whole frame; a preview would lie before it.
            return Span(span.first, span.first, span.first)
        if span.final > span.first:
            bridge.take(rows[:, : span.final - span.first])
        if span.known == span.final or before_start == hop:
            return Span(span.first, span.final, span.final)
        provisional = self._rows[:, hop : hop + usable_frames]
        previewed = bridge.preview(provisional, rows[:, span.final - span.first : span.known - span.first])
        return Span(span.first, span.final, span.final + previewed)

    def _carry(self, stems: F32, out: F32) -> None:
        """Copy the stems that are handed on, averaged where the host is mono."""
        for row, stem in enumerate(self._carried):
            if stems.shape[1] == self._channels:
                copy(out[row], stems[stem])
            else:
                np.add(stems[stem, 0], stems[stem, 1], out=out[row, 0])
                out[row, 0] *= 0.5
