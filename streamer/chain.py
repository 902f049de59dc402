"""From what was captured to what is played: a processor, its mixer, and a recorder that listens in between."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamer.mixer import Mixer
from streamer.processor import StemProcessor
from streamer.recorder import Recorder

__all__ = ["Chain"]

F32 = npt.NDArray[np.float32]


class Chain:
    """Takes blocks of input and gives blocks of output.

    Parameters
    ----------
    processor : StemProcessor
        Prepared for ``block_frames``, fixed.
    mixer : Mixer
        Of the processor's stems.
    block_frames : int
    recorder : Recorder, optional
        Gets the stems from the first captured frame on, at the captured frames' places.

    Notes
    -----
    One thread calls ``process`` and ``restart``; nothing is allocated there. ``release`` follows when that thread is
    done with it, on any thread.
    """

    def __init__(
        self, processor: StemProcessor, mixer: Mixer, *, block_frames: int, recorder: Recorder | None = None
    ) -> None:
        self.processor = processor
        self.mixer = mixer
        self.recorder = recorder
        self._mixed = np.zeros((mixer.outputs.device_channels, block_frames), np.float32)
        # What a processor gives before its latency has passed was never captured.
        self._unheard = processor.latency_frames

    @property
    def latency_frames(self) -> int:
        """Frames between a captured frame and its place in what ``process`` gives."""
        return self.processor.latency_frames

    def process(self, block: F32) -> F32:
        """Take a block, shape (channels, block), and give one, (device channels, block), valid until the next call."""
        stems = self.processor.process(block)
        if self.recorder is not None:
            self._record(self.recorder, stems)
        self.mixer.mix(stems, self._mixed)
        return self._mixed

    def restart(self, skipped_frames: int) -> None:
        """Begin a new epoch after captured frames were lost; the recording keeps time with silence in their place."""
        self.processor.reset()
        if self.recorder is not None:
            self.recorder.skip(skipped_frames)

    def finish_recording(self) -> None:
        """Write what is still to be written and close the files; waits for the disk."""
        if self.recorder is not None:
            self.recorder.close()

    def release(self) -> None:
        """Finish the recording and let go of the processor; waits for the disk."""
        self.finish_recording()
        self.processor.release()

    def _record(self, recorder: Recorder, stems: F32) -> None:
        frames = stems.shape[-1]
        if self._unheard >= frames:
            self._unheard -= frames
            return
        recorder.write(stems[..., self._unheard :] if self._unheard else stems)
        self._unheard = 0
