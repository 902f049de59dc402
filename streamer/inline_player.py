"""A player without threads and devices: whoever reads does all the work, at any pace, or in the time of a script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engine.separator import Separator
from streamer.inline_worker import InlineWorker
from streamer.transport import Paths, Transport

__all__ = ["InlinePlayer"]

F32 = npt.NDArray[np.float32]

_AT_ONCE = 10_000


class InlinePlayer(Transport):
    """Plays in virtual time: a frame that is read is a frame of time that has passed.

    Parameters
    ----------
    paths, separator, **options
        As for `streamer.transport.Transport`.
    run_s : callable, optional
        Gives the seconds that a window of the model takes, by its number: stems are there that much later. Left out:
        no time, so that all stems are there.

    Examples
    --------
    >>> player = InlinePlayer("song.wav", separator).play()  # doctest: +SKIP
    >>> mix = player.read(44_100)  # doctest: +SKIP
    """

    def __init__(
        self, paths: Paths, separator: Separator, *, run_s: Callable[[int], float] | None = None, **options: Any
    ) -> None:
        self._worker = InlineWorker(run_s or (lambda run: 0.0))
        super().__init__(paths, separator, self._worker, clock=lambda: self._worker.spent_s, **options)
        self._block = np.zeros((self.mixer.outputs.device_channels, options.get("block_frames", 256)), np.float32)
        self._now_s, self._free_s = 0.0, 0.0
        self._waiting: Callable[[], None] | None = None

    def play(self) -> Self:
        """Play on."""
        self._deck.orders.is_paused = False
        return self

    def read(self, frames: int) -> F32:
        """Let time pass, and give what is heard meanwhile, shape (device channels, frames), at the tracks' own rate."""
        out = np.zeros((len(self._block), frames), np.float32)
        done = 0
        while done < frames:
            self._work()
            n = self._deck.read(out[:, done : done + self._block.shape[1]])
            self._now_s += n / (self._deck.read_rate or self.sample_rate)
            done += n
        return out

    def finish(self) -> None:
        """Separate to the end what is unfinished, and let files and cache entries appear."""
        self._publish()
        while (publish := self._separation.finish_step()) is not None:
            publish()

    def close(self) -> None:
        """End; what is unfinished and not wanted after the end does not appear."""
        if self._finish == "exit" or (self._finish == "background" and self._keeping.files is not None):
            self.finish()
        self._separation.close()
        self._deck.close()
        self._shelf.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _publish(self) -> None:
        if self._waiting is not None:
            self._waiting()
            self._waiting = None

    def _work(self) -> None:
        """Do what a machine would have done by now."""
        self._load()
        for _ in range(_AT_ONCE):
            if self._free_s > self._now_s:
                break
            self._publish()
            spent_s = self._worker.spent_s
            self._waiting = self._separation.step(*self._deck.listening())
            if self._waiting is None:
                self._free_s = self._now_s
                break
            self._free_s = max(self._free_s, self._now_s - self._block.shape[1] / self.sample_rate)
            self._free_s += self._worker.spent_s - spent_s
        self._load()

    def _load(self) -> None:
        while self._deck.load():
            pass
