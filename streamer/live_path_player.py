"""A player whose files go through the live path: what a processor would make of them if they came from a microphone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.separator import Separator
from streamer.chain import Chain
from streamer.latency import LatencyReport
from streamer.mixer import Mixer
from streamer.player import Player
from streamer.player_stats import PlayerStats
from streamer.processor import StemProcessor
from streamer.transport import Paths

__all__ = ["LivePathPlayer"]

F32 = npt.NDArray[np.float32]


class LivePathPlayer(Player):
    """Plays files as if they were live: nothing is known of their future, and the processor's latency is heard.

    Parameters
    ----------
    paths, separator, **options
        As for `streamer.player.Player`; nothing is saved or kept.
    latency_s : float, optional
        Of the processor, as for `streamer.StemProcessor`.
    """

    def __init__(self, paths: Paths, separator: Separator, *, latency_s: float | None = None, **options: Any) -> None:
        self._processor = StemProcessor(separator, latency_s=latency_s, realtime=True)
        super().__init__(paths, separator, gaps="mixture", finish="never", **options)
        self._deck.expects_stems = lambda track: False
        self._deck.is_watched = False
        # The deck's own mixer stays at unity: it gives the song itself.
        song = self.mixer
        self.mixer = self._mixer_at(self.sample_rate)
        self._song = np.zeros((song.outputs.device_channels, self._block_frames), np.float32)
        self._chain: Chain | None = None

    @property
    def latency(self) -> LatencyReport:
        """The processor's, once it plays."""
        return self._processor.latency

    def stats(self) -> PlayerStats:
        """Count what happened; coverage is the processor's."""
        stats = super().stats()
        return replace(stats, processor=self._processor.stats()) if self._processor.is_prepared else stats

    def close(self, **options: Any) -> None:
        """End the sound and let go of everything."""
        super().close(**options)
        self._processor.release()

    def _mixer_at(self, sample_rate: int, controls: Mixer | None = None) -> Mixer:
        return Mixer(
            self._processor.stems,
            channels=self._deck.channels,
            sample_rate=sample_rate,
            max_block_frames=self._block_frames,
            outputs=self.mixer.outputs,
            controls=controls,
        )

    def _prepare(self) -> None:
        self._processor.prepare(
            sample_rate=self.output_rate,
            channels=self._deck.channels,
            max_block_frames=self._block_frames,
            fixed_blocks=True,
        )
        self.mixer = self._mixer_at(self.output_rate, self.mixer)
        self._chain = Chain(self._processor, self.mixer, block_frames=self._block_frames)

    def _fill(self, out: F32) -> None:
        self._steady.read(self._song)
        if self._chain is not None:
            out[...] = self._chain.process(self._song)

    def _separate(self) -> None:
        """Nothing is separated ahead of the play head."""
