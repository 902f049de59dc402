"""What a model hears of a stream: frames on its own axis and in its own channels, converted where rates differ."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.ring import FrameRing
from streamer.latency import StreamTiming
from streamer.resample import RateBridge, grid_step

__all__ = ["ModelInput"]

_MIN_CHUNK_FRAMES = 256


class ModelInput:
    """Reads model frames out of the host's ring. Used by the worker.

    At equal rates windows are copied straight from the host's ring; otherwise a second ring holds what was
    converted. After construction no array is allocated but by the converter.

    Parameters
    ----------
    ring : FrameRing
        What the host appends to, (channels,).
    timing : StreamTiming
    channels, model_channels : int
        One channel is duplicated for a stereo model.
    kept_frames : int
        Model frames that a window or a fresh state reaches back.
    """

    def __init__(
        self, ring: FrameRing, timing: StreamTiming, *, channels: int, model_channels: int, kept_frames: int
    ) -> None:
        self._host_ring = ring
        self._timing = timing
        self._origin = 0
        self._ring = ring
        self._position, self._silent_before = 0, 0
        self._mono = None if channels == model_channels else np.zeros((1, timing.plan.window_frames), np.float32)
        self._bridge: RateBridge | None = None
        if timing.is_bridged:
            chunk = max(timing.to_host(timing.plan.hop_frames), _MIN_CHUNK_FRAMES)
            self._bridge = RateBridge(timing.host_rate, timing.model_rate, channels, chunk)
            self._chunk = np.zeros((channels, chunk), np.float32)
            self._converted = np.zeros((channels, 2 * chunk * timing.model_rate // timing.host_rate + 1), np.float32)
            backlog = ring.capacity * timing.model_rate // timing.host_rate
            self._ring = FrameRing((channels,), kept_frames + backlog)

    def begin(self, origin: int) -> None:
        """Start an epoch whose frame 0 lies at ``origin`` in the host's ring."""
        self._origin = self._position = self._silent_before = origin
        if self._bridge is not None:
            self._bridge.restart(0)
            self._position = self._silent_before = self._ring.written

    def convert_before(self, model_end: int) -> bool:
        """See to it that frames before ``model_end`` can be read; the host must have heard what they need.

        Returns
        -------
        bool
            False if what the host wrote meanwhile has overwritten all of it.
        """
        bridge = self._bridge
        if bridge is None:
            return True
        target = self._timing.heard_for(model_end)
        while bridge.fed < target:
            chunk = self._chunk[:, : min(self._chunk.shape[-1], target - bridge.fed)]
            if not self._host_ring.copy(self._origin + bridge.fed, chunk, origin=self._origin):
                if not self._restart(bridge, target):
                    return False
                continue
            bridge.feed(chunk)
            while bridge.available > bridge.taken:
                taken = self._converted[:, : min(self._converted.shape[-1], bridge.available - bridge.taken)]
                bridge.take(taken)
                self._ring.append(taken)
        return True

    def read(self, start: int, out: npt.NDArray[np.float32]) -> bool:
        """Copy model frames from ``start`` on into ``out``, shape (model channels, n).

        What lies before the epoch is silence.

        Returns
        -------
        bool
            False if the frames have been overwritten.
        """
        heard = out if self._mono is None else self._mono[:, : out.shape[1]]
        whole = self._ring.copy(self._position + start, heard, origin=self._silent_before)
        if heard is not out:
            out[...] = heard
        return whole

    def _restart(self, bridge: RateBridge, target: int) -> bool:
        """Go on after input was lost, with what is sure to be there still; before it the model hears silence.

        The host goes on writing, so an eighth of the ring is left to it; the place is one that both axes share.
        """
        capacity = self._host_ring.capacity
        kept = self._host_ring.written - self._origin - capacity + capacity // 8
        step, _ = grid_step(self._timing.host_rate, self._timing.model_rate)
        start = -(-max(0, kept, target - capacity // 2) // step) * step
        if start >= target:
            return False
        bridge.restart(start)
        self._position = self._ring.written - bridge.taken
        self._silent_before = self._ring.written
        return True
