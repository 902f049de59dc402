"""A player on a real PortAudio stream: what a program orders is in the captured sound.

Servers and clients on a shared virtual machine lose frames of their own, so each order is given several times, and what
is said holds for most of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.listener import LEVEL, RATE
from tests.devices.conftest import Server

pytestmark = pytest.mark.device

WITHIN = round(0.020 * RATE)
"""Frames beyond ring and device within which an order is heard."""


@pytest.fixture(scope="module")
def result(jack: Server) -> dict[str, Any]:
    return jack.run("played.py", device="loopback")


def most_within(delays: list[int | None], between: int) -> bool:
    """Tell whether half of the orders or more, none of them too early, were heard in time."""
    beyond = [np.inf if delay is None else delay - between for delay in delays]
    return sum(-RATE // 100 <= late <= WITHIN for late in beyond) >= (len(beyond) + 1) // 2


def test_a_fader_is_heard_within_20_ms_beyond_ring_and_device(result: dict[str, Any]) -> None:
    assert most_within(result["faders"], result["between"]), result


def test_a_muted_stem_is_not_in_the_sound_and_comes_back(result: dict[str, Any]) -> None:
    muted, back = (np.median([mute[name] for mute in result["mutes"]]) for name in ("muted", "back"))
    # Half of the song is drums.
    assert muted == pytest.approx(0.5 * LEVEL, rel=0.03), result
    assert back == pytest.approx(LEVEL, rel=0.03), result


def test_a_pause_is_silence_and_the_song_goes_on_from_there(result: dict[str, Any]) -> None:
    pauses = result["pauses"]
    assert most_within([pause["delay"] for pause in pauses], result["between"]), result
    assert sum(pause["peak"] == 0.0 for pause in pauses) >= (len(pauses) + 1) // 2, result
    assert sum(pause["skipped"] == 0 for pause in pauses) >= (len(pauses) + 1) // 2, result


def test_a_seek_is_heard_as_the_sound_of_its_place(result: dict[str, Any]) -> None:
    assert most_within(result["seeks"], result["between"]), result
