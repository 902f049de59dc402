"""One chain takes over from another while both hear the same input: no gap, no click, and nobody waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import reduce
from operator import add

import numpy as np
import numpy.typing as npt

from engine.errors import LifecycleError
from streamer.chain import Chain
from streamer.processor import StemProcessor
from streamer.recorder import RecorderStats
from streamer.totals import ChainTotals, add_recordings

__all__ = ["TURNOVER_S", "Turnover"]

F32 = npt.NDArray[np.float32]

TURNOVER_S = 0.05
"""The two give the same music at different delays: short enough that it is not heard twice, long enough to be no
click."""
_POLL_S = 0.05


class Turnover:
    """Plays a chain, and crossfades to another one when it is told to.

    The new chain hears every block from the moment it is handed over. When the first frame that it heard has come out
    of it, the output fades from the one to the other along a straight line, and the old one is let go.

    Parameters
    ----------
    chain : Chain
        The first one.
    device_channels, block_frames : int
        Shape of the output's blocks.
    fade_frames : int
        Length of the crossfade, 1 or more.

    Notes
    -----
    One thread calls ``process``, ``restart`` and ``finish``, and no array is allocated there; the others are for
    other ones.
    """

    def __init__(self, chain: Chain, *, device_channels: int, block_frames: int, fade_frames: int) -> None:
        self.chain = chain
        """The one that is heard, or heard most of."""
        self._next: Chain | None = None
        self._held = [chain]
        self._former: ChainTotals | None = None
        self._keeping = threading.RLock()
        self._line: F32 = (np.arange(1, fade_frames + 1) / fade_frames).astype(np.float32)
        self._mixed = np.zeros((device_channels, block_frames), np.float32)
        self._share = np.zeros(block_frames, np.float32)
        self._weights = np.ones(block_frames, np.float32)
        self._heard_frames = 0
        self._is_done = threading.Event()
        self._is_done.set()

    def check(self, processor: StemProcessor) -> None:
        """Refuse to begin another change now, or with a processor that is in use, with LifecycleError; any thread."""
        if not self._is_done.is_set():
            raise LifecycleError("another model is taking over already: wait until it has")
        if any(chain.processor is processor for chain in self._held):
            raise LifecycleError("this processor is in use already: make another one")

    def take_over(self, chain: Chain, has_ended: Callable[[], bool]) -> bool:
        """Let another chain take over, wait until it alone is heard, and release the other one.

        Parameters
        ----------
        chain : Chain
            Released too where it does not take over.
        has_ended : callable
            Tells that nobody calls ``process`` any more.

        Returns
        -------
        bool
            False where that came first.

        Raises
        ------
        LifecycleError
            As ``check`` does.
        """
        try:
            self.check(chain.processor)
        except LifecycleError:
            chain.release()
            raise
        self._held.append(chain)
        self._is_done.clear()
        self._heard_frames = 0
        self._next = chain
        while not self._is_done.wait(_POLL_S) and not has_ended():
            pass
        has_taken_over = self._is_done.is_set()
        self._release(but=self.chain)
        return has_taken_over

    @contextmanager
    def kept(self) -> Iterator[Chain]:
        """Give the chain that is heard, which is not released as long as it is looked at; not on the audio thread."""
        with self._keeping:
            yield self.chain

    def totals(self) -> ChainTotals:
        """Sum up what every chain that was heard counted; not on the audio thread.

        Blocks that two of them heard, before one took over from the other, count for both.
        """
        with self._keeping:
            following = self._next
            former = [] if self._former is None else [self._former]
            heard = [ChainTotals.of(chain) for chain in self._held if chain is not following]
            return reduce(add, former + heard)

    def recording(self) -> RecorderStats | None:
        """Sum up the recordings so far; light, and not on the audio thread."""
        with self._keeping:
            following, total = self._next, None if self._former is None else self._former.recording
            for chain in self._held:
                if chain is not following and chain.recorder is not None:
                    total = add_recordings(total, chain.recorder.stats())
            return total

    def release(self) -> None:
        """Let go of every chain, also where a change was interrupted, once nobody calls ``process`` any more."""
        self._release(but=None)

    def _release(self, but: Chain | None) -> None:
        for chain in [chain for chain in self._held if chain is not but]:
            # The disk may be slow, and nobody who only looks on has to wait for it.
            chain.finish_recording()
            with self._keeping:
                # What was lost to another who released the processor must not keep the rest from being let go of.
                with suppress(LifecycleError):
                    self._count(chain)
                self._held.remove(chain)
                chain.release()

    def _count(self, chain: Chain) -> None:
        if chain is not self._next:
            counts = ChainTotals.of(chain)
            self._former = counts if self._former is None else self._former + counts

    def process(self, block: F32) -> F32:
        """Take a block, shape (channels, block), and give one, (device channels, block), valid until the next call."""
        following = self._next
        if following is None:
            return self.chain.process(block)
        old, new = self.chain.process(block), following.process(block)
        begin = self._heard_frames - following.latency_frames
        self._heard_frames += block.shape[1]
        frames, length = block.shape[1], len(self._line)
        first = min(frames, max(0, -begin))
        if first == frames:
            return old
        weights = self._weights
        passed = max(0, begin)
        faded = min(frames - first, max(0, length - passed))
        weights[:first] = 0.0
        np.copyto(weights[first : first + faded], self._line[passed : passed + faded])
        weights[first + faded :] = 1.0
        # Row by row: NumPy allocates buffers to multiply by a shorter shape.
        for row, out in zip(new, self._mixed, strict=True):
            np.multiply(row, weights, out=out)
        np.subtract(1.0, weights, out=weights)
        for row, out in zip(old, self._mixed, strict=True):
            np.multiply(row, weights, out=self._share)
            np.add(out, self._share, out=out)
        if begin + frames >= length:
            self.finish()
        return self._mixed

    def finish(self) -> None:
        """Let a chain that is taking over have done so: the fade is complete, or nobody hears it. As ``process``."""
        following = self._next
        if following is not None:
            self.chain, self._next = following, None
            self._is_done.set()

    def restart(self, skipped_frames: int) -> None:
        """Begin a new epoch in every chain that hears."""
        self.chain.restart(skipped_frames)
        following = self._next
        if following is not None:
            following.restart(skipped_frames)
            self._heard_frames = 0
