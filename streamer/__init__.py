"""Time: the processor that separates audio block by block, and what is built on it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.latency import LatencyReport
    from streamer.processor import StemProcessor
    from streamer.stats import ProcessorStats

__all__ = ["LatencyReport", "ProcessorStats", "StemProcessor"]

_HOMES = {
    "LatencyReport": "streamer.latency",
    "ProcessorStats": "streamer.stats",
    "StemProcessor": "streamer.processor",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that ``stemstream --help`` need not load numpy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
