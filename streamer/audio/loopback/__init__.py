"""What the computer plays, as an input: one way to it for each system, and what they have in common."""

from __future__ import annotations

from streamer.audio.loopback.sources import list_loopbacks, open_capture

__all__ = ["list_loopbacks", "open_capture"]
