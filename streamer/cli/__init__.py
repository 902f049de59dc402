"""The command line. Nothing in the project imports it."""

from __future__ import annotations

from streamer.cli.app import main

__all__ = ["main"]
