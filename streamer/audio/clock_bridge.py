"""Reading an input at a speed that changes a little: frames of its clock become frames of the output's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.lock_keeping import copy
from streamer.audio.capture import Capture
from streamer.audio.stream import F32
from streamer.resample import hold_back_frames

__all__ = ["ClockBridge"]

_CONVERTER = "sinc_medium"
_HELD_FRAMES = 46.5
"""Input frames between the next output frame and the last input frame of libsamplerate's ``sinc_medium``, once it has
given all it can; within half a frame, and times the ratio where it converts down."""


class ClockBridge:
    """Gives blocks of an input that is read from any place on, at any speed near the nominal one. Used by one thread.

    Parameters
    ----------
    capture : Capture
    output_rate : int
        Nominal rate of the frames that are given, in Hz.
    max_frames : int
        Most frames a ``read``.

    Attributes
    ----------
    reach_frames : int
        Input frames beyond the place of a frame that have to be there for it.

    Notes
    -----
    libsamplerate (E. de Castro Lopo) changes its ratio smoothly over a call. Each call gives a new array, which is
    copied into place at once; nothing else is allocated.
    """

    def __init__(self, capture: Capture, output_rate: int, max_frames: int) -> None:
        import samplerate

        self._capture = capture
        self._nominal = capture.sample_rate / output_rate
        self.reach_frames = hold_back_frames(capture.sample_rate, output_rate)
        self._converter: Any = samplerate.Resampler(_CONVERTER, channels=capture.channels)
        most = math.ceil(max_frames * self._nominal) + self.reach_frames
        self._heard = np.zeros((capture.channels, most), np.float32)
        self._interleaved = np.zeros((most, capture.channels), np.float32)
        room = 2 * max_frames + math.ceil(4 * self.reach_frames / self._nominal) + 64
        self._ready = np.zeros((capture.channels, room), np.float32)
        self._ready_frames, self._skip_frames = 0, 0
        self._fed = 0
        self._step = self._nominal
        self.missing_frames = 0
        """Input frames in place of which silence was taken, as they were not there."""

    @property
    def place(self) -> float:
        """Place of the next frame, in frames of the input."""
        unfed = self._ready_frames - self._skip_frames
        return self._fed - _HELD_FRAMES * max(1.0, self._step) - unfed * self._step

    def move(self, place: float, step: float) -> None:
        """Go on at another place, to the nearest frame; what was read before is forgotten.

        Parameters
        ----------
        place : float
        step : float
            As for `read`.
        """
        self._converter.reset()
        context = 2 * self.reach_frames
        self._fed = round(place) - context
        self._ready_frames, self._step = 0, step
        # The first frame that comes is that of the first one fed; those that lack their past are thrown away.
        self._skip_frames = round((place - self._fed) / step)
        while self._skip_frames:
            self._feed(self.reach_frames)

    def read(self, out: F32, step: float) -> None:
        """Give the next frames.

        Parameters
        ----------
        out : ndarray of float32, shape (channels, n)
            With n at most ``max_frames``.
        step : float
            Input frames for one output frame.
        """
        n = out.shape[1]
        self._step = step
        while self._ready_frames < n:
            self._feed(max(1, math.ceil((n - self._ready_frames) * step)))
        copy(out, self._ready[:, :n])
        left = self._ready_frames - n
        for row in self._ready:
            copy(row[:left], row[n : n + left])
        self._ready_frames = left

    def _feed(self, frames: int) -> None:
        n = min(frames, len(self._interleaved))
        self._fetch(self._heard[:, :n])
        copy(self._interleaved[:n].T, self._heard[:, :n])
        converted = self._converter.process(self._interleaved[:n], 1 / self._step)
        skipped = min(self._skip_frames, len(converted))
        self._skip_frames -= skipped
        end = self._ready_frames + len(converted) - skipped
        copy(self._ready[:, self._ready_frames : end], converted[skipped:].T)
        self._ready_frames = end

    def _fetch(self, heard: F32) -> None:
        """Take the next frames of the input where they are, and silence where they are not: time goes on."""
        begin, end = self._fed, self._fed + heard.shape[1]
        self._fed = end
        there = min(max(self._capture.written, begin), end) - begin
        if there == 0 or not self._capture.copy(begin, heard[:, :there]):
            there = 0
        heard[:, there:] = 0.0
        self.missing_frames += heard.shape[1] - there
