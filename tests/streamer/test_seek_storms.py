"""Whatever is ordered, and however often: no frame of a wrong place, no muted stem, and nothing left behind."""

from __future__ import annotations

import os
import threading
import tracemalloc
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from tests.streamer.seek_storms import Storm, player_of


def storm(songs: list[Path], seed: int, orders: int) -> None:
    run_s = float(np.random.default_rng(seed).choice([0.0, 0.01, 0.05, 0.4]))
    with ExitStack() as stack:
        player, other = (stack.enter_context(player_of(songs, run_s=lambda run: run_s)).play() for _ in range(2))
        storm = Storm(player, seed, other if seed % 2 else None)
        storm.run(orders)
        assert storm.wrong == []
        assert storm.heard > 20 * orders
        # A muted stem that is never separated in time leaves silence.
        assert storm.heard_muted > 20 * orders or seed % 2 == 0 or run_s > 0.01
        assert storm.loudest[True] <= 0.75 + 1e-5
        assert storm.loudest[False] <= 1.0 + 1e-5
        assert len(player._shelf._tracks) <= 3


@pytest.mark.parametrize("seed", range(25))
def test_no_frame_of_a_wrong_place_and_no_muted_stem_is_heard(songs: list[Path], seed: int) -> None:
    storm(songs, seed, 40)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
def test_nor_after_a_thousand_orders(songs: list[Path], seed: int) -> None:
    storm(songs, seed, 1000)


def test_neither_memory_nor_files_nor_threads_grow(songs: list[Path]) -> None:
    with player_of(songs, run_s=lambda run: 0.02) as player:
        storm = Storm(player.play(), 3)
        storm.run(40)
        threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
        tracemalloc.start()
        # What is open at one moment differs, the most that ever was does not.
        storm.run(120)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        storm.run(120)
        _, most_later = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most_later < 1.2 * most
        assert threading.active_count() == threads
        assert len(os.listdir("/proc/self/fd")) <= files + 8
