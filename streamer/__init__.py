"""Time: the processor that separates audio block by block, and what is built on it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.latency import LatencyReport
    from streamer.live import LiveSession
    from streamer.meters import MixerLevels
    from streamer.mixer import Mixer
    from streamer.output_map import OutputMap
    from streamer.player import Player
    from streamer.player_stats import PlayerStats
    from streamer.processor import StemProcessor
    from streamer.recorder import Recorder, RecorderStats
    from streamer.stats import ProcessorStats

__all__ = [
    "LatencyReport",
    "LiveSession",
    "Mixer",
    "MixerLevels",
    "OutputMap",
    "Player",
    "PlayerStats",
    "ProcessorStats",
    "Recorder",
    "RecorderStats",
    "StemProcessor",
]

_HOMES = {
    "LatencyReport": "streamer.latency",
    "LiveSession": "streamer.live",
    "Mixer": "streamer.mixer",
    "MixerLevels": "streamer.meters",
    "OutputMap": "streamer.output_map",
    "Player": "streamer.player",
    "PlayerStats": "streamer.player_stats",
    "ProcessorStats": "streamer.stats",
    "Recorder": "streamer.recorder",
    "RecorderStats": "streamer.recorder",
    "StemProcessor": "streamer.processor",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that ``stemstream --help`` need not load numpy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
